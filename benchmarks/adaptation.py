"""What `graspcut adapt` brings on rendered recordings of a camera and places that no training has seen.

    python benchmarks/adaptation.py --work runs/adaptation --quick --save docs/results/adaptation_quick.json
    python benchmarks/adaptation.py --work runs/adaptation --save docs/results/adaptation.json
    python benchmarks/adaptation.py --work runs/close-ups --close-ups --save docs/results/adaptation_close_ups.json
    python benchmarks/adaptation.py --work runs/adaptation --real --save docs/results/adaptation_real.json
    python benchmarks/adaptation.py --work runs/adaptation --picture docs/pictures/over-time.png

The recordings have labels, which adaptation is not shown. "adapted to" is what it learns from; "another" has the same
camera, but other hands, things and places. The camera is a stereo camera with a wider lens, coarser matching and more
holes than any that training draws. With `--close-ups` it is an SR300 with more noise than most, always the same, and
the recordings are close-ups of a hand that holds something with nothing behind it; "another" then shows other hands and
things, nearly a second of each. `--real` adapts to bar_red of ../shared/data/hand-object (or the
folder that GRASPCUT_DATA names) instead, and scores it and cube_white. `--picture` draws frames of "adapted to" with
the labels of the two networks that are there by then. What stands behind `--` goes to `graspcut adapt`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from graspcut import Segmenter
from graspcut.draw import contact_sheet, depth_to_colour, overlay, write_image_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter, open_dataset
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_image, read_single_channel
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import HAND, OBJECT, UNKNOWN
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import Smoother, StreamConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.sensors import presets

SEED = 880_001
CLIP_FRAMES = 200
RECORDINGS = {"adapted to": 2, "another": 2}  # name: clips in it
CLOSE_UP_FRAMES = 300
CLOSE_UP_SEED = 424_242
# name: (scenes of that seed in which a hand holds something all the while, frames of each)
CLOSE_UPS = {"adapted to": ((12,), range(300)), "another": ((4, 6, 18, 25, 30, 31), range(100, 124))}
SHOWN_FRAMES = (60, 140, 260, 340)
AROUND = 20  # frames before and behind that a shown one knows of
REAL_SEQUENCES = {"adapted to": "bar_red", "another": "cube_white"}
REAL_CAMERA = Camera(width=320, height=240, fx=238.95, fy=238.95, cx=160.0, cy=120.0)

Labelled = tuple[Frame, NDArray[np.uint8]]


def unseen_camera() -> presets.SensorPreset:
    """A stereo camera outside of what training draws."""
    errors = dataclasses.replace(
        presets.SENSORS["stereo"].config,
        window_px=3.2,
        blur_px=2.6,
        wave_quadratic=15.0,
        wave_px=5.0,
        hole_probability=0.08,
        far_mm=4000.0,
    )

    def camera(width: int, height: int) -> Camera:
        return Camera.from_focal_length(width, height, 0.54 * width)

    return presets.SensorPreset(camera, errors, lambda _: errors)


def noisy_camera() -> presets.SensorPreset:
    """A short-range camera with stripes, noise and ragged edges, the same in every frame."""
    known = presets.SENSORS["sr300"]
    errors = dataclasses.replace(
        known.config,
        stripe_amplitude_mm=6.0,
        stripe_everywhere=0.12,
        stripe_period_px=9.0,
        noise_quadratic=2.6,
        noise_base_mm=0.35,
        edge_loss_probability=0.6,
        jitter_px=0.7,
        bias_mm=1.2,
    )
    return presets.SensorPreset(known.camera, errors, lambda _: errors)


def render_recordings(work: Path) -> None:
    """Renders the recordings that are not there yet; at the beginning of each clip a hand holds something."""
    config = SynthConfig(sensor="stereo", vary_sensor=False, held_out_kinds=True, colour=False, clip_frames=CLIP_FRAMES)
    generator = FrameGenerator(config, SEED)
    clip = 0
    with mock.patch.dict(cast(dict[str, Any], presets.SENSORS), {"stereo": unseen_camera()}):
        for name, clips in RECORDINGS.items():
            chosen: list[int] = []
            while len(chosen) < clips:
                labels = generator[clip * CLIP_FRAMES].labels
                if (labels == HAND).mean() > 0.03 and (labels == OBJECT).mean() > 0.01:
                    chosen.append(clip)
                clip += 1
            folder = recording_folder(work, name)
            if (folder / "dataset.json").exists():
                continue
            writer = DatasetWriter(folder, depth_unit_mm=0.25, description={"rendered": name}, batched=True)
            for number in range(clips * CLIP_FRAMES):
                index = chosen[number // CLIP_FRAMES] * CLIP_FRAMES + number % CLIP_FRAMES
                writer.write(number, generator[index])
                print(f"\rrendering {name}: {number + 1}", end="", file=sys.stderr)
            writer.finish(clips * CLIP_FRAMES)


def render_close_ups(work: Path) -> None:
    """Renders close-ups that are not there yet: one scene to adapt to, some others."""
    scene = SceneConfig(
        room=0.0,
        people_at_table=0.0,
        nothing=0.0,
        object_only=0.0,
        hand_only=0.0,
        two_hands=0.0,
        background_none=1.0,
        farthest_mm=700.0,
    )
    config = SynthConfig(
        sensor="sr300",
        vary_sensor=False,
        held_out_kinds=True,
        colour=False,
        clip_frames=CLOSE_UP_FRAMES,
        cut_background=1.0,
        scene=scene,
    )
    generator = FrameGenerator(config, CLOSE_UP_SEED)
    with mock.patch.dict(cast(dict[str, Any], presets.SENSORS), {"sr300": noisy_camera()}):
        for name, (scenes, frames) in CLOSE_UPS.items():
            folder = recording_folder(work, name)
            if (folder / "dataset.json").exists():
                continue
            numbers = [scene * CLOSE_UP_FRAMES + frame for scene in scenes for frame in frames]
            writer = DatasetWriter(folder, depth_unit_mm=0.25, description={"rendered": name}, batched=True)
            for position, number in enumerate(numbers):
                made = generator[number]
                # Nobody can label what the camera does not see.
                labels = np.where(made.frame.depth_mm > 0, made.labels, np.uint8(UNKNOWN))
                writer.write(position, LabelledFrame(made.frame, labels))
            writer.finish(len(numbers))


def recording_folder(work: Path, name: str) -> Path:
    """Where a rendered recording lies."""
    return work / name.replace(" ", "-")


def rendered_recording(folder: Path) -> list[Labelled]:
    """Frames and labels of a rendered recording."""
    reader = open_dataset(folder)
    return [(labelled.frame, labelled.labels) for labelled in (reader[number] for number in range(len(reader)))]


def real_sequence(folder: Path) -> list[Labelled]:
    """Frames and labels of a real sequence."""
    found = []
    for path in sorted((folder / "depth").glob("*.png")):
        frame = Frame(read_image(path).astype(np.float32), camera=REAL_CAMERA, name=path.stem)
        found.append((frame, read_single_channel(folder / "label" / path.name, what="label map")))
    return found


def scores_of(segmenter: Segmenter, frames: Sequence[Labelled]) -> dict[str, list[float]]:
    """Percent hand, object and mean IOU, frame by frame and with past and future."""
    counts = {"frame by frame": ConfusionCounts(), "past and future": ConfusionCounts()}
    smoother = Smoother(StreamConfig())

    def count(settled: Sequence[tuple[int, Segmentation]]) -> None:
        for number, result in settled:
            counts["past and future"].add(frames[number][1], result.labels)

    for position, (frame, truth) in enumerate(frames):
        own = segmenter(frame)
        counts["frame by frame"].add(truth, own.labels)
        count(smoother.push(position, own, frame.timestamp_s))
    count(smoother.finish())
    found = {}
    for name, way in counts.items():
        own_scores = way.scores()
        values = own_scores.hand_iou, own_scores.object_iou, own_scores.mean_iou
        found[name] = [round(100 * value, 2) for value in values]
    return found


def draw(work: Path, name: str, model: str, path: Path) -> None:
    """Some frames: depth, labels frame by frame, as a stream, as a stream of the adapted network, true labels."""
    frames = rendered_recording(recording_folder(work, "adapted to"))
    networks = [Segmenter.load(model), Segmenter.load(str(work / name))]
    pictures, titles = [], []
    for middle in SHOWN_FRAMES:
        around = range(middle - AROUND, middle + AROUND + 1)
        found: list[Segmentation] = []
        for segmenter in networks:
            smoother, settled = Smoother(StreamConfig()), []
            for position in around:
                own = segmenter(frames[position][0])
                found += [own] if position == middle and not found else []
                settled += smoother.push(position, own, frames[position][0].timestamp_s)
            found.append(dict([*settled, *smoother.finish()])[middle])
        frame, truth = frames[middle]
        labels = [result.labels for result in found]
        pictures += [depth_to_colour(frame.depth_mm), *(overlay(frame.depth_mm, own) for own in [*labels, truth])]
        titles += [f"depth, frame {middle}", "frame by frame", "as a stream", "adapted, as a stream", "true labels"]
    write_image_atomically(path, contact_sheet(pictures, 5, titles))


def adapt(inputs: Sequence[str], out: Path, model: str, options: Sequence[str]) -> float:
    """Runs `graspcut adapt`; seconds that it took."""
    command = [sys.executable, "-m", "graspcut.cli", "adapt", *inputs, "--out", str(out), "--model", model, *options]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/adaptation"), help="recordings and models")
    parser.add_argument("--model", default="dense-attention-small")
    parser.add_argument("--quick", action="store_true", help="the statistics only")
    parser.add_argument("--real", action="store_true", help="the real sequences, once, at the end")
    parser.add_argument("--close-ups", action="store_true", help="of an SR300; needs a --work of its own")
    parser.add_argument("--name", help="of the model folder in --work")
    parser.add_argument("--save", type=Path)
    parser.add_argument("options", nargs="*", help="of graspcut adapt, behind --")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw instead, after a run without --real")
    given = parser.parse_args()
    if given.picture is not None:
        draw(given.work, given.name or "rendered-full", given.model, given.picture)
        return
    options = [*given.options, *(["--quick"] if given.quick else [])]
    if given.real:
        data = Path(os.environ.get("GRASPCUT_DATA", "../shared/data")) / "hand-object"
        sequences = {name: real_sequence(data / folder) for name, folder in REAL_SEQUENCES.items()}
        inputs = [str(data / REAL_SEQUENCES["adapted to"] / "depth"), "--depth-unit-mm", "1"]
        inputs += ["--focal-px", str(REAL_CAMERA.fx)]
    else:
        (render_close_ups if given.close_ups else render_recordings)(given.work)
        sequences = {name: rendered_recording(recording_folder(given.work, name)) for name in RECORDINGS}
        inputs = [str(recording_folder(given.work, "adapted to"))]
    name = given.name or f"{'real' if given.real else 'rendered'}-{'quick' if given.quick else 'full'}"
    seconds = adapt(inputs, given.work / name, given.model, options)
    networks = {"before": given.model, "after": str(given.work / name)}
    report: dict[str, Any] = {"model": given.model, "options": options, "seconds": round(seconds, 1)}
    report["own report"] = read_json(given.work / f"{name}-adaptation" / "report.json")
    for when, model in networks.items():
        segmenter = Segmenter.load(model, backend="pytorch")
        report[when] = {sequence: scores_of(segmenter, frames) for sequence, frames in sequences.items()}
        for sequence, ways in report[when].items():
            print(when, sequence, ways, flush=True)
    if given.save is not None:
        write_json_atomically(given.save, report)


if __name__ == "__main__":
    main()
