"""What each back end and precision costs in accuracy, beside PyTorch in float32 on the same frames.

    python benchmarks/precision_loss.py dense-attention-small --save docs/results/precision_loss.json

Frames: the 1,000 rendered frames with unseen kinds of objects at 320x240 and at 640x480, and the two real labelled
sequences, as in `evaluate_shipped.py` (same cache, same environment variable). Graphs that the model does not ship are
exported into --cache.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
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
from graspcut.frames.json_files import write_json_atomically
from graspcut.runtime.contract import BackendError
from graspcut.runtime.export import export_model
from graspcut.runtime.graph_files import find_graph
from graspcut.runtime.model_folder import find_model_folder
from graspcut.segmentation.method import METHOD
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


def mean_ious(segmenters: Sequence[Segmenter], reader: DatasetReader) -> list[float]:
    """Mean IOU of hand and object over all frames, in percent, of each segmenter."""
    counts = [ConfusionCounts() for _ in segmenters]
    for number in range(len(reader)):
        labelled = reader[number]
        for segmenter, count in zip(segmenters, counts, strict=True):
            count.add(labelled.labels, segmenter(labelled.frame).labels)
    return [100 * count.scores().mean_iou for count in counts]


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
    segmenters = [Segmenter.load(options.model, device="cpu", backend="pytorch")]
    for backend, precision, form in RUNS:
        path = find_graph(find_model_folder(options.model), backend, precision)
        try:
            if path is None:
                # The loss is measured here, on more frames: nothing is refused beforehand.
                folder = options.cache / "precision-loss"
                path = export_model(
                    METHOD, options.model, folder, form=form, precision=precision, largest_loss=100.0
                ).path
            segmenters.append(Segmenter.load(path, backend=backend))
        except BackendError as error:
            print(f"{backend} {precision}: {error}")
    rows: list[dict[str, Any]] = [
        {"backend": segmenter.session.backend, "precision": segmenter.session.precision} for segmenter in segmenters
    ]
    for name, reader in readers.items():
        for row, value in zip(rows, mean_ious(segmenters, reader), strict=True):
            row[name] = value
        print(f"{name}: done", flush=True)
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
