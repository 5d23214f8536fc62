"""The result for one frame: hands with their joints and parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import draw_joints, overlay_parts
from graspcut.frames.camera import Camera
from graspcut.labels import JOINT_NAMES


@dataclass(frozen=True, eq=False)
class HandJoints:
    """One hand.

    Attributes:
        joints_mm: (21, 3) float32 in the camera frame, order of `graspcut.labels.JOINT_NAMES`; NaN for joints that are
            absent: outside the picture, or not to be told.
        confidence: (21,) float32, the chance that the joint is within 20 mm of its place; 0 where absent.
        visible: (21,) bool: the surface at the joint is seen.
        right_probability: Chance that it is a right hand.
    """

    joints_mm: NDArray[np.float32]
    confidence: NDArray[np.float32]
    visible: NDArray[np.bool_]
    right_probability: float

    def __repr__(self) -> str:
        side = "right" if self.right_probability >= 0.5 else "left"
        found = int(np.isfinite(self.joints_mm).all(axis=-1).sum())
        return f"HandJoints({side}, {found} of {len(self.joints_mm)} joints, {int(self.visible.sum())} visible)"

    @property
    def handedness(self) -> str:
        """ "right" or "left"."""
        return "right" if self.right_probability >= 0.5 else "left"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; absent joints are null."""
        joints = [
            [round(float(value), 2) for value in joint] if np.isfinite(joint).all() else None
            for joint in self.joints_mm
        ]
        return {
            "handedness": self.handedness,
            "right_probability": round(self.right_probability, 4),
            "joints_mm": joints,
            "confidence": [round(float(value), 4) for value in self.confidence],
            "visible": [bool(value) for value in self.visible],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HandJoints:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: If it is something else.
        """
        try:
            joints = np.array([[np.nan] * 3 if joint is None else joint for joint in values["joints_mm"]], np.float32)
            hand = cls(
                joints,
                np.array(values["confidence"], np.float32),
                np.array(values["visible"], bool),
                float(values["right_probability"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a hand's joints cannot be read ({error}); delete the file to make it again.") from error
        if hand.joints_mm.shape != (len(JOINT_NAMES), 3):
            raise ValueError(f"a hand has joints of shape {joints.shape}; expected (21, 3).")
        return hand


@dataclass(frozen=True, eq=False)
class HandPoses:
    """All hands of a frame.

    Attributes:
        hands: In the order of the masks that were given.
        parts: (H, W) uint8: 0 no hand, 1..20 parts, 21 forearm.
        depth_mm: (H, W) float32, the frame.
        camera: Its camera.
    """

    hands: tuple[HandJoints, ...]
    parts: NDArray[np.uint8]
    depth_mm: NDArray[np.float32]
    camera: Camera

    def __repr__(self) -> str:
        height, width = self.depth_mm.shape
        return f"HandPoses({width}x{height}, {len(self.hands)} hands: {', '.join(map(repr, self.hands)) or 'none'})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"joint_names": list(JOINT_NAMES), "hands": [hand.to_dict() for hand in self.hands]}

    def draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: shaded depth, the parts in colour, bones and joints."""
        picture = overlay_parts(self.depth_mm, self.parts)
        for hand in self.hands:
            picture = draw_joints(picture, self.camera.project(hand.joints_mm), hand.visible)
        return picture


class EstimatesPose(Protocol):
    """What is needed of a `graspcut.PoseEstimator`."""

    def __call__(
        self, depth_mm: NDArray[Any], masks: Sequence[NDArray[np.bool_]], camera: Camera | None = None, /
    ) -> HandPoses: ...
