"""What a model folder holds, for a person."""

from __future__ import annotations

from pathlib import Path

from graspcut.runtime.model_folder import (
    CARD_NAME,
    INT8_ONNX_NAME,
    ONNX_NAME,
    WEIGHTS_NAME,
    find_model_folder,
    load_model_folder,
)


def describe_model_folder(name_or_dir: str | Path) -> tuple[tuple[str, str], ...]:
    """(what, value) to print, in order. Reads the weights, so a damaged file is found.

    Args:
        name_or_dir: See `find_model_folder`.

    Raises:
        ModelFolderError: If something is missing or damaged.
    """
    folder = find_model_folder(name_or_dir)
    config, weights = load_model_folder(folder)
    model = config.get("model")
    facts = [(f"model: {name}", str(value)) for name, value in model.items()] if isinstance(model, dict) else []
    facts += [(name, str(config[name])) for name in ("task", "labels", "graspcut") if name in config]
    facts.append(("numbers in the weights", f"{sum(array.size for array in weights.values()):,}"))
    facts.append(("weights", f"{(folder / WEIGHTS_NAME).stat().st_size / 2**20:.1f} MiB"))
    graphs = [folder / name for name in (ONNX_NAME, INT8_ONNX_NAME) if (folder / name).is_file()]
    listed = ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in graphs)
    facts.append(("graphs", listed or "none: graspcut export writes them"))
    facts.append(("card", str(folder / CARD_NAME) if (folder / CARD_NAME).is_file() else "missing"))
    return tuple(facts)
