"""Segments many frames into a folder: one label map NAME.png for each, on request pictures, and summary.json.

How frames are found, continued, read and written side by side is in `graspcut.runtime.folder_run`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import CameraLike, given_camera
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_single_channel
from graspcut.labels import HAND, OBJECT
from graspcut.runtime.folder_run import FolderReport, FrameResult, ProgressCallback, run_over_frames
from graspcut.runtime.pipeline import LimitedCalls
from graspcut.segmentation.interfaces import FrameSegmenter
from graspcut.segmentation.pictures import Pictures
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import Smoother, StreamConfig


def segment_folder(
    inputs: Sequence[str | Path],
    out: str | Path,
    segmenter: FrameSegmenter,
    *,
    model_name: str,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera: CameraLike | None = None,
    overlay: bool = False,
    pictures: Pictures | None = None,
    video: bool = False,
    progress: ProgressCallback | None = None,
    workers: int | None = None,
) -> FolderReport:
    """Labels all frames of files, folders and recordings.

    Args:
        inputs, out, depth_unit_mm, progress, workers: See `run_over_frames`.
        segmenter: Labels one frame.
        model_name: Recorded in summary.json; a folder takes the results of one model only.
        focal_px: Focal length for frames whose source has no camera.
        camera: Intrinsics for these frames instead; whatever `Camera.of` takes.
        overlay: Write a picture of each result too; short for `pictures`.
        pictures: What else to write of each frame.
        video: The frames of each input follow each other in time: past and future steady the labels (see `stream.py`).
            The segmenter then has to give probabilities.

    Raises:
        FrameError: See `run_over_frames`.
        OSError: If results cannot be written.
    """
    given = given_camera(camera, focal_px)
    settings: dict[str, Any] = {"model": model_name, "depth_unit_mm": depth_unit_mm, "focal_px": focal_px}
    # None where it changes nothing: folders of earlier versions do not have it.
    sensitivity = getattr(segmenter, "sensitivity", 1.0)
    settings["sensitivity"] = None if sensitivity == 1.0 else sensitivity
    settings["video"] = True if video else None
    if camera is not None:
        settings["camera"] = str(camera)
    kind = _VideoJob if video else _SegmentationJob
    job = kind(segmenter, settings, Pictures(overlay=overlay) if pictures is None else pictures)
    return run_over_frames(
        inputs, out, job, depth_unit_mm=depth_unit_mm, camera=given, progress=progress, workers=workers
    )


@dataclass(frozen=True)
class _SegmentationJob:
    """See `graspcut.runtime.folder_run.FrameJob`; the arguments are those of `segment_folder`."""

    segmenter: FrameSegmenter
    settings: dict[str, Any]
    pictures: Pictures

    @property
    def identity(self) -> str:
        return str(getattr(self.segmenter, "digest", ""))

    @property
    def parallel_calls(self) -> int | None:
        found: int | None = getattr(self.segmenter, "parallel_calls", None)
        return found

    def outputs(self, name: str) -> tuple[str, ...]:
        return (*self.pictures.names(name), f"{name}.png")

    def process(self, frame: Frame, name: str, limited: LimitedCalls) -> FrameResult:
        found, seconds = limited(partial(self._timed_call, frame))
        return self._result(frame.depth_mm, self.pictures.colour_of(frame), name, found.labels, seconds)

    def _result(
        self,
        depth_mm: NDArray[np.float32],
        colour: NDArray[np.uint8] | None,
        name: str,
        labels: NDArray[np.uint8],
        seconds: float,
    ) -> FrameResult:
        # Labels come last: where they are, all is there.
        files = {**self.pictures.encoded(depth_mm, colour, labels, name), f"{name}.png": encode_image(labels, ".png")}
        return FrameResult(files, _row(labels, seconds))

    def reread(self, name: str, folder: Path) -> dict[str, Any]:
        return _row(read_single_channel(folder / f"{name}.png", what="label map"))

    def _timed_call(self, frame: Frame) -> tuple[Any, float]:
        started = time.perf_counter()
        found = self.segmenter(frame.depth_mm, frame.camera)
        return found, time.perf_counter() - started


@dataclass(frozen=True)
class _Seen:
    """A frame segmented on its own."""

    name: str
    own: Segmentation
    colour: NDArray[np.uint8] | None
    timestamp_s: float | None
    seconds: float


class _VideoJob(_SegmentationJob):
    """Labels from past and future; see `graspcut.runtime.sequences.SequenceJob`."""

    def look(self, frame: Frame, name: str, limited: LimitedCalls) -> _Seen:
        found, seconds = limited(partial(self._timed_call, frame))
        return _Seen(name, found, self.pictures.colour_of(frame), frame.timestamp_s, seconds)

    def sequence(self, wanted: Sequence[bool]) -> _VideoSequence:
        return _VideoSequence(self, wanted)


class _VideoSequence:
    """The frames of one recording on their way through a `Smoother`."""

    def __init__(self, job: _VideoJob, wanted: Sequence[bool]) -> None:
        config = StreamConfig()
        blocks = {position // config.block_frames for position, is_wanted in enumerate(wanted) if is_wanted}
        self._job, self._smoother = (
            job,
            Smoother(config, blocks, sensitivity=getattr(job.segmenter, "sensitivity", 1.0)),
        )
        self._seen: dict[int, tuple[str, NDArray[np.uint8] | None, float]] = {}

    def needs(self, position: int) -> bool:
        return self._smoother.needs(position)

    def push(self, position: int, look: _Seen | None) -> list[tuple[int, Callable[[], FrameResult]]]:
        if look is None:
            return self._makers(self._smoother.push(position, None))
        self._seen[position] = look.name, look.colour, look.seconds
        return self._makers(self._smoother.push(position, look.own, look.timestamp_s))

    def finish(self) -> list[tuple[int, Callable[[], FrameResult]]]:
        return self._makers(self._smoother.finish())

    def _makers(self, settled: list[tuple[int, Segmentation]]) -> list[tuple[int, Callable[[], FrameResult]]]:
        makers: list[tuple[int, Callable[[], FrameResult]]] = []
        for position, result in settled:
            name, colour, seconds = self._seen.pop(position)
            make = partial(self._job._result, result.depth_mm, colour, name, result.labels, seconds)
            makers.append((position, make))
        return makers


def _row(labels: NDArray[np.uint8], seconds: float | None = None) -> dict[str, Any]:
    """One line of the summary; the time is unknown for frames of an earlier, killed run."""
    return {
        "width": labels.shape[1],
        "height": labels.shape[0],
        "hand_pixels": int(np.count_nonzero(labels == HAND)),
        "object_pixels": int(np.count_nonzero(labels == OBJECT)),
        "milliseconds": None if seconds is None else round(seconds * 1000, 2),
    }
