"""How good a model is in each kind of place and with each camera, with a picture of where it works and where it fails.

    python benchmarks/places.py dense-attention-small --save docs/results/places.json --pictures docs/pictures

Rendered frames of 320x240 with objects of kinds that were never trained on. Mean IOU of hand and object over all frames
with a hand, and the share of the pixels of the others that are called hand or object. True hand and object pixels
without depth are counted by themselves: found they can never be, as such pixels are background. The picture shows one
frame of each place, the one in the middle of its scores, and the worst: depth, labels found, true labels.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, depth_to_colour, overlay, write_image_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.sensors.names import SENSOR_NAMES, SensorName

SEED = 81_001
SIZE = (320, 240)
PLACES = {
    "close-up": SceneConfig(room=0.0, people_at_table=0.0),
    "people at a table": SceneConfig(room=0.0, people_at_table=1.0),
    "room without a hand": SceneConfig(room=1.0, people_at_table=0.0),
}
_COLUMNS = (("hand_iou", 1), ("object_iou", 1), ("mean_iou", 1), ("false_without_hand", 2), ("without_depth", 1))


@dataclass
class Scored:
    """What was found in the frames of one place."""

    counts: ConfusionCounts = field(default_factory=ConfusionCounts)
    false_px: int = 0
    empty_px: int = 0
    true_px: int = 0
    without_depth_px: int = 0
    frames: list[tuple[float, int]] = field(default_factory=list)

    def add(self, labelled: LabelledFrame, labels: NDArray[np.uint8], number: int) -> None:
        """One frame; its own score is mean IOU, or the share of its pixels that are right where there is no hand."""
        truth = labelled.labels
        foreground = np.isin(truth, (HAND, OBJECT))
        if foreground.any():
            self.true_px += int(foreground.sum())
            self.without_depth_px += int((foreground & (labelled.frame.depth_mm <= 0)).sum())
            one = ConfusionCounts()
            for counts in (self.counts, one):
                counts.add(truth, labels)
            self.frames.append((float(np.nan_to_num(one.scores().mean_iou)), number))
        else:
            wrong = int((labels > 0).sum())
            self.false_px, self.empty_px = self.false_px + wrong, self.empty_px + labels.size
            self.frames.append((1.0 - wrong / labels.size, number))

    def to_dict(self) -> dict[str, Any]:
        """Percent."""
        with_hands = bool(self.counts.matrices().size)
        scores = self.counts.scores() if with_hands else None
        return {
            "frames": len(self.frames),
            "mean_iou": 100 * scores.mean_iou if scores else None,
            "hand_iou": 100 * scores.hand_iou if scores else None,
            "object_iou": 100 * scores.object_iou if scores else None,
            "false_without_hand": 100 * self.false_px / self.empty_px if self.empty_px else None,
            "without_depth": 100 * self.without_depth_px / self.true_px if self.true_px else None,
        }


def generator_of(scene: SceneConfig, sensor: SensorName, hand_mesh: Path | None = None) -> FrameGenerator:
    """Frames of one place and camera, and of one form of hands."""
    synth = SynthConfig(*SIZE, sensor=sensor, colour=False, held_out_kinds=True, scene=scene)
    if hand_mesh is not None:
        scene = dataclasses.replace(scene, own_hand=1.0)
        synth = dataclasses.replace(synth, scene=scene, hand_mesh=str(hand_mesh))
    return FrameGenerator(synth, SEED)


def scored(segmenter: Segmenter, generator: FrameGenerator, frames: int) -> Scored:
    """All frames of a place."""
    found = Scored()
    for number in range(frames):
        labelled = generator[number]
        found.add(labelled, labels_of(segmenter, labelled.frame), number)
    return found


def labels_of(segmenter: Segmenter, frame: Any) -> NDArray[np.uint8]:
    """What is found in a frame."""
    labels: NDArray[np.uint8] = segmenter(frame, frame.camera or Camera.sr300(*SIZE)).labels
    return labels


def picture(segmenter: Segmenter, places: dict[str, Scored]) -> NDArray[np.uint8]:
    """The frame in the middle and the worst one of each place."""
    images, titles = [], []
    for name, found in places.items():
        ordered = sorted(found.frames)
        # Of the worst twentieth the best: the very worst are frames in which hardly anything is to be seen.
        for which, (_, number) in (
            ("usual", ordered[len(ordered) // 2]),
            ("among the worst", ordered[len(ordered) // 20]),
        ):
            labelled = generator_of(PLACES[name], "mix")[number]
            depth = labelled.frame.depth_mm
            images += [
                depth_to_colour(depth),
                overlay(depth, labels_of(segmenter, labelled.frame)),
                overlay(depth, labelled.labels),
            ]
            titles += [f"{name}, {which}: depth", "found", "true labels"]
    return contact_sheet(images, 6, titles)


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """A table."""
    lines = [
        "| where | frames | hand | object | mean | false pixels where there is no hand | true pixels without depth |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = ["-" if row[key] is None else f"{row[key]:.{digits}f}" for key, digits in _COLUMNS]
        lines.append(f"| {name} | {row['frames']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder")
    parser.add_argument("--frames", type=int, default=200, help="of each place; a third of it of each camera")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path, help="JSON of the scores")
    parser.add_argument("--pictures", type=Path, help="folder for places.png")
    parser.add_argument("--hand-mesh", type=Path, help="skinned hand (.glb): all hands once more, drawn with it")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, device="cpu", threads=options.threads)
    places = {name: scored(segmenter, generator_of(scene, "mix"), options.frames) for name, scene in PLACES.items()}
    rows = {name: found.to_dict() for name, found in places.items()}
    for sensor in SENSOR_NAMES[:-1]:
        rows[f"all places, {sensor}"] = scored(
            segmenter, generator_of(SceneConfig(), sensor), options.frames // 3
        ).to_dict()
    for name, scene in list(PLACES.items())[: 2 if options.hand_mesh is not None else 0]:
        found = scored(segmenter, generator_of(scene, "mix", options.hand_mesh), options.frames)
        rows[f"{name}, hands of a mesh"] = found.to_dict()
    print(markdown(rows))
    if options.save is not None:
        write_json_atomically(options.save, {"model": options.model, "rows": rows})
    if options.pictures is not None:
        write_image_atomically(options.pictures / "places.png", picture(segmenter, places))


if __name__ == "__main__":
    main()
