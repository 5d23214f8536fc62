"""The binary message that carries one labelled frame to a screen; docs/live.md describes it for other programs.

    bytes 0..3      "GCL1"
    bytes 4..7      N, uint32: length of the header
    N bytes         header: JSON (UTF-8), filled up with spaces so that what follows begins at a multiple of 8
    2 H W bytes     depth: uint16, row by row, in steps of depth_unit_mm; 0 = no data
    H W bytes       labels: uint8, row by row: 0 background, 1 hand, 2 object

All numbers are little-endian.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.segmentation.live import LiveResult

MAGIC = b"GCL1"
_START = 8
_MOST_HEADER_BYTES = 4096


@dataclass(frozen=True, eq=False)
class LiveMessage:
    """What a message says.

    Attributes:
        number: of the frame, counted by the source; grows from message to message, with gaps.
        depth_raw: (H, W) uint16 in steps of `depth_unit_mm`, 0 = no data.
        labels: (H, W) uint8.
        depth_unit_mm: millimetres per step.
        timestamp_s: of the source, or None.
        label_ms: time from capture until the labels were there.
    """

    number: int
    depth_raw: NDArray[np.uint16]
    labels: NDArray[np.uint8]
    depth_unit_mm: float
    timestamp_s: float | None
    label_ms: float


def encode(shown: LiveResult) -> bytes:
    """The message of a labelled frame. Depth beyond what 16 bits hold becomes 0 = no data."""
    live, labels = shown.live, shown.result.labels
    height, width = labels.shape
    header: dict[str, Any] = {
        "number": live.number,
        "width": width,
        "height": height,
        "depth_unit_mm": live.depth_unit_mm,
        "timestamp_s": live.frame.timestamp_s,
        "label_ms": round(1000 * (shown.labelled_s - live.captured_s), 2),
    }
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + _START) % 8)
    steps = np.multiply(live.frame.depth_mm, np.float32(1 / live.depth_unit_mm))
    np.rint(steps, out=steps)
    if float(steps.max(initial=0.0)) > 65535:
        steps[steps > 65535] = 0
    start = MAGIC + len(text).to_bytes(4, "little")
    return b"".join((start, text, steps.astype("<u2").data, np.ascontiguousarray(labels).data))


def decode(message: bytes) -> LiveMessage:
    """Reads what `encode` wrote.

    Raises:
        FrameError: it is something else, or cut off.
    """
    length = int.from_bytes(message[4:_START], "little")
    if message[:4] != MAGIC or not 0 < length <= _MOST_HEADER_BYTES or len(message) < _START + length:
        raise FrameError(f"a message of {len(message)} bytes came; expected one that begins with {MAGIC!r}.")
    try:
        header = json.loads(message[_START : _START + length])
        height, width = int(header["height"]), int(header["width"])
        pixels, start = height * width, _START + length
        if min(height, width) < 1 or len(message) != start + 3 * pixels:
            raise FrameError(f"a message of {len(message)} bytes came; expected {start + 3 * pixels} for its size.")
        time_s = header["timestamp_s"]
        return LiveMessage(
            int(header["number"]),
            np.frombuffer(message, "<u2", pixels, start).reshape(height, width),
            np.frombuffer(message, np.uint8, pixels, start + 2 * pixels).reshape(height, width),
            float(header["depth_unit_mm"]),
            None if time_s is None else float(time_s),
            float(header["label_ms"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError(f"the header of a message is damaged ({error}).") from error
