"""What a model folder holds, for a person."""

from __future__ import annotations

from pathlib import Path

from graspcut.runtime.contract import BackendError, TaskContract
from graspcut.runtime.graph_files import files_of_graph, find_graphs
from graspcut.runtime.model_folder import CARD_NAME, WEIGHTS_NAME, find_model_folder, load_model_folder, model_digest
from graspcut.runtime.opening import export_command, open_graph_file, reader_of


def describe_graph_file(path: Path) -> tuple[tuple[str, str], ...]:
    """What to print of an exported graph; it is opened, so a damaged one is found.

    Raises:
        BackendError: It cannot be opened, or was not written by `graspcut export`.
    """
    session, description = open_graph_file(path, reader_of(path))
    size = sum(file.stat().st_size for file in files_of_graph(path))
    network = f"{description.network['class']}" if description.network.get("class") else "unknown"
    return (
        ("task", description.task),
        ("labels", ", ".join(description.labels) or "none"),
        ("exported from", f"{description.model} by graspcut {description.graspcut or 'of an early version'}"),
        ("network", network),
        ("precision", description.precision),
        ("digest of the weights", description.weights[:16] or "unknown"),
        ("size", f"{size / 2**20:.1f} MiB"),
        ("opened with", session.backend),
    )


def describe_model_folder(
    name_or_dir: str | Path, contract: TaskContract | None = None
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """What to print of a model folder. Reads the weights and opens the graphs, so damaged and stale ones are found.

    Args:
        name_or_dir: See `find_model_folder`.
        contract: Of its task, if that is known here: what goes in and comes out is told too.

    Returns:
        (what, value) in order; and one line for each graph that cannot be used.

    Raises:
        ModelFolderError: If something is missing or damaged.
    """
    folder = find_model_folder(name_or_dir)
    config, weights = load_model_folder(folder)
    model = config.get("model")
    facts = [(f"model: {name}", str(value)) for name, value in model.items()] if isinstance(model, dict) else []
    facts += [(name, str(config[name])) for name in ("task", "labels", "graspcut") if name in config]
    for title, specs in (("in", contract.inputs), ("out", contract.outputs)) if contract is not None else ():
        shapes = [f"{spec.name} {spec.dtype} ({', '.join(map(str, spec.axes))})" for spec in specs]
        facts.append((title, "; ".join(shapes)))
    facts.append(("numbers in the weights", f"{sum(array.size for array in weights.values()):,}"))
    facts.append(("weights", f"{(folder / WEIGHTS_NAME).stat().st_size / 2**20:.1f} MiB"))
    digest, faults = model_digest(folder), []
    facts.append(("digest", digest[:16]))
    listed = []
    for path in find_graphs(folder).values():
        size = sum(file.stat().st_size for file in files_of_graph(path))
        listed.append(f"{path.name} {size / 2**20:.1f} MiB")
        try:
            description = open_graph_file(path, reader_of(path))[1]
        except BackendError as error:
            faults.append(str(error))
            continue
        if description.weights != digest:
            renew = export_command(folder, path, description.precision)
            faults.append(f"{path} is stale: it was not made from these weights. Renew it with '{renew}', or delete it")
    facts.append(("graphs", ", ".join(listed) or "none: graspcut export writes them"))
    facts.append(("card", str(folder / CARD_NAME) if (folder / CARD_NAME).is_file() else "missing"))
    return tuple(facts), tuple(faults)
