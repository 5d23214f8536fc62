"""How long segmenters take on this machine: a frame, a folder of frames; and what memory many leave behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.images import encode_image
from graspcut.segmentation.batch import FrameSegmenter, segment_folder

SIZES = ((320, 240), (640, 480))
DIFFERENT_FRAMES = 40
_SEED = 777_003

TimedCall = Callable[[NDArray[Any], Camera], object]
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class FolderSpeed:
    """How fast `segment_folder` was.

    Attributes:
        frames: number of frames.
        seconds: wall time; decoding, segmenting and encoding.
        description: what ran.
    """

    frames: int
    seconds: float
    description: str

    @property
    def frames_per_s(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    def as_json(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**asdict(self), "frames_per_s": self.frames_per_s}


@dataclass(frozen=True)
class MemoryGrowth:
    """Memory of this process while one segmenter does many frames.

    Attributes:
        description: what ran.
        frames: number of frames.
        early_mb, late_mb: resident memory in MB after a tenth of the frames and after all; None where the system does
            not say it.
    """

    description: str
    frames: int
    early_mb: float | None
    late_mb: float | None

    @property
    def growth_mb(self) -> float | None:
        """What the last nine tenths of the frames added, in MB."""
        return None if self.early_mb is None or self.late_mb is None else self.late_mb - self.early_mb

    def as_json(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**asdict(self), "growth_mb": self.growth_mb}


def example_frame(width: int, height: int) -> tuple[NDArray[np.uint16], Camera]:
    """A slope with a ball before it: (height, width) millimetres, and its camera.

    The time does not depend on what is in the picture.
    """
    column, row = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    depth = (600.0 + 100.0 * row / height).astype(np.uint16)
    depth[np.hypot(column, row) < 0.15 * width] = 400
    return depth, Camera.sr300(width, height)


def median_frame_ms(segmenter: TimedCall, width: int, height: int, *, repeats: int = 7) -> float:
    """Median time from raw depth to labels of one frame, in milliseconds; one call before the clock starts.

    Args:
        segmenter: labels one frame.
        width, height: size of the frame in pixels.
        repeats: measured calls.
    """
    depth, camera = example_frame(width, height)
    times = []
    segmenter(depth, camera)
    for _ in range(repeats):
        started = time.perf_counter()
        segmenter(depth, camera)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000


def folder_speed(
    segmenter: FrameSegmenter,
    description: str,
    *,
    frames: int,
    width: int,
    height: int,
    different: int = DIFFERENT_FRAMES,
    progress: ProgressCallback | None = None,
) -> FolderSpeed:
    """Times `segment_folder` on rendered frames with a camera's noise, in a temporary folder.

    Args:
        segmenter: labels one frame; it is called once before the clock starts.
        description: of the segmenter.
        frames: number of PNG files; they repeat after `different` ones.
        width, height: of the frames in pixels.
        different: frames that are rendered.
        progress: called with (frames done, frames in all).

    Raises:
        ValueError: `frames` is less than 1.
        RuntimeError: frames could not be segmented.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected 1 or more")
    from graspcut.synth.generator import FrameGenerator, SynthConfig

    config = SynthConfig(width=width, height=height, profile="v1", colour=False)
    generator = FrameGenerator(config, _SEED)
    with tempfile.TemporaryDirectory(prefix="graspcut-speed-") as temporary:
        folder = Path(temporary) / "frames"
        folder.mkdir()
        encoded = []
        for index in range(min(frames, different)):
            depth = np.rint(generator[index].frame.depth_mm).astype(np.uint16)
            encoded.append(encode_image(depth, ".png"))
        for number in range(frames):
            (folder / f"{number:06d}.png").write_bytes(encoded[number % len(encoded)])
        depth_mm, camera = example_frame(width, height)
        segmenter(depth_mm.astype(np.float32), camera)
        report = segment_folder(
            [folder],
            Path(temporary) / "labels",
            segmenter,
            model_name=description,
            depth_unit_mm=1.0,
            focal_px=config.camera().fx,
            progress=progress,
        )
    if report.failures:
        raise RuntimeError(f"{len(report.failures)} of {frames} frames failed, the first: {report.failures[0][1]}")
    return FolderSpeed(report.segmented, report.seconds, description)


def memory_growth(
    segmenter: TimedCall,
    description: str,
    *,
    frames: int,
    width: int,
    height: int,
    progress: ProgressCallback | None = None,
) -> MemoryGrowth:
    """Segments many frames and looks at the memory of this process.

    Args:
        segmenter: labels one frame.
        description: of the segmenter.
        frames: calls.
        width, height: of the frame in pixels.
        progress: called with (frames done, frames in all).

    Raises:
        ValueError: fewer than 10 frames.
    """
    if frames < 10:
        raise ValueError(f"frames is {frames}, expected at least 10: memory is read after a tenth of them")
    depth, camera = example_frame(width, height)
    early = None
    for number in range(1, frames + 1):
        segmenter(depth, camera)
        if number == frames // 10:
            early = resident_mb()
        if progress is not None:
            progress(number, frames)
    return MemoryGrowth(description, frames, early, resident_mb())


def resident_mb() -> float | None:
    """Memory of this process that is in RAM, in MB (10^6 bytes); None where the system does not say it."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        return None
    sizes = (line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))
    size = next(sizes, None)
    return None if size is None else int(size) * 1024 / 1e6
