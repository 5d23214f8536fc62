"""What `graspcut synth --scene` brings: a network in a rendered room, before and after it knew the empty place.

    python benchmarks/own_place.py --work /tmp/own-place --save docs/results/own-place.json

A room nobody is in is rendered as a clip of a stereo camera. Its first half is what a user would record; `--count`
frames with rendered hands in it are made as docs/your-own-place.md says, and the shipped network is trained on with
them. Tested in the second half of the clip: hands with objects of kinds never trained on, and the empty frames. Started
again it continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, overlay, write_image_atomically
from graspcut.frames.dataset import read_depth
from graspcut.frames.images import write_image_atomically as write_depth
from graspcut.frames.json_files import write_json_atomically
from graspcut.segmentation.fine_tuning import compare
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.training import train_segmentation
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.synth.dataset import generate_dataset
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.place import PlaceConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.train.trainer import RunConfig

SEED, PLACE_SEED, TEST_SEED = 91_001, 91_002, 91_003
EMPTY_FRAMES = 48
ROOM = SynthConfig(
    sensor="stereo", colour=False, vary_sensor=False, clip_frames=EMPTY_FRAMES,
    scene=SceneConfig(room=1.0, people_at_table=0.0),
)  # fmt: skip


def record_room(work: Path, clip: int) -> tuple[Path, Path, float]:
    """Folders of depth images in millimetres, one to learn from and one to test in, and the focal length in pixels."""
    generator, focal_px = FrameGenerator(ROOM, SEED), 0.0
    for number in range(EMPTY_FRAMES):
        frame = generator[clip * EMPTY_FRAMES + number].frame
        assert frame.camera is not None
        focal_px = frame.camera.fx
        folder = work / ("empty" if number < EMPTY_FRAMES // 2 else "empty-later")
        folder.mkdir(parents=True, exist_ok=True)
        write_depth(folder / f"{number:04d}.png", np.rint(frame.depth_mm).astype(np.uint16))
    return work / "empty", work / "empty-later", focal_px


def place_of(folder: Path, focal_px: float, *, held_out: bool) -> SynthConfig:
    """Frames with rendered hands in a place."""
    place = PlaceConfig(str(folder), 1.0, focal_px)
    return SynthConfig(sensor="stereo", colour=False, held_out_kinds=held_out, place=place)


def scored(segmenter: Segmenter, config: SynthConfig, empty: Path, frames: int) -> dict[str, float]:
    """Percent: IOU in frames with hands, and pixels that are called hand or object in the empty ones."""
    generator, counts = FrameGenerator(config, TEST_SEED), ConfusionCounts()
    camera = None
    for number in range(frames):
        labelled = generator[number]
        camera = labelled.frame.camera
        counts.add(labelled.labels, segmenter(labelled.frame).labels)
    false = [
        np.count_nonzero(segmenter(read_depth(path, 1.0), camera).labels) / (320 * 240)
        for path in sorted(empty.glob("*.png"))
    ]
    scores = counts.scores()
    return {
        "mean_iou": 100 * scores.mean_iou,
        "hand_iou": 100 * scores.hand_iou,
        "object_iou": 100 * scores.object_iou,
        "false_in_empty_frames": 100 * float(np.mean(false)),
    }


def picture(before: Segmenter, after: Segmenter, config: SynthConfig) -> NDArray[np.uint8]:
    """Three test frames: found before, found after, true labels."""
    generator, images, titles = FrameGenerator(config, TEST_SEED), [], []
    for number in range(3):
        labelled = generator[number]
        depth = labelled.frame.depth_mm
        images += [
            overlay(depth, before(labelled.frame).labels),
            overlay(depth, after(labelled.frame).labels),
            overlay(depth, labelled.labels),
        ]
        titles += ["shipped", "at home in the place", "true labels"]
    return contact_sheet(images, 3, titles)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dense-attention-small")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clip", type=int, default=0, help="which room")
    parser.add_argument("--count", type=int, default=1000, help="frames to train on")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--frames", type=int, default=150, help="frames with hands to test on")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    empty, later, focal_px = record_room(options.work, options.clip)
    data = options.work / "place"
    generate_dataset(
        place_of(empty, focal_px, held_out=False), seed=PLACE_SEED, count=options.count, out=data, workers=1
    )
    training = SegmentationTraining(
        start=options.model, data=(data,), steps=options.steps, validation_count=0, workers=0
    )
    run = RunConfig(options.work / "run", threads=1, validate_every_steps=0, checkpoint_every_minutes=2.0)
    tuned = train_segmentation(training, run).model_folder
    if tuned is None:
        raise SystemExit("stopped; start again to go on")
    test = place_of(later, focal_px, held_out=True)
    models = {
        name: Segmenter.load(str(m), device="cpu", threads=1)
        for name, m in (("before", options.model), ("after", tuned))
    }
    results: dict[str, Any] = {name: scored(model, test, later, options.frames) for name, model in models.items()}
    elsewhere = compare(options.model, tuned, [], threads=1).rendered
    results["rendered elsewhere"] = {"before": elsewhere.before[0], "after": elsewhere.after[0]}
    write_image_atomically(options.work / "before-and-after.png", picture(models["before"], models["after"], test))
    print(results)
    if options.save is not None:
        write_json_atomically(options.save, {"steps": options.steps, "count": options.count, **results})


if __name__ == "__main__":
    main()
