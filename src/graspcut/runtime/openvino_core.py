"""OpenVINO's core, one for the whole process."""

from __future__ import annotations

import functools

import openvino


@functools.cache
def shared_core() -> openvino.Core:
    """OpenVINO's only core in this process; it is never closed.

    Each core gives the thread that makes it a signal stack and, when it is closed, the one it found before. Two cores
    closed in the order they were made leave a stack that is no more, and the next signal (Ctrl-C, the end of a child
    process) ends the program with a segmentation fault.
    """
    return openvino.Core()
