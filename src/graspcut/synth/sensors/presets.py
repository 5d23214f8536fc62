"""The depth cameras that can be rendered: intrinsics, the strength of every error, and how these vary.

Nothing here is claimed as measured, see `config.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.synth.sensors.config import SensorConfig
from graspcut.synth.sensors.names import SensorName


@dataclass(frozen=True)
class SensorPreset:
    """One kind of depth camera.

    Attributes:
        camera: Intrinsics for a width and a height in pixels.
        config: Strength of its errors.
        draw: The same with every strength drawn anew, so that a network does not learn one sensor.
    """

    camera: Callable[[int, int], Camera]
    config: SensorConfig
    draw: Callable[[np.random.Generator], SensorConfig]


class _Draws:
    """Draws from a few distributions; every argument that is a draw costs its random number, used or not."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def logarithmic(self, low: float, high: float) -> float:
        return float(math.exp(self.rng.uniform(math.log(low), math.log(high))))

    def sometimes(self, probability: float, value: float) -> float:
        return value if self.rng.random() < probability else 0.0


def _sr300() -> SensorConfig:
    """A coded-light short-range camera: little noise, 0.125 mm steps, stripes, shadow on the left."""
    return SensorConfig(
        baseline_mm=30.0,
        flying_probability=0.15,
        stripe_amplitude_mm=4.0,
        stripe_period_px=6.0,
        stripe_everywhere=0.05,
        bias_mm=0.6,
        jitter_px=0.45,
        edge_loss_probability=0.4,
        grazing_from_deg=75.0,
        grazing_to_deg=84.0,
        smooth_step_mm=6.0,
        noise_base_mm=0.2,
        noise_quadratic=1.6,
        noise_blur=0.6,
        speck_loss_probability=0.0005,
        speck_probability=0.0002,
        hole_probability=0.01,
        dark_probability=0.05,
        near_mm=150.0,
        far_mm=1800.0,
        quantum_mm=0.125,
    )


def _kinect() -> SensorConfig:
    """A Kinect-like sensor: noise of Nguyen et al. 2012, disparity in 1/8 px at f = 580 px and 75 mm."""
    return SensorConfig(
        baseline_mm=75.0,
        flying_probability=0.2,
        bias_mm=1.0,
        jitter_px=0.6,
        edge_loss_probability=0.5,
        grazing_from_deg=70.0,
        grazing_to_deg=82.0,
        noise_base_mm=1.2,
        noise_quadratic=1.9,
        noise_offset_m=0.4,
        noise_blur=0.7,
        speck_loss_probability=0.001,
        speck_probability=0.0002,
        hole_probability=0.015,
        dark_probability=0.1,
        near_mm=300.0,
        far_mm=4500.0,
        disparity_mm=580.0 * 75.0 * 8.0,
        quantum_mm=1.0,
    )


def _draw_sr300(rng: np.random.Generator) -> SensorConfig:
    """A short-range camera of any make."""
    draws = _Draws(rng)
    wavelength = draws.logarithmic(8.0, 110.0)
    side = -1.0 if draws.rng.random() < 0.3 else 1.0
    return SensorConfig(
        baseline_mm=side * draws.between(10.0, 60.0),
        flying_probability=draws.sometimes(0.85, draws.between(0.0, 0.5)),
        stripe_amplitude_mm=draws.sometimes(0.9, draws.logarithmic(0.3, 13.0)),
        stripe_period_px=draws.between(3.0, 14.0),
        stripe_angle_deg=draws.sometimes(0.4, 90.0) + draws.between(-15.0, 15.0),
        stripe_everywhere=draws.sometimes(0.5, draws.logarithmic(0.01, 0.3)),
        bias_mm=draws.between(0.0, 2.0) * math.sqrt(min(wavelength / 60.0, 1.0)),
        bias_wavelength_px=wavelength,
        jitter_px=draws.between(0.0, 0.65),
        edge_loss_probability=draws.sometimes(0.85, draws.between(0.0, 0.9)),
        edge_near_share=draws.between(0.1, 1.0),
        grazing_from_deg=draws.between(68.0, 80.0),
        grazing_to_deg=draws.between(80.0, 89.0),
        smooth_step_mm=draws.sometimes(0.6, draws.between(3.0, 12.0)),
        smooth_after_noise=bool(draws.rng.random() < 0.5),
        noise_base_mm=draws.logarithmic(0.04, 0.6),
        noise_quadratic=draws.logarithmic(0.1, 3.2),
        noise_blur=draws.sometimes(0.75, draws.between(0.0, 1.0)),
        speck_loss_probability=draws.sometimes(0.4, draws.logarithmic(1e-4, 1e-2)),
        speck_probability=draws.sometimes(0.3, draws.logarithmic(5e-5, 3e-3)),
        speck_mm=draws.logarithmic(10.0, 200.0),
        hole_probability=draws.sometimes(0.25, draws.logarithmic(1e-3, 0.03)),
        hole_cell_px=draws.between(6.0, 30.0),
        dark_probability=draws.sometimes(0.25, draws.between(0.02, 0.15)),
        dark_cell_px=draws.between(30.0, 110.0),
        dark_loss=draws.between(0.05, 0.95),
        near_mm=draws.between(120.0, 200.0),
        far_mm=draws.between(1200.0, 3000.0),
        quantum_mm=float(draws.rng.choice([0.125, 0.25, 1.0, 2.0], p=[0.4, 0.1, 0.4, 0.1])),
    )


def _draw_kinect(rng: np.random.Generator) -> SensorConfig:
    """A long-range camera with coarse disparity."""
    drawn = _draw_sr300(rng)
    draws = _Draws(rng)
    return dataclasses.replace(
        drawn,
        baseline_mm=math.copysign(draws.between(65.0, 85.0), drawn.baseline_mm),
        stripe_amplitude_mm=draws.sometimes(0.2, draws.logarithmic(0.3, 3.0)),
        noise_base_mm=draws.between(0.6, 1.8),
        noise_quadratic=draws.between(1.0, 3.0),
        noise_offset_m=0.4,
        near_mm=draws.between(300.0, 450.0),
        far_mm=draws.between(3500.0, 5000.0),
        disparity_mm=draws.between(480.0, 620.0) * 75.0 * 8.0,
        quantum_mm=1.0,
    )


# 16 bits of 1/8 mm, as datasets are stored, hold 8 m.
_IDEAL = SensorConfig(far_mm=8000.0)

SENSORS: Final[dict[SensorName, SensorPreset]] = {
    "sr300": SensorPreset(Camera.sr300, _sr300(), _draw_sr300),
    "kinect": SensorPreset(Camera.kinect, _kinect(), _draw_kinect),
    "ideal": SensorPreset(Camera.sr300, _IDEAL, lambda rng: _IDEAL),
}


def sensor_preset(name: str) -> SensorPreset:
    """The preset of a name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    for known, preset in SENSORS.items():
        if known == name:
            return preset
    raise ValueError(f"sensor {name!r} is unknown; known sensors: {', '.join(SENSORS)}")
