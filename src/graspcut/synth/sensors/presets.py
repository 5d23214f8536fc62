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
from graspcut.synth.sensors.names import SENSOR_NAMES, SensorName


@dataclass(frozen=True)
class SensorPreset:
    """One kind of depth camera.

    Attributes:
        camera: Intrinsics for a width and a height in pixels.
        config: Strength of its errors.
        draw: The same with every strength drawn anew, so that a network does not learn one sensor.
        focal_range: Smallest and largest focal length among cameras of this kind, as shares of `camera`'s.
        share: How often "mix" takes it.
    """

    camera: Callable[[int, int], Camera]
    config: SensorConfig
    draw: Callable[[np.random.Generator], SensorConfig]
    focal_range: tuple[float, float] = (1.0, 1.0)
    share: float = 0.0

    def draw_camera(self, rng: np.random.Generator, width: int, height: int) -> Camera:
        """A camera of this kind: another focal length, and an axis a little off the middle."""
        camera = self.camera(width, height)
        low, high = self.focal_range
        scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        shift = rng.normal(0, 0.008, 2) * max(width, height)
        return dataclasses.replace(
            camera,
            fx=camera.fx * scale,
            fy=camera.fy * scale,
            cx=camera.cx + float(shift[0]),
            cy=camera.cy + float(shift[1]),
        )


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


def _stereo() -> SensorConfig:
    """A stereo camera such as D400, OAK-D and ZED: wide smooth edges, noise in disparity, a shadow on one side."""
    return SensorConfig(
        window_px=1.6,
        blur_px=1.4,
        blur_step_mm=40.0,
        wave_quadratic=4.0,
        wave_px=3.0,
        baseline_mm=55.0,
        flying_probability=0.1,
        bias_mm=1.0,
        jitter_px=0.3,
        edge_loss_probability=0.1,
        grazing_from_deg=82.0,
        grazing_to_deg=88.0,
        noise_base_mm=0.2,
        noise_quadratic=0.8,
        noise_blur=1.0,
        hole_probability=0.01,
        hole_cell_px=25.0,
        dark_probability=0.04,
        near_mm=250.0,
        far_mm=6000.0,
        disparity_mm=238.0 * 55.0 * 32.0,
        quantum_mm=1.0,
    )


def _draw_stereo(rng: np.random.Generator) -> SensorConfig:
    draws = _Draws(rng)
    side = -1.0 if rng.random() < 0.25 else 1.0
    return SensorConfig(
        window_px=draws.sometimes(0.9, draws.between(0.4, 2.8)),
        blur_px=draws.sometimes(0.85, draws.between(0.4, 2.4)),
        blur_step_mm=draws.logarithmic(8.0, 250.0),
        wave_quadratic=draws.logarithmic(1.0, 14.0),
        wave_px=draws.between(2.0, 7.0),
        # Some cameras fill the shadow from behind.
        baseline_mm=side * draws.sometimes(0.7, draws.logarithmic(35.0, 120.0)),
        surface_step_mm=draws.between(10.0, 40.0),
        flying_probability=draws.sometimes(0.6, draws.between(0.0, 0.4)),
        stripe_amplitude_mm=draws.sometimes(0.1, draws.logarithmic(0.3, 4.0)),
        stripe_period_px=draws.between(3.0, 14.0),
        bias_mm=draws.between(0.0, 4.0),
        bias_wavelength_px=draws.logarithmic(15.0, 150.0),
        jitter_px=draws.between(0.0, 0.6),
        edge_loss_probability=draws.sometimes(0.5, draws.between(0.0, 0.6)),
        edge_near_share=draws.between(0.1, 1.0),
        grazing_from_deg=draws.between(79.0, 86.0),
        grazing_to_deg=draws.between(86.0, 89.5),
        smooth_step_mm=draws.sometimes(0.6, draws.between(5.0, 40.0)),
        smooth_after_noise=True,
        noise_base_mm=draws.logarithmic(0.05, 0.6),
        noise_quadratic=draws.logarithmic(0.1, 2.5),
        noise_blur=draws.between(0.4, 1.0),
        speck_loss_probability=draws.sometimes(0.3, draws.logarithmic(1e-4, 5e-3)),
        speck_probability=draws.sometimes(0.2, draws.logarithmic(5e-5, 1e-3)),
        speck_mm=draws.logarithmic(20.0, 300.0),
        hole_probability=draws.sometimes(0.5, draws.logarithmic(2e-3, 0.06)),
        hole_cell_px=draws.between(10.0, 60.0),
        dark_probability=draws.sometimes(0.4, draws.between(0.02, 0.15)),
        dark_cell_px=draws.between(30.0, 130.0),
        dark_loss=draws.between(0.2, 1.0),
        near_mm=draws.between(120.0, 400.0),
        far_mm=draws.between(2500.0, 8000.0),
        disparity_mm=draws.logarithmic(9500.0, 50000.0) * float(rng.choice([8.0, 16.0, 32.0])),
        quantum_mm=float(rng.choice([0.125, 1.0], p=[0.25, 0.75])),
    )


def _tof() -> SensorConfig:
    """A time-of-flight camera such as Azure Kinect, Kinect v2, Femto and L515: flying pixels, multipath, soft noise."""
    return SensorConfig(
        blur_px=0.6,
        blur_step_mm=30.0,
        flying_probability=0.6,
        flying_step_mm=15.0,
        bias_mm=3.0,
        bias_wavelength_px=80.0,
        jitter_px=0.2,
        edge_loss_probability=0.25,
        grazing_from_deg=76.0,
        grazing_to_deg=86.0,
        noise_base_mm=0.8,
        noise_quadratic=1.0,
        noise_blur=0.3,
        noise_tilt_limit=6.0,
        dark_probability=0.06,
        near_mm=250.0,
        far_mm=5000.0,
        quantum_mm=1.0,
    )


def _draw_tof(rng: np.random.Generator) -> SensorConfig:
    draws = _Draws(rng)
    return SensorConfig(
        blur_px=draws.sometimes(0.6, draws.between(0.4, 1.3)),
        blur_step_mm=draws.logarithmic(10.0, 120.0),
        baseline_mm=draws.sometimes(0.4, draws.between(-25.0, 25.0)),
        flying_probability=draws.sometimes(0.9, draws.between(0.1, 0.95)),
        flying_step_mm=draws.between(8.0, 25.0),
        bias_mm=draws.between(0.0, 8.0),  # multipath and wiggling
        bias_wavelength_px=draws.logarithmic(25.0, 200.0),
        jitter_px=draws.between(0.0, 0.5),
        edge_loss_probability=draws.sometimes(0.7, draws.between(0.0, 0.8)),
        edge_near_share=draws.between(0.2, 1.0),
        grazing_from_deg=draws.between(76.0, 84.0),
        grazing_to_deg=draws.between(84.0, 89.5),
        smooth_step_mm=draws.sometimes(0.5, draws.between(4.0, 25.0)),
        smooth_after_noise=bool(rng.random() < 0.5),
        noise_base_mm=draws.logarithmic(0.2, 2.5),
        noise_quadratic=draws.logarithmic(0.2, 3.0),
        noise_blur=draws.sometimes(0.5, draws.between(0.0, 1.0)),
        noise_tilt_limit=draws.between(3.0, 8.0),
        speck_loss_probability=draws.sometimes(0.3, draws.logarithmic(1e-4, 5e-3)),
        hole_probability=draws.sometimes(0.2, draws.logarithmic(1e-3, 0.02)),
        hole_cell_px=draws.between(6.0, 30.0),
        dark_probability=draws.sometimes(0.5, draws.between(0.02, 0.2)),
        dark_cell_px=draws.between(20.0, 110.0),
        dark_loss=draws.between(0.05, 1.0),
        near_mm=draws.between(120.0, 450.0),
        far_mm=draws.between(2500.0, 7000.0),
        quantum_mm=float(rng.choice([0.25, 1.0], p=[0.3, 0.7])),
    )


def _lidar() -> SensorConfig:
    """A phone's scanner (256x192 from a few hundred points): smooth, with rounded edges and hardly a hole."""
    return SensorConfig(
        cell_px=3.5,
        bias_mm=2.0,
        bias_wavelength_px=30.0,
        noise_base_mm=0.1,
        noise_quadratic=0.2,
        noise_blur=1.0,
        near_mm=150.0,
        far_mm=5000.0,
        quantum_mm=1.0,
    )


def _draw_lidar(rng: np.random.Generator) -> SensorConfig:
    draws = _Draws(rng)
    return SensorConfig(
        cell_px=draws.between(1.8, 5.5),
        blur_px=draws.sometimes(0.4, draws.between(0.5, 1.5)),
        blur_step_mm=draws.logarithmic(10.0, 100.0),
        bias_mm=draws.between(0.5, 6.0),
        bias_wavelength_px=draws.logarithmic(12.0, 90.0),
        wave_quadratic=draws.sometimes(0.5, draws.logarithmic(0.3, 4.0)),
        wave_px=draws.between(3.0, 10.0),
        noise_base_mm=draws.logarithmic(0.02, 0.4),
        noise_quadratic=draws.logarithmic(0.02, 0.4),
        noise_blur=1.0,
        near_mm=draws.between(100.0, 250.0),
        far_mm=draws.between(4000.0, 6000.0),
        quantum_mm=float(rng.choice([0.25, 1.0])),
    )


def _camera_of(focal_share: float) -> Callable[[int, int], Camera]:
    """Cameras of a kind: the focal length is a share of the longer side."""
    return lambda width, height: Camera.from_focal_length(width, height, focal_share * max(width, height))


# 16 bits of 1/8 mm, as datasets are stored, hold 8 m.
_IDEAL = SensorConfig(far_mm=8000.0)

SENSORS: Final[dict[SensorName, SensorPreset]] = {
    "sr300": SensorPreset(Camera.sr300, _sr300(), _draw_sr300, (0.93, 1.07), 0.3),
    "kinect": SensorPreset(Camera.kinect, _kinect(), _draw_kinect, (0.9, 1.05), 0.12),
    # D435 0.60, OAK-D 0.69, ZED 0.72 to 1.1, D415 0.95 of the width.
    "stereo": SensorPreset(_camera_of(0.7), _stereo(), _draw_stereo, (0.8, 1.4), 0.3),
    # Azure Kinect 0.79 (narrow), Kinect v2 0.71, L515 0.72.
    "tof": SensorPreset(_camera_of(0.74), _tof(), _draw_tof, (0.85, 1.12), 0.17),
    "lidar": SensorPreset(_camera_of(0.83), _lidar(), _draw_lidar, (0.9, 1.1), 0.11),
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
    raise ValueError(f"sensor {name!r} is unknown; known sensors: {', '.join(SENSOR_NAMES)}")


def draw_preset(rng: np.random.Generator, name: str) -> SensorPreset:
    """The preset of a name, or one of all for "mix".

    Raises:
        ValueError: As `sensor_preset`.
    """
    if name != "mix":
        return sensor_preset(name)
    presets = [preset for preset in SENSORS.values() if preset.share > 0.0]
    shares = np.array([preset.share for preset in presets])
    return presets[int(rng.choice(len(presets), p=shares / shares.sum()))]
