"""`graspcut export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    model: str,
    /,
    *,
    out: Path,
    network_file: Path | None = None,
    form: Annotated[Literal["onnx", "openvino"], Parameter(name="--format")] = "onnx",
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32",
    depth_type: Literal["float32", "uint16"] = "float32",
    calibration: Path | None = None,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    largest_loss: float = 0.5,
) -> None:
    """Writes one graph from raw millimetres to labels.

    Args:
        model: Shipped model's name or model folder.
        out: Folder for model.onnx, model.int8.onnx, model.xml, ... If it is the model's own, the graph is found there.
        network_file: Python file of a network of your own, see docs/add-a-network.md; the graph needs it no more.
        form: onnx (one file), or openvino (an .xml and a .bin).
        precision: fp32; fp16 (weights rounded, half the size); bf16 (OpenVINO, on processors that have it); int8.
        depth_type: What the graph takes: float32 millimetres, or whole ones as uint16.
        calibration: Labelled dataset folder for int8: up to 64 frames calibrate, up to 200 others test. Rendered frames
            if not given.
        depth_unit_mm: Millimetres per step of a dataset that does not say it.
        focal_px: Focal length in pixels of a dataset without cameras; 0.745 times the width if not given.
        largest_loss: Points of mean IOU that int8 may lose before it is refused.
    """
    from graspcut.catalogue import method_of_model
    from graspcut.cli.printing import print_facts
    from graspcut.cli.progress import frame_progress
    from graspcut.runtime.export import export_model

    method = method_of_model(model)
    samples = None
    if calibration is not None and method.quantization is not None:
        samples = method.quantization.open_samples(calibration, depth_unit_mm, focal_px)
    with frame_progress("testing int8") as progress:
        report = export_model(
            method,
            model,
            out,
            form=form,
            precision=precision,
            depth_type=depth_type,
            samples=samples,
            largest_loss=largest_loss,
            progress=progress,
            network_file=network_file,
        )
    facts = [("written", f"{report.path} ({report.megabytes:.1f} MB)")]
    if report.copied_from is not None:
        facts.append(("copied from", f"{report.copied_from}, which is of these weights (PyTorch is not installed)"))
        print_facts(facts)
        return
    if report.differing is not None:
        facts.append(("labels unlike PyTorch's", f"{100 * report.differing:.3f} % of the pixels of 6 examples"))
    facts.append(("largest difference", f"{report.largest_difference:.2g} of any other output"))
    if report.exact_score is not None and report.int8_score is not None:
        loss = report.exact_score - report.int8_score
        scores = f"float32 {report.exact_score:.2f}, int8 {report.int8_score:.2f}: a loss of {loss:.2f} points"
        facts.append((report.score_name, scores))
    print_facts(facts)
