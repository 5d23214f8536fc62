"""The one-euro filter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graspcut.pose.result import HandJoints
from graspcut.pose.smoothing import OneEuroConfig, OneEuroFilter, smooth_hands


def slow_filter(values: list[float], step_s: float, config: OneEuroConfig) -> list[float]:
    """The paper's algorithm for one number."""

    def alpha(cutoff: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / step_s)

    out, speed = [values[0]], 0.0
    for value in values[1:]:
        a = alpha(config.speed_cutoff_hz)
        speed = a * (value - out[-1]) / step_s + (1 - a) * speed
        a = alpha(config.least_cutoff_hz + config.speed_factor * abs(speed))
        out.append(a * value + (1 - a) * out[-1])
    return out


def hand(place: float) -> HandJoints:
    return HandJoints(np.full((21, 3), place, np.float32), np.ones(21, np.float32), np.ones(21, bool), 1.0)


def test_equals_the_algorithm_for_one_number() -> None:
    values = np.random.default_rng(0).normal(0, 5, 40).cumsum()
    config = OneEuroConfig()
    one_euro = OneEuroFilter(config)
    found = [float(one_euro(np.array([value]), index / 30)[0]) for index, value in enumerate(values)]
    np.testing.assert_allclose(found, slow_filter(values.tolist(), 1 / 30, config), atol=1e-9)


def test_still_hands_tremble_less_and_fast_ones_are_not_late() -> None:
    rng = np.random.default_rng(1)
    still = [hand(500 + float(noise)) for noise in rng.normal(0, 3, 60)]
    times = [index / 30 for index in range(60)]
    smoothed = smooth_hands([[one] for one in still], times)
    spread = [
        np.std([float(frame.joints_mm[0, 0]) for frame in frames]) for frames in (still, [f[0] for f in smoothed])
    ]
    assert spread[1] < 0.5 * spread[0]
    moving = [hand(20.0 * index) for index in range(60)]  # 600 mm/s
    late = float(moving[-1].joints_mm[0, 0] - smooth_hands([[one] for one in moving], times)[-1][0].joints_mm[0, 0])
    assert 0 <= late < 40


def test_absent_joints_stay_absent_and_hands_are_told_apart() -> None:
    gone = hand(100.0)
    gone.joints_mm[4] = np.nan
    frames = [[hand(100.0), hand(600.0)], [hand(601.0), gone], [hand(102.0)]]
    out = smooth_hands(frames, [0.0, 1 / 30, 2 / 30])
    assert np.isnan(out[1][1].joints_mm[4]).all() and np.isfinite(out[2][0].joints_mm).all()
    assert out[1][0].joints_mm[0, 0] > 600 and out[2][0].joints_mm[0, 0] == pytest.approx(101, abs=1)
    one_euro = OneEuroFilter()
    one_euro(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="rise"):
        one_euro(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="positive"):
        OneEuroConfig(least_cutoff_hz=0)
