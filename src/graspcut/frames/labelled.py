"""A frame with its ground truth: labels, instances, hand parts and joints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND, FOREARM_PART, HAND, JOINT_NAMES, LABEL_NAMES, OBJECT, UNKNOWN

_ALLOWED_LABELS = np.zeros(256, dtype=bool)
_ALLOWED_LABELS[[BACKGROUND, HAND, OBJECT, UNKNOWN]] = True
_JOINTS = len(JOINT_NAMES)


@dataclass(frozen=True)
class Instance:
    """One hand or object.

    Attributes:
        id: Its value in the instance map, 1..255.
        label: `HAND` or `OBJECT`.
        name: "left hand", "right hand" or the kind of object.
    """

    id: int
    label: int
    name: str

    def __post_init__(self) -> None:
        if not 1 <= self.id <= 255 or self.label not in (HAND, OBJECT):
            raise FrameError(
                f"instance {self.name!r} has id {self.id} and label {self.label}; expected an id of 1..255 (0 is no "
                f"instance) and label {HAND} (hand) or {OBJECT} (object)."
            )


def check_labels(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Checks a label map: uint8 of `shape` with no value but 0, 1, 2 and 255; raises `FrameError` otherwise."""
    _check_map("labels", labels, shape)
    # The largest value settles nearly all maps at a tenth of the price.
    if int(labels.max()) > OBJECT and not _ALLOWED_LABELS[labels].all():
        wrong = sorted({int(value) for value in np.unique(labels)} - {BACKGROUND, HAND, OBJECT, UNKNOWN})
        raise FrameError(
            f"labels have the value(s) {wrong[:8]}; expected 0 background, 1 hand, 2 object or 255 unknown. "
            "Map the numbers of the other data set to these first."
        )


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame and its ground truth. Maps are those of the visible surface at each depth pixel.

    Attributes:
        frame: The frame.
        labels: (H, W) uint8: 0 background, 1 hand, 2 object, 255 unknown.
        instances: (H, W) uint8, 0 = none, else the id of an entry of `instance_table`; or None.
        parts: (H, W) uint8 values of `graspcut.labels.PART_NAMES`; or None.
        joints_mm: (n, 21, 3) float32 in the depth camera's frame, mm; row i belongs to the i-th hand of
            `instance_table`. Either every hand has a row or none has.
        joints_visible: (n, 21) bool: the surface at the joint is not hidden.
        instance_table: Every hand and object of the scene, seen or not.

    Raises:
        FrameError: If an array has another type, shape or value than stated here.
    """

    frame: Frame
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint8] | None = None
    parts: NDArray[np.uint8] | None = None
    joints_mm: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, _JOINTS, 3), dtype=np.float32))
    joints_visible: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, _JOINTS), dtype=bool))
    instance_table: tuple[Instance, ...] = ()

    def __repr__(self) -> str:
        known = self.labels != UNKNOWN
        shares = [f"{name} {np.mean(self.labels[known] == label):.1%}" for label, name in enumerate(LABEL_NAMES)]
        more = f", {len(self.instance_table)} instances" if self.instance_table else ""
        hands = f", {len(self.joints_mm)} hands with joints" if len(self.joints_mm) else ""
        return f"LabelledFrame({self.frame!r}, {', '.join(shares) if known.any() else 'all unknown'}{more}{hands})"

    def __post_init__(self) -> None:
        shape = self.frame.depth_mm.shape
        check_labels(self.labels, shape)
        object.__setattr__(self, "instance_table", tuple(self.instance_table))
        ids = [instance.id for instance in self.instance_table]
        if len(set(ids)) != len(ids):
            raise FrameError(f"the instance table has ids {ids}; expected each id once.")
        if self.instances is not None:
            _check_map("instances", self.instances, shape)
            known = np.zeros(256, dtype=bool)
            known[[0, *ids]] = True
            if not known[: int(self.instances.max()) + 1].all() and not known[self.instances].all():
                wrong = sorted({int(value) for value in np.unique(self.instances)} - {0, *ids})
                raise FrameError(
                    f"the instance map has id(s) {wrong[:8]} that are not in the table; expected 0 or {ids}."
                )
        if self.parts is not None:
            _check_map("parts", self.parts, shape)
            if int(self.parts.max()) > FOREARM_PART:
                raise FrameError(f"the part map goes up to {int(self.parts.max())}; expected 0..{FOREARM_PART}.")
        self._check_joints()

    def _check_joints(self) -> None:
        hands = len(self.hands)
        count = self.joints_mm.shape[0] if self.joints_mm.ndim == 3 else -1
        if (
            count not in (0, hands)
            or self.joints_mm.shape != (count, _JOINTS, 3)
            or self.joints_visible.shape != (count, _JOINTS)
            or self.joints_mm.dtype != np.float32
            or self.joints_visible.dtype != np.bool_
        ):
            raise FrameError(
                f"joints_mm is {self.joints_mm.shape} {self.joints_mm.dtype} and joints_visible "
                f"{self.joints_visible.shape} {self.joints_visible.dtype} for {hands} hand(s); expected ({hands}, "
                f"{_JOINTS}, 3) float32 and ({hands}, {_JOINTS}) bool, or 0 rows if joints are unknown."
            )
        if not np.isfinite(self.joints_mm).all():
            raise FrameError("joints_mm has NaN or infinity; expected millimetres. Leave out joints that are unknown.")

    @property
    def hands(self) -> tuple[Instance, ...]:
        """The hands of the table, in the order of the joint rows."""
        return tuple(instance for instance in self.instance_table if instance.label == HAND)


def _check_map(name: str, values: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.uint8:
        came = f"{values.shape} {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        raise FrameError(f"{name} came as {came}; expected uint8 of the depth image's shape {shape}.")
