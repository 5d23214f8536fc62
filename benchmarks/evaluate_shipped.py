"""Measures a segmentation model on everything that docs/results.md reports, and draws what it does on real frames.

    python benchmarks/evaluate_shipped.py dense-attention-small --out /tmp/sheets --save docs/results/shipped.json

Rows (--only takes some of them):
    synthetic-320, synthetic-640   1,000 rendered frames, the same scenes at 320x240 and 640x480, objects of held-out
                                   kinds; rendered into --cache once, so delete that after a change of the renderer
    bar_red, cube_white            real sequences with labels from their colour; pixels of unknown label are left out
    sr305                          real bare hands before a body: every object pixel is wrong
    table                          real table scenes without labels: areas and pictures only
    no-hand                        real rooms and a desk: every hand or object pixel is wrong

Real frames are read from the folder in the environment variable GRASPCUT_DATA, or ../shared/data beside the checkout.
Pictures of them go to --out, which has to lie outside the checkout. MODEL may be a checkpoint of an unfinished run: its
averaged weights are then written as a model folder into --cache first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, overlay
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, open_dataset, read_depth
from graspcut.frames.images import write_image_atomically
from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import HAND, OBJECT
from graspcut.runtime.model_folder import WEIGHTS_NAME, find_model_folder
from graspcut.segmentation.evaluation import EvaluationReport, evaluate_model
from graspcut.segmentation.interfaces import FrameSegmenter
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.dataset import generate_dataset
from graspcut.synth.generator import SynthConfig

CHECKOUT = Path(__file__).resolve().parent.parent
SYNTHETIC_SIZES = {"synthetic-320": (320, 240), "synthetic-640": (640, 480)}
SEQUENCES = ("bar_red", "cube_white")
ROWS = (*SYNTHETIC_SIZES, *SEQUENCES, "sr305", "table", "no-hand")
TEST_SEED = 20_261_121
SEQUENCE_FOCAL_PX = 238.95
SR305_CAMERA = Camera(fx=476.007, fy=476.007, cx=313.683, cy=242.755, width=640, height=480)
SR305_UNIT_MM = 0.125
# Nobody states the camera of the table frames. Depth aligned to colour at 640x480 is that of a D415's colour camera.
TABLE_CAMERA = Camera.from_focal_length(640, 480, 615.0)
NO_HAND_CAMERA = Camera.from_focal_length(640, 480, 520.0)
PICTURES = 12


@dataclass(frozen=True)
class Areas:
    """What a model found on frames without labels.

    Attributes:
        names: One for each frame.
        hand_px, object_px: Number of pixels in each frame.
        pixels: Of all frames together.
    """

    names: tuple[str, ...]
    hand_px: tuple[int, ...]
    object_px: tuple[int, ...]
    pixels: int

    def to_dict(self) -> dict[str, Any]:
        """Sums, the ratio over all frames, and every frame; for JSON."""
        hand, held = sum(self.hand_px), sum(self.object_px)
        ratios = [100 * o / h if h else None for h, o in zip(self.hand_px, self.object_px, strict=True)]
        return {
            "frames": len(self.names),
            "hand_px": hand,
            "object_px": held,
            "object_percent_of_hand": 100 * held / hand if hand else None,
            "percent_of_pixels": 100 * (hand + held) / max(1, self.pixels),
            "by_frame": {
                name: {"hand_px": h, "object_px": o, "object_percent_of_hand": ratio}
                for name, h, o, ratio in zip(self.names, self.hand_px, self.object_px, ratios, strict=True)
            },
        }


def real_data_folder() -> Path:
    """Where the real frames are."""
    return Path(os.environ.get("GRASPCUT_DATA") or CHECKOUT.parent / "shared" / "data")


def export_checkpoint(checkpoint: Path, folder: Path) -> Path:
    """Writes the model folder that the run of a checkpoint would export now.

    Args:
        checkpoint: RUN/checkpoints/NAME.ckpt, with RUN/run.json beside the folder.
        folder: Model folder to write.
    """
    description = json.loads((checkpoint.parent.parent / "run.json").read_text(encoding="utf-8"))["task"]
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in description["training"].items()
    }
    task = SegmentationTask(description["model"], TaskConfig(**arguments))
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    task.load_state_dict(state["state_dict"])
    return task.export(folder, training={"steps": state["global_step"], "checkpoint": checkpoint.name}, results={})


def synthetic_set(cache: Path, size: tuple[int, int], count: int, workers: int) -> DatasetReader:
    """The test set at one size; rendered when it is not in the cache."""
    width, height = size
    folder = cache / f"{width}x{height}-{count}"
    if not (folder / "dataset.json").exists():
        config = SynthConfig(width=width, height=height, profile="v1", held_out_kinds=True, colour=False)
        generate_dataset(config, seed=TEST_SEED, count=count, out=folder, workers=workers)
    return DatasetReader(folder)


def measure_areas(segmenter: FrameSegmenter, files: Sequence[Path], unit_mm: float, camera: Camera) -> Areas:
    """Hand and object pixels in frames without labels."""
    found = [segmenter(read_depth(path, unit_mm), camera).labels for path in files]
    return Areas(
        tuple(f"{path.parent.name}/{path.stem}" for path in files),
        tuple(int(np.count_nonzero(labels == HAND)) for labels in found),
        tuple(int(np.count_nonzero(labels == OBJECT)) for labels in found),
        sum(labels.size for labels in found),
    )


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` numbers below `count`, the first and the last among them."""
    return sorted({round(position) for position in np.linspace(0, count - 1, min(count, wanted))})


def draw_sheet(
    path: Path, segmenter: FrameSegmenter, frames: Sequence[tuple[str, NDArray[np.float32], Camera]]
) -> None:
    """A contact sheet of overlays at 320 pixels a picture."""
    pictures, titles = [], []
    for name, depth, camera in frames:
        picture = overlay(depth, segmenter(depth, camera).labels)
        if picture.shape[1] > 320:
            size = (320, round(picture.shape[0] * 320 / picture.shape[1]))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        pictures.append(picture)
        titles.append(name)
    write_image_atomically(path, contact_sheet(pictures, 4, titles))


def sequence_row(name: str, segmenter: FrameSegmenter, sheets: Path) -> dict[str, Any]:
    """Scores and pictures of a real labelled sequence."""
    folder = real_data_folder() / "hand-object" / name
    reader = open_dataset(folder, depth_unit_mm=1.0, focal_px=SEQUENCE_FOCAL_PX)
    camera = Camera.from_focal_length(320, 240, SEQUENCE_FOCAL_PX)
    frames = [
        (reader.names[number], reader.read_depth_and_labels(number)[0], camera)
        for number in evenly_spaced(len(reader), PICTURES)
    ]
    draw_sheet(sheets / f"{name}.png", segmenter, frames)
    return evaluate_model(segmenter, reader).to_dict()


def unlabelled_row(name: str, segmenter: FrameSegmenter, sheets: Path) -> dict[str, Any]:
    """Areas and pictures of the frames without labels."""
    data = real_data_folder()
    if name == "sr305":
        files = sorted((data / "sr305").glob("*/*.png"), key=lambda path: (path.parent.name, int(path.stem)))
        unit_mm, camera = SR305_UNIT_MM, SR305_CAMERA
    elif name == "no-hand":
        files, unit_mm, camera = sorted((data / "no-hand").glob("*.png")), 1.0, NO_HAND_CAMERA
    else:
        files, unit_mm, camera = sorted((data / "table-scene").glob("*_depth.png")), 1.0, TABLE_CAMERA
    wanted = len(files) if name in ("sr305", "table") else PICTURES
    frames = [
        (files[number].stem, read_depth(files[number], unit_mm), camera) for number in evenly_spaced(len(files), wanted)
    ]
    draw_sheet(sheets / f"{name}.png", segmenter, frames)
    return measure_areas(segmenter, files, unit_mm, camera).to_dict()


def percent(value: float | None) -> str:
    """A fraction as a number of percent."""
    return "-" if value is None else f"{100 * value:.2f}"


def markdown(rows: dict[str, Any]) -> str:
    """The tables of the measured rows."""
    scored = {name: row for name, row in rows.items() if "overall" in row}
    lines: list[str] = []
    if scored:
        lines += [
            "| set | frames | mean IOU | hand | object | boundary F1 | boundary hand | boundary object | pixel acc. "
            "| mean acc. | mean IU | f.w. IU | mean IOU per image |",
            "|---" * 13 + "|",
        ]
    for name, row in scored.items():
        overall, boundary = row["overall"], row["boundary"]
        values = [overall["mean_iou"], *overall["iou"][1:], boundary["mean"], boundary["hand"], boundary["object"]]
        values += [overall[key] for key in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")]
        values.append(row["per_image"]["mean_iou"])
        lines.append(f"| {name} | {row['images']} | " + " | ".join(percent(value) for value in values) + " |")
    real = [scored[name]["overall"]["mean_iou"] for name in SEQUENCES if name in scored]
    if len(real) == len(SEQUENCES):
        lines.append(f"\nMean IOU of the two real sequences: {percent(sum(real) / len(real))}")
    for name in SYNTHETIC_SIZES:
        if name in scored:
            lines += ["", f"Object IoU by visible size in {name} (pixels at 320x240):", ""]
            lines += ["| size | frames | object IoU |", "|---|---|---|"]
            for entry in scored[name]["object_by_size"]:
                high = entry["high_px"]
                size = f"from {entry['low_px']:g}" if high is None else f"{entry['low_px']:g} to {high:g}"
                lines.append(f"| {size} | {entry['images']} | {percent(entry['iou'])} |")
    areas = {name: row for name, row in rows.items() if "hand_px" in row}
    if areas:
        lines += [
            "",
            "| set | frames | hand px | object px | false object, % of hand | frames over 5 % | worst frame |",
        ]
        lines.append("|---" * 7 + "|")
    for name, row in areas.items():
        by_frame = {key: frame["object_percent_of_hand"] or 0.0 for key, frame in row["by_frame"].items()}
        if name == "no-hand":
            false = percent(row["percent_of_pixels"] / 100)
            lines.append(
                f"| {name} | {row['frames']} | {row['hand_px']} | {row['object_px']} | {false} of all | - | - |"
            )
            continue
        if name != "sr305":  # there is a true object, so the ratio says nothing
            lines.append(f"| {name} | {row['frames']} | {row['hand_px']} | {row['object_px']} | - | - | - |")
            continue
        worst = max(by_frame, key=lambda key: by_frame[key])
        over = sum(value > 5.0 for value in by_frame.values())
        lines.append(
            f"| {name} | {row['frames']} | {row['hand_px']} | {row['object_px']} "
            f"| {percent((row['object_percent_of_hand'] or 0.0) / 100)} | {over} | {worst}: {by_frame[worst]:.1f} % |"
        )
    return "\n".join(lines)


def measure(options: argparse.Namespace, segmenter: FrameSegmenter, row: str) -> dict[str, Any]:
    """One row."""
    if row in SYNTHETIC_SIZES:
        reader = synthetic_set(options.cache, SYNTHETIC_SIZES[row], options.count, options.workers)
        report: EvaluationReport = evaluate_model(segmenter, reader)
        return report.to_dict()
    if row in SEQUENCES:
        return sequence_row(row, segmenter, options.out)
    return unlabelled_row(row, segmenter, options.out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir())
    parser.add_argument("model", help="shipped model's name, model folder, or RUN/checkpoints/last.ckpt")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--cache", type=Path, default=temporary / "graspcut-evaluation", help="rendered test sets")
    parser.add_argument("--out", type=Path, default=temporary / "graspcut-evaluation" / "sheets", help="pictures")
    parser.add_argument("--save", type=Path, help="JSON; rows of the same weights already in it are kept")
    parser.add_argument("--count", type=int, default=1000, help="rendered frames")
    parser.add_argument("--careful", action="store_true", help="as graspcut segment --careful does it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="rendering processes")
    options = parser.parse_args()
    if options.out.resolve().is_relative_to(CHECKOUT):
        parser.error(f"--out {options.out} lies in the checkout; pictures of other people's frames don't belong there")
    cv2.setNumThreads(0)
    options.out.mkdir(parents=True, exist_ok=True)
    model = options.model
    if model.endswith(".ckpt"):
        model = str(export_checkpoint(Path(model), options.cache / "from-checkpoint"))
        print(f"exported to {model}")
    loaded = Segmenter.load(model, device="cpu", threads=options.threads, backend="pytorch")
    segmenter: FrameSegmenter = loaded.careful() if options.careful else loaded
    weights = (find_model_folder(model) / WEIGHTS_NAME).read_bytes()
    results: dict[str, Any] = {
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "training": loaded.config.get("training", {}),
        "careful": options.careful,
        "count": options.count,
        "seed": TEST_SEED,
        "rows": {},
    }
    if options.save is not None and options.save.exists():
        stored = json.loads(options.save.read_text(encoding="utf-8"))
        same = all(stored.get(key) == results[key] for key in ("weights_sha256", "count", "seed"))
        if same and stored.get("careful", False) == options.careful:
            results["rows"] = stored["rows"]
    for row in options.only:
        results["rows"][row] = measure(options, segmenter, row)
        print(f"{row}: done", flush=True)
        if options.save is not None:
            write_json_atomically(options.save, results)
    print(f"\n{markdown({row: results['rows'][row] for row in ROWS if row in results['rows']})}")
    print(f"\npictures: {options.out}")


if __name__ == "__main__":
    main()
