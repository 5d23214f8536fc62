"""How long a predictor takes for a frame and for a folder of frames, and what memory many frames leave behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graspcut.frames.images import encode_image
from graspcut.runtime.contract import BackendError
from graspcut.runtime.method import Method
from graspcut.runtime.predictor import Predictor

SIZES = ((320, 240), (640, 480))
DIFFERENT_FRAMES = 40
_SEED = 777_003

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class FolderSpeed:
    """How fast a run over a folder was.

    Attributes:
        frames: number of frames.
        seconds: wall time; decoding, computing and encoding.
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
    """Memory of this process while one function does many frames.

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


def median_ms(call: Callable[[], object], *, repeats: int = 7) -> float:
    """Median time of a call in milliseconds; one call before the clock starts.

    Args:
        call: such as `Method.timed_call` gives.
        repeats: measured calls.
    """
    times = []
    call()
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000


def folder_speed(
    method: Method,
    predictor: Predictor,
    *,
    frames: int,
    width: int,
    height: int,
    different: int = DIFFERENT_FRAMES,
    progress: ProgressCallback | None = None,
) -> FolderSpeed:
    """Times a method's run over a folder of rendered frames with a camera's noise, in a temporary folder.

    Args:
        method: the method.
        predictor: of the method; it is called once before the clock starts.
        frames: number of PNG files; they repeat after `different` ones.
        width, height: of the frames in pixels.
        different: frames that are rendered.
        progress: called with (frames done, frames in all).

    Raises:
        ValueError: `frames` is less than 1, or the method does not run over folders of depth images.
        RuntimeError: frames could not be used.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected 1 or more")
    if method.run_folder is None:
        raise BackendError(f"{method.task} models do not run over folders of depth images: leave --folder-frames out")
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
        method.timed_call(predictor, width, height)()
        report = method.run_folder(
            [folder],
            Path(temporary) / "results",
            predictor,
            depth_unit_mm=1.0,
            focal_px=config.camera().fx,
            progress=progress,
        )
    if report.failures:
        raise RuntimeError(f"{len(report.failures)} of {frames} frames failed, the first: {report.failures[0][1]}")
    return FolderSpeed(report.done, report.seconds, predictor.description)


def memory_growth(
    call: Callable[[], object], description: str, *, frames: int, progress: ProgressCallback | None = None
) -> MemoryGrowth:
    """Does a call many times and looks at the memory of this process.

    Args:
        call: one frame.
        description: of what runs.
        frames: calls.
        progress: called with (frames done, frames in all).

    Raises:
        ValueError: fewer than 10 frames.
    """
    if frames < 10:
        raise ValueError(f"frames is {frames}, expected at least 10: memory is read after a tenth of them")
    early = None
    for number in range(1, frames + 1):
        call()
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
