"""What each back end and precision costs in accuracy, beside PyTorch in float32 on the same frames.

    python benchmarks/precision_loss.py dense-attention-small --save docs/results/precision_loss.json

Frames: the 1,000 rendered frames with unseen kinds of objects at 320x240 and at 640x480, and the two real labelled
sequences, as in `evaluate_shipped.py` (same cache, same environment variable). Graphs that the model does not ship are
exported into --cache.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, Literal

from evaluate_shipped import (  # type: ignore[import-not-found]  # a script beside this one
    SEQUENCE_FOCAL_PX,
    SEQUENCES,
    SYNTHETIC_SIZES,
    real_data_folder,
    synthetic_set,
)
from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.images import write_json_atomically
from graspcut.runtime.session import BackendError
from graspcut.segmentation.export import export_model
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter

# (engine, precision, format of the exported file)
RUNS: tuple[tuple[str, Literal["fp32", "fp16", "bf16", "int8"], Literal["onnx", "openvino"]], ...] = (
    ("onnxruntime", "fp32", "onnx"),
    ("onnxruntime", "fp16", "onnx"),
    ("onnxruntime", "int8", "onnx"),
    ("openvino", "fp32", "onnx"),
    ("openvino", "bf16", "openvino"),
    ("openvino", "int8", "onnx"),
)


def mean_iou(segmenter: Segmenter, reader: DatasetReader) -> float:
    """Mean IOU of hand and object over all frames, in percent."""
    counts = ConfusionCounts()
    for number in range(len(reader)):
        labelled = reader[number]
        counts.add(labelled.labels, segmenter(labelled.frame).labels)
    return 100 * counts.scores().mean_iou


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "graspcut-evaluation")
    parser.add_argument("--count", type=int, default=1000, help="rendered frames")
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()

    readers = {name: synthetic_set(options.cache, size, options.count, 1) for name, size in SYNTHETIC_SIZES.items()}
    for name in SEQUENCES:
        folder = real_data_folder() / "hand-object" / name
        readers[name] = open_dataset(folder, depth_unit_mm=1.0, focal_px=SEQUENCE_FOCAL_PX)
    reference = Segmenter.load(options.model, device="cpu", backend="pytorch")
    rows: list[dict[str, Any]] = [
        {
            "backend": "pytorch",
            "precision": "fp32",
            **{name: mean_iou(reference, each) for name, each in readers.items()},
        }
    ]
    print(rows[0], flush=True)
    exported: dict[tuple[str, str], Path] = {}
    for backend, precision, form in RUNS:
        if (form, precision) not in exported:
            # The loss is measured here, on better frames: nothing is refused beforehand.
            folder = options.cache / "precision-loss"
            try:
                report = export_model(options.model, folder, form=form, precision=precision, largest_loss=100.0)
                exported[form, precision] = report.path
                segmenter = Segmenter.load(report.path, backend=backend)
            except BackendError as error:
                print(f"{backend} {precision}: {error}")
                continue
        segmenter = Segmenter.load(exported[form, precision], backend=backend)
        rows.append(
            {
                "backend": backend,
                "precision": precision,
                **{name: mean_iou(segmenter, each) for name, each in readers.items()},
            }
        )
        print(rows[-1], flush=True)
        if options.save is not None:
            write_json_atomically(options.save, {"model": str(options.model), "count": options.count, "rows": rows})

    print("\n| back end | precision | " + " | ".join(readers) + " | largest loss |")
    print("|---" * (len(readers) + 3) + "|")
    for row in rows:
        losses = [rows[0][name] - row[name] for name in readers]
        cells = [f"{row[name]:.2f} ({-loss:+.2f})" for name, loss in zip(readers, losses, strict=True)]
        print(f"| {row['backend']} | {row['precision']} | " + " | ".join(cells) + f" | {max(losses):.2f} |")


if __name__ == "__main__":
    main()
