"""What a RealSense camera sees, labelled while it sees it: python camera_loop.py [FRAMES]

Needs the extra realsense. The camera is waited for, and found again when it was pulled out.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

from graspcut import Segmenter
from graspcut.frames.capture import find_camera
from graspcut.frames.live_sources import LiveSource, RealSenseCamera
from graspcut.segmentation.result import Segmentation


def labelled(source: LiveSource, segmenter: Segmenter, stop: threading.Event) -> Iterator[tuple[int, Segmentation]]:
    """Numbers and labels of a camera's frames, each steadied by those before it.

    Args:
        source: the camera, or a recording that plays as one (`graspcut.frames.live_sources.PlayedRecording`).
        segmenter: labels one frame.
        stop: ends the camera when it is set.
    """
    stream, state = segmenter.stream(), None
    for live in source.frames(stop, say=lambda text: print(text, file=sys.stderr)):
        result, state = stream.step(live.frame, state)
        yield live.number, result


def main() -> None:
    """Prints a line for each frame; a robot would do something with `result.labels` here."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else None
    stop = threading.Event()
    camera = RealSenseCamera(find_camera, width=640, height=480)
    for count, (number, result) in enumerate(labelled(camera, Segmenter.load(), stop), start=1):
        print(number, result)
        if count == most:
            stop.set()


if __name__ == "__main__":
    main()
