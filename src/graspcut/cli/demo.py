"""`graspcut demo`."""

from __future__ import annotations

from pathlib import Path

from graspcut.cli.options import Backend, Precision

DEFAULT_OUT = Path("graspcut-demo")


def demo(
    *,
    out: Path = DEFAULT_OUT,
    model: str | None = None,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
) -> None:
    """Runs a model on the bundled recording.

    Args:
        out: Folder for the contact sheet and the point cloud.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model.
        precision: auto takes what the model ships for the engine.
    """
    from rich.console import Console
    from rich.table import Table

    from graspcut.catalogue import method_of_model
    from graspcut.cli.progress import frame_progress
    from graspcut.runtime.opening import OpenOptions

    method = method_of_model(model)
    if method.demo is None:
        raise ValueError(f"{method.task} models have no demo")
    name = model or method.predictor.default_model
    predictor = method.predictor.open(OpenOptions(name, device, backend, precision))
    with frame_progress(f"{method.task} of the demo") as progress:
        report = method.demo(predictor, out, progress=progress)
    table = Table(title=f"{name} on the bundled recording (rendered, so the truth is known)", title_justify="left")
    for heading, _ in report.columns:
        table.add_column(heading, justify="right")
    table.add_row(*(value for _, value in report.columns))
    Console().print(table)
    facts = [("run by", predictor.description), *((what, str(path)) for what, path in report.files)]
    width = max(len(what) for what, _ in facts) + 1
    for what, value in facts:
        print(f"{what + ':':<{width}} {value}")
