"""Loader processes: single-threaded, deaf to the signals of a stop, and never longer-lived than their parent."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
from types import FrameType

import cv2
import torch

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_parent_is_leaving = multiprocessing.get_context("fork").Value("b", 0, lock=False)
_parent = os.getpid()


@atexit.register  # after multiprocessing's own, so it runs before that, which ends and then waits for all workers
def _say_that_this_process_leaves() -> None:
    if os.getpid() == _parent:
        _parent_is_leaving.value = 1


class _LeaveAtTheSecondTime:
    """SIGTERM handler of a loader process.

    The first SIGTERM may be meant for the whole process group: the parent then saves, and needs its workers till then.
    The next one, or the first after the parent has begun to end, comes from the parent, which waits for ever for a
    worker that does not end.
    """

    def __init__(self) -> None:
        self.warned = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.warned or _parent_is_leaving.value:
            os._exit(0)
        self.warned = True


def prepare_worker(_worker: int = 0) -> None:
    """Makes a loader process a single-threaded one that leaves the signals of a stop to its parent."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    signal.signal(signal.SIGTERM, _LeaveAtTheSecondTime())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # a parent that is killed cannot end its workers
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        import numba
    except ImportError:  # a machine that trains from folders needs no renderer
        return
    numba.set_num_threads(1)
