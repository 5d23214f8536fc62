"""Which of a frame's hands are left and which are right: what the pose method says of a hand's mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.pose.result import EstimatesPose
from graspcut.scene.instances import Side


@dataclass(frozen=True)
class HandSides:
    """Tells left from right hands, where the pose method is sure enough.

    Attributes:
        estimator: the pose method.
        least_probability: of the likelier side; below it a hand has no side. 0.5 always chooses one.
        least_area_mm2: hands of which the camera sees less have no side; an open hand has some 12,000.
    """

    estimator: EstimatesPose
    least_probability: float = 0.65
    least_area_mm2: float = 2000.0

    @property
    def digest(self) -> str:
        """Of the weights; empty if it is not known."""
        return str(getattr(self.estimator, "digest", ""))

    @property
    def parallel_calls(self) -> int | None:
        """How many threads may call at the same time and gain from it; None if it is not known."""
        return getattr(self.estimator, "parallel_calls", None)

    def __call__(self, depth_mm: NDArray[np.float32], mask: NDArray[np.bool_], camera: Camera | None) -> Side | None:
        """The side of one hand.

        Args:
            depth_mm: (H, W) millimetres, 0 = no data.
            mask: (H, W) bool, the hand without what it holds.
            camera: of the frame; None takes a focal length of 0.745 times the width.
        """
        if camera is None:
            height, width = depth_mm.shape
            camera = Camera.from_focal_length(width, height, focal_length_px(None, width))
        seen_mm = depth_mm[mask & (depth_mm > 0)].astype(np.float64)
        if float(np.square(seen_mm).sum()) / (camera.fx * camera.fy) < self.least_area_mm2:
            return None
        right = self.estimator(depth_mm, [mask], camera).hands[0].right_probability
        if max(right, 1 - right) < self.least_probability:
            return None
        return "right" if right >= 0.5 else "left"
