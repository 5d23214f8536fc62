"""How a network teaches itself: recordings labelled by the stream, rounds of training on them and rendered frames."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from graspcut.frames.camera import CameraLike
from graspcut.frames.dataset import DatasetReader, DatasetWriter, open_dataset
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.sources import FoundFrame, find_frames
from graspcut.labels import UNKNOWN
from graspcut.nn.normalisation import recompute_batch_norms
from graspcut.nn.working_scale import WorkingScale
from graspcut.runtime.hardware import processor_features
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.adaptation_task import AdaptationTask
from graspcut.segmentation.mixing import frame_batch, mixed_views, working_focal_px
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import Smoother, StreamConfig
from graspcut.segmentation.task import TaskConfig
from graspcut.synth.place import PlaceConfig
from graspcut.train.streams import TrainingData
from graspcut.train.trainer import RunConfig, run_training

_TEACHER_UNIT_MM = 0.5
_FARTHEST_MM = 32_000.0
STATISTICS_FRAMES = 64
STRETCH_FRAMES = 60  # two seconds: what a frame takes from its neighbours comes from nearer
_BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16"}
_FRESH_SEED = 7_000_003

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AdaptationConfig:
    """How a network is adapted.

    Attributes:
        quick: only take batch-norm statistics from the recording; seconds, no training.
        rounds: how often the recording is labelled anew and trained on.
        steps: batches of each round.
        batch_size: frames in a batch.
        recording_share: share of batches with frames of the recording; on the others, which are rendered, the network
            is held to what it said before.
        statistics_share: share of the recording in the batch-norm statistics.
        certainty: probability from which a label of the teacher teaches.
        learning_rate: highest one.
        class_weights: of background, hand and object in the cross entropy.
        largest_loss: points of mean IOU on rendered frames of unseen kinds that may be lost, on those of all cameras
            and on close-ups; of a change that loses more, three, two or one quarters of the way are taken, or nothing.
        test_frames: how many of each of these are scored.
        most_frames: frames of the recordings that are used; of longer ones stretches of two seconds, spread over them.
        seed: of everything random.
        workers: processes that prepare batches.
        threads: of the network.
    """

    quick: bool = False
    # More steps, or a higher rate, forget more of what is not in the recording, see docs/results.md.
    rounds: int = 1
    steps: int = 200
    batch_size: int = 8
    recording_share: float = 0.3
    statistics_share: float = 0.5
    certainty: float = 0.9
    learning_rate: float = 1e-4
    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.3)
    largest_loss: float = 1.0
    test_frames: int = 200
    most_frames: int = 1200
    seed: int = 0
    workers: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("recording_share", "statistics_share", "certainty"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number between 0 and 1")
        for name in ("rounds", "steps", "batch_size", "test_frames", "most_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")


class Recordings:
    """The frames of the inputs, in a row for each of them; bad ones are noted and left out."""

    def __init__(
        self,
        inputs: Sequence[str | Path],
        depth_unit_mm: float | None,
        camera: CameraLike | None,
        most: int,
    ) -> None:
        self.failures: dict[str, str] = {}
        found = [find_frames([place], depth_unit_mm=depth_unit_mm, camera=camera) for place in inputs]
        self.parts = [in_stretches(frames, max(1, most // len(found))) for frames in found]

    def frames(self, part: list[FoundFrame]) -> Iterator[Frame]:
        """The usable frames of one input."""
        for entry in part:
            try:
                frame = entry.load()
            except FrameError as error:
                self.failures[entry.name] = str(error)
                continue
            depth = np.where(frame.depth_mm < _FARTHEST_MM, frame.depth_mm, np.float32(0))
            yield replace(frame, depth_mm=depth)


def in_stretches(frames: list[FoundFrame], most: int) -> list[FoundFrame]:
    """At most so many frames of a recording, in stretches of frames in a row that are spread over all of it."""
    if len(frames) <= most:
        return frames
    stretches = max(1, most // STRETCH_FRAMES)
    length = most // stretches
    starts = [number * (len(frames) - length) // max(1, stretches - 1) for number in range(stretches)]
    return [frame for start in starts for frame in frames[start : start + length]]


def streamed(
    segmenter: Segmenter, recordings: Recordings, part: list[FoundFrame]
) -> Iterator[tuple[Segmentation, Segmentation]]:
    """What each frame of one recording says alone, and with past and future."""
    smoother, waiting = Smoother(StreamConfig()), dict[int, Segmentation]()
    for position, frame in enumerate(recordings.frames(part)):
        waiting[position] = segmenter(frame)
        for settled, result in smoother.push(position, waiting[position], frame.timestamp_s):
            yield waiting.pop(settled), result
    for settled, result in smoother.finish():
        yield waiting.pop(settled), result


def statistics_batches(recordings: Recordings) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of the recordings, spread over them, one a batch."""
    total = sum(len(part) for part in recordings.parts)
    for part in recordings.parts:
        for frame in recordings.frames(part[:: max(1, math.ceil(total / STATISTICS_FRAMES))]):
            yield frame_batch(frame)


def take_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], share: float) -> None:
    """Batch-norm statistics over frames as the network meets them in use, mixed with its own."""
    recompute_batch_norms(WorkingScale(network, working_focal_px(network)), batches, share=share)


def teacher_folder(
    network: nn.Module,
    recordings: Recordings,
    part: list[FoundFrame],
    folder: Path,
    config: AdaptationConfig,
    say: Callable[[int], None],
) -> DatasetReader | None:
    """The frames of one recording with the labels of which past and future together are sure."""
    if not (folder / "dataset.json").exists():
        description = {"labels": "those of a network over time, where it was sure", "certainty": config.certainty}
        writer = DatasetWriter(folder, depth_unit_mm=_TEACHER_UNIT_MM, description=description, batched=True)
        count = 0
        shape: tuple[int, ...] | None = None
        for _, result in streamed(Segmenter.from_network(network, device="cpu"), recordings, part):
            shape = result.depth_mm.shape if shape is None else shape
            if result.depth_mm.shape == shape:  # one folder holds frames of one size
                sure = result.probabilities.max(axis=0) >= config.certainty
                labels = np.where(sure, result.labels, np.uint8(UNKNOWN))
                frame = Frame(result.depth_mm, camera=result.camera, name=f"{count:06d}")
                writer.write(count, LabelledFrame(frame, labels))
                count += 1
            say(count)
        if count == 0:
            return None
        writer.finish(count)
    return open_dataset(folder)


def train_round(
    network: nn.Module,
    before: nn.Module,
    folder_config: dict[str, Any],
    recordings: Recordings,
    folder: Path,
    config: AdaptationConfig,
    say: Progress,
    number: int,
    scene: PlaceConfig | None = None,
) -> bool:
    """Labels the recordings with the network as it is, and trains it on them and on rendered frames.

    Args:
        network: the network, changed in place.
        before: the one that the adaptation began with: rendered frames hold the network to what it says.
        folder_config: of the model.
        recordings: what to learn from.
        folder: of the round.
        config: how.
        say: told how far it is.
        number: of the round.
        scene: see `mixed_views`.

    Returns:
        False when it was stopped.
    """
    total, labelled = sum(len(part) for part in recordings.parts), 0
    readers = []
    for position, part in enumerate(recordings.parts):
        done = labelled
        reader = teacher_folder(
            network,
            recordings,
            part,
            folder / f"teacher-{position}",
            config,
            lambda count, done=done: say(f"labelling, round {number}", done + count, total),  # type: ignore[misc]
        )
        labelled += len(part)
        readers += [] if reader is None else [reader]
    task = AdaptationTask(folder_config["model"], _task_config(config), network, before)
    views = mixed_views(
        readers,
        network,
        recorded_share=config.recording_share,
        batch_size=config.batch_size,
        seed=_FRESH_SEED * (config.seed + 1) + 1009 * number,  # other rendered frames in each round
        scene=scene,
        held=True,
    )
    data = TrainingData(views, seed=config.seed + number, workers=config.workers)
    run = RunConfig(
        folder / "run",
        seed=config.seed + number,
        accelerator="cpu",
        # Half the time on processors that multiply in bfloat16, more on others.
        precision="bf16-mixed" if _BFLOAT16_UNITS & set(processor_features()) else "32-true",
        threads=config.threads,
        validate_every_steps=0,
        checkpoint_every_steps=200,
        progress_bar=True,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # the norms, on purpose
        result = run_training(task, data, run)
    if result.model_folder is None:
        return False
    _, weights = load_model_folder(result.model_folder)
    fill_network(network, weights, result.model_folder)
    network.eval()
    return True


def _task_config(config: AdaptationConfig) -> TaskConfig:
    task = TaskConfig.quick(config.steps, learning_rate=config.learning_rate, contour_part=0.0, average_decay=0.995)
    return replace(task, class_weights=config.class_weights)
