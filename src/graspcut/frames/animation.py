"""Moving pictures: GIF with what OpenCV brings, MP4 (H.264) with PyAV, the extra `import`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError

SUFFIXES = (".gif", ".mp4")
_LARGEST_GIF_WIDTH = 480  # a GIF stores every pixel of every frame


def write_animation(path: str | Path, images: Sequence[NDArray[np.uint8]], frames_per_second: float = 15.0) -> None:
    """Writes pictures as a GIF that repeats for ever, or as an MP4, by the name's ending; whole or not at all.

    Args:
        path: ends in .gif or .mp4.
        images: (H, W, 3) uint8 RGB, all of one size. A GIF is made at most 480 pixels wide, an MP4 keeps the size
            but for an odd last row or column.
        frames_per_second: more than 0; a GIF knows hundredths of a second.

    Raises:
        FrameError: no pictures, or of several sizes, or another ending.
        ModuleNotFoundError: MP4 without PyAV.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise FrameError(f"{path} ends in {path.suffix or 'nothing'}; expected {' or '.join(SUFFIXES)}.")
    if not images or len({image.shape for image in images}) != 1 or images[0].ndim != 3:
        shapes = sorted({image.shape for image in images})
        raise FrameError(f"{len(images)} pictures of {shapes} came; expected some, all (H, W, 3) of one size.")
    if not frames_per_second > 0:
        raise FrameError(f"{frames_per_second} frames a second; expected more than 0.")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"animation{path.suffix}"
        (_write_gif if path.suffix == ".gif" else _write_mp4)(written, images, frames_per_second)
        write_bytes_atomically(path, written.read_bytes())


def _write_gif(path: Path, images: Sequence[NDArray[np.uint8]], frames_per_second: float) -> None:
    height, width = images[0].shape[:2]
    size = (width, height)
    if width > _LARGEST_GIF_WIDTH:
        size = (_LARGEST_GIF_WIDTH, max(1, round(height * _LARGEST_GIF_WIDTH / width)))
    animation = cv2.Animation()
    animation.frames = [
        cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR) for image in images
    ]
    animation.durations = [max(20, 10 * round(100 / frames_per_second))] * len(images)
    animation.loop_count = 0
    if not cv2.imwriteanimation(str(path), animation):
        raise FrameError(f"OpenCV could not write {len(images)} pictures as a GIF.")


def _write_mp4(path: Path, images: Sequence[NDArray[np.uint8]], frames_per_second: float) -> None:
    from fractions import Fraction

    import av

    height, width = (side - side % 2 for side in images[0].shape[:2])
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20"}
        for image in images:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
