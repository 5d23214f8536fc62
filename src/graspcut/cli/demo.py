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
    """Segments the bundled recording.

    Args:
        out: Folder for the contact sheet and the point cloud.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model.
        precision: auto takes what the model ships for the engine.
    """
    from rich.console import Console
    from rich.table import Table

    from graspcut.cli.progress import frame_progress
    from graspcut.segmentation.demo import run_demo
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    name = model or DEFAULT_MODEL
    segmenter = Segmenter.load(name, device, backend=backend, precision=precision)
    with frame_progress("segmenting") as progress:
        report = run_demo(segmenter, out, progress=progress)
    table = Table(title=f"{name} on the bundled recording (rendered, so the truth is known)", title_justify="left")
    for heading in ("frames", "size", "hand IoU", "object IoU", "mean IoU", "boundary F1", "ms per frame"):
        table.add_column(heading, justify="right")
    table.add_row(
        str(report.frames),
        f"{report.width}x{report.height}",
        f"{report.hand_iou:.3f}",
        f"{report.object_iou:.3f}",
        f"{report.mean_iou:.3f}",
        f"{report.boundary_f1:.3f}",
        f"{report.median_ms:.1f}",
    )
    Console().print(table)
    print(f"run by:        {segmenter.description}")
    print(f"contact sheet: {report.contact_sheet}")
    print(f"point cloud:   {report.point_cloud}")
