"""The one-euro filter (Casiez, Roussel and Vogel 2012) over the joints of a recording.

A low-pass whose cut-off rises with speed: a hand at rest does not tremble, a fast one is not late. Absent joints stay
absent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.pose.result import HandJoints


@dataclass(frozen=True)
class OneEuroConfig:
    """The filter's numbers.

    Attributes:
        least_cutoff_hz: Cut-off at rest; lower is smoother.
        speed_factor: Hertz of cut-off for each mm/s of speed; higher is less late.
        speed_cutoff_hz: Cut-off of the speed itself.
        frames_per_s: Rate of frames without timestamps.
        reach_mm: A hand farther than this from where one was is another hand.
    """

    least_cutoff_hz: float = 1.5
    speed_factor: float = 0.01
    speed_cutoff_hz: float = 1.0
    frames_per_s: float = 30.0
    reach_mm: float = 150.0

    def __post_init__(self) -> None:
        values = (self.least_cutoff_hz, self.speed_cutoff_hz, self.frames_per_s, self.reach_mm)
        if min(values) <= 0 or self.speed_factor < 0:
            raise ValueError(f"{self}: expected positive numbers, and a speed factor of 0 or more.")


class OneEuroFilter:
    """Filters points that come one after the other; each coordinate of each point by itself.

    Args:
        config: The filter's numbers.
    """

    def __init__(self, config: OneEuroConfig | None = None) -> None:
        self.config = config or OneEuroConfig()
        self._value: NDArray[np.float64] | None = None
        self._speed: NDArray[np.float64] | None = None
        self._time_s = 0.0

    def __call__(self, points: NDArray[np.floating], time_s: float) -> NDArray[np.float64]:
        """The filtered points.

        Args:
            points: (..., k); NaN where there is none: it stays NaN, and the point begins anew when it comes back.
            time_s: Seconds; must rise.

        Raises:
            ValueError: If time does not rise.
        """
        values = np.asarray(points, np.float64)
        if self._value is None or self._speed is None:
            self._value, self._speed, self._time_s = values.copy(), np.zeros_like(values), time_s
            return values.copy()
        step_s = time_s - self._time_s
        if step_s <= 0:
            raise ValueError(f"the time went from {self._time_s} s to {time_s} s; expected it to rise.")
        fresh = ~np.isfinite(self._value)
        before = np.where(fresh, values, self._value)
        old_speed = np.where(np.isfinite(self._speed), self._speed, 0.0)
        speed = old_speed + _smoothing(self.config.speed_cutoff_hz, step_s) * ((values - before) / step_s - old_speed)
        cutoff = self.config.least_cutoff_hz + self.config.speed_factor * np.abs(speed)
        filtered = before + _smoothing(cutoff, step_s) * (values - before)
        self._value, self._speed, self._time_s = filtered, speed, time_s
        return filtered.copy()


def _smoothing(cutoff_hz: NDArray[np.float64] | float, step_s: float) -> NDArray[np.float64]:
    """Weight of the new value, 1 / (1 + tau / step), tau = 1 / (2 pi cut-off)."""
    tau = 1.0 / (2 * math.pi * np.asarray(cutoff_hz, np.float64))
    return np.asarray(1.0 / (1.0 + tau / step_s))


def smooth_hands(
    frames: Sequence[Sequence[HandJoints]], times_s: Sequence[float], config: OneEuroConfig | None = None
) -> list[list[HandJoints]]:
    """Filter the hands of a recording; a hand goes on the filter of the nearest hand of the frame before.

    Args:
        frames: The hands of every frame.
        times_s: (frames,) seconds, rising.
        config: The filter's numbers.

    Returns:
        The same hands with other joints.
    """
    config = config or OneEuroConfig()
    tracks: list[tuple[NDArray[np.float64], OneEuroFilter]] = []
    out = []
    for hands, time_s in zip(frames, times_s, strict=True):
        free, kept, filtered = list(tracks), [], []
        for hand in hands:
            centre = _centre(hand)
            distances = [float(np.linalg.norm(centre - place)) for place, _ in free]
            best = int(np.argmin(distances)) if distances else -1
            known = best >= 0 and distances[best] <= config.reach_mm
            one_euro = free.pop(best)[1] if known else OneEuroFilter(config)
            joints = one_euro(hand.joints_mm, time_s)
            kept.append((centre, one_euro))
            filtered.append(dataclasses.replace(hand, joints_mm=joints.astype(np.float32)))
        tracks = kept
        out.append(filtered)
    return out


def _centre(hand: HandJoints) -> NDArray[np.float64]:
    known = hand.joints_mm[np.isfinite(hand.joints_mm).all(axis=1)]
    return np.asarray(known.mean(axis=0), np.float64) if len(known) else np.full(3, np.inf)
