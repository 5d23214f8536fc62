"""A segmenter whose networks run in Ray workers, on this machine or on a cluster: for folders past one machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.runtime.opening import OpenOptions
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation


class _Worker:
    """A network in a process of its own."""

    def __init__(self, options: OpenOptions, sensitivity: float) -> None:
        self._segmenter = Segmenter.open(options)
        self._segmenter.sensitivity = sensitivity

    def segment(
        self, depth_mm: NDArray[np.float32], camera: Camera | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        result = self._segmenter(depth_mm, camera)
        return result.labels, result.probabilities


class RaySegmenter:
    """Labels one depth frame in the next free worker; `segment_folder` calls it from one thread a worker.

    A worker that dies is started again and its frame is given out once more, so nothing is lost.

    Args:
        segmenter: Opened here with the same options; says which weights they are.
        options: How the workers open it.
        workers: How many.

    Raises:
        ModuleNotFoundError: Without the extra `scale`.
    """

    def __init__(self, segmenter: Segmenter, options: OpenOptions, workers: int) -> None:
        import queue

        import ray

        self._ray = ray
        self.sensitivity = segmenter.sensitivity
        self.digest = segmenter.digest
        self.parallel_calls = workers
        remote: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Worker)
        self._free: queue.Queue[Any] = queue.Queue()
        for _ in range(workers):
            self._free.put(remote.remote(options, segmenter.sensitivity))

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Segmentation:
        """Labels of a depth image of any size."""
        worker = self._free.get()
        try:
            labels, probabilities = self._ray.get(worker.segment.remote(depth_mm, camera))
        finally:
            self._free.put(worker)
        return Segmentation(labels, probabilities, depth_mm, camera)
