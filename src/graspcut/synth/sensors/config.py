"""How strong each effect of the simulated depth sensor is.

Nothing here is claimed as measured: the presets have the size that published models (Nguyen, Izadi and Lovell 2012 for
the Kinect's axial noise; Handa et al. for its disparity steps) and a look at real frames suggest, and
`SensorConfig.randomised` draws every strength anew so that a network does not learn one sensor.

Lengths "in pixels" count pixels of a frame with the focal length `REFERENCE_FOCAL_PX` (320x240 of an SR300); patterns
grow with the focal length of the frame that is simulated. What happens between neighbouring pixels (smoothing, blur of
the noise) stays 3x3 at any size.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

REFERENCE_FOCAL_PX = 238.0


@dataclass(frozen=True)
class SensorConfig:
    """Strength of every effect; the defaults are an ideal sensor that changes nothing.

    Attributes:
        baseline_mm: projector's offset from the camera along x; positive: on the camera's right, so shadows lie left of
            near things.
        surface_step_mm: neighbours further apart are not joined by a surface for the shadow and the smoothing.
        flying_probability: share of the pixels at a jump that get a depth between both surfaces.
        flying_step_mm: smallest such jump.
        stripe_amplitude_mm: height of the saw-tooth where the surface's susceptibility is 1.
        stripe_period_px: length of one tooth.
        stripe_angle_deg: direction across the stripes: 0 along the rows of the image, 90 along its columns.
        stripe_everywhere: susceptibility that every surface has at least, 0..1.
        bias_mm: largest slow error.
        bias_wavelength_px: size of its waves, and of the waves of the stripes' phase.
        jitter_px: standard deviation of the lookup's shift at edges.
        edge_loss_probability: share of the pixels beside a step that are lost.
        edge_near_share: the near side of a step loses this share of what the far side does.
        edge_step_mm: smallest such step; a neighbour without data is one as well.
        grazing_from_deg, grazing_to_deg: tilt from which pixels start to get lost, and from which all are.
        smooth_step_mm: the 3x3 mean takes in neighbours closer than this in depth; 0 = no smoothing.
        smooth_after_noise: smooth the noisy depth, as a camera's own filter does, not the depth before the noise:
            sigma is then smaller than configured and the noise spreads over more pixels.
        noise_base_mm, noise_quadratic, noise_offset_m: axial sigma in mm = base + quadratic (z - offset)^2, z in
            metres.
        noise_blur: 0 = white, 1 = as a 3x3 mean; sigma is the same.
        noise_tilt_limit: sigma grows as 1 / cos(tilt) up to this factor.
        speck_loss_probability: share of single missing pixels.
        speck_probability, speck_mm: share of single wrong pixels and their largest error.
        hole_probability, hole_cell_px: chance of a hole in each cell of a grid, and its cell size; a hole is an ellipse
            of 12 to 50 % of it.
        dark_probability, dark_cell_px, dark_loss: the same for patches in which a share `dark_loss` of the pixels is
            missing.
        near_mm, far_mm: range.
        disparity_mm: depth is disparity_mm / whole number before the quantum is applied; 0 = off. (Kinect: focal x
            baseline x 8.)
        quantum_mm: step of the output; 0 = none.
    """

    baseline_mm: float = 0.0
    surface_step_mm: float = 15.0
    flying_probability: float = 0.0
    flying_step_mm: float = 12.0
    stripe_amplitude_mm: float = 0.0
    stripe_period_px: float = 7.0
    stripe_angle_deg: float = 0.0
    stripe_everywhere: float = 0.0
    bias_mm: float = 0.0
    bias_wavelength_px: float = 60.0
    jitter_px: float = 0.0
    edge_loss_probability: float = 0.0
    edge_near_share: float = 0.5
    edge_step_mm: float = 25.0
    grazing_from_deg: float = 90.0
    grazing_to_deg: float = 90.0
    smooth_step_mm: float = 0.0
    smooth_after_noise: bool = False
    noise_base_mm: float = 0.0
    noise_quadratic: float = 0.0
    noise_offset_m: float = 0.0
    noise_blur: float = 0.0
    noise_tilt_limit: float = 4.0
    speck_loss_probability: float = 0.0
    speck_probability: float = 0.0
    speck_mm: float = 30.0
    hole_probability: float = 0.0
    hole_cell_px: float = 12.0
    dark_probability: float = 0.0
    dark_cell_px: float = 70.0
    dark_loss: float = 0.5
    near_mm: float = 0.0
    far_mm: float = 1e6
    disparity_mm: float = 0.0
    quantum_mm: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value):
                raise ValueError(f"SensorConfig.{field.name} is {value}; expected a finite number")
            if value < 0.0 and field.name not in ("baseline_mm", "stripe_angle_deg"):
                raise ValueError(f"SensorConfig.{field.name} is {value}; expected 0 or more")
            if value > 1.0 and field.name.endswith(("_probability", "_everywhere", "_blur", "_loss", "_share")):
                raise ValueError(f"SensorConfig.{field.name} is {value}; expected a share of at most 1")
        for name in ("stripe_period_px", "bias_wavelength_px", "hole_cell_px", "dark_cell_px"):
            if getattr(self, name) < 2.0:
                raise ValueError(f"SensorConfig.{name} is {getattr(self, name)}; expected at least 2 pixels")
        if self.grazing_to_deg < self.grazing_from_deg or self.grazing_to_deg > 90.0:
            raise ValueError(
                f"SensorConfig grazing range is {self.grazing_from_deg}..{self.grazing_to_deg} degrees; "
                "expected from <= to <= 90"
            )

    @property
    def has_pattern(self) -> bool:
        """Whether there is a slow bias or a stripe anywhere."""
        return self.bias_mm > 0.0 or self.stripe_amplitude_mm > 0.0

    @property
    def has_noise(self) -> bool:
        """Whether there is axial noise."""
        return self.noise_base_mm > 0.0 or self.noise_quadratic > 0.0

    @classmethod
    def ideal(cls) -> SensorConfig:
        """Return a sensor that changes nothing."""
        return cls()

    @classmethod
    def sr300(cls) -> SensorConfig:
        """Return a coded-light short-range camera: little noise, 0.125 mm steps, stripes, shadow on the left."""
        return cls(
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

    @classmethod
    def kinect(cls) -> SensorConfig:
        """Return a Kinect-like sensor: noise of Nguyen et al. 2012, disparity in 1/8 px at f = 580 px and 75 mm."""
        return cls(
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

    @classmethod
    def randomised(cls, rng: np.random.Generator, base: str = "sr300") -> SensorConfig:
        """Return a sensor whose strengths are drawn anew.

        Args:
            rng: source of the draws; the number of draws is the same for every result of one base.
            base: "sr300", "kinect" or "ideal" (which is returned as it is).

        Raises:
            ValueError: if `base` is no preset.
        """
        if base == "ideal":
            return cls()
        if base not in ("sr300", "kinect"):
            raise ValueError(f"sensor {base!r} is not known; expected one of: sr300, kinect, ideal")

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def logarithmic(low: float, high: float) -> float:
            return float(math.exp(rng.uniform(math.log(low), math.log(high))))

        def sometimes(probability: float, value: float) -> float:
            return value if rng.random() < probability else 0.0

        wavelength = logarithmic(8.0, 110.0)
        side = -1.0 if rng.random() < 0.3 else 1.0
        drawn = cls(
            baseline_mm=side * between(10.0, 60.0),
            flying_probability=sometimes(0.85, between(0.0, 0.5)),
            stripe_amplitude_mm=sometimes(0.9, logarithmic(0.3, 13.0)),
            stripe_period_px=between(3.0, 14.0),
            stripe_angle_deg=sometimes(0.4, 90.0) + between(-15.0, 15.0),
            stripe_everywhere=sometimes(0.5, logarithmic(0.01, 0.3)),
            bias_mm=between(0.0, 2.0) * math.sqrt(min(wavelength / 60.0, 1.0)),
            bias_wavelength_px=wavelength,
            jitter_px=between(0.0, 0.65),
            edge_loss_probability=sometimes(0.85, between(0.0, 0.9)),
            edge_near_share=between(0.1, 1.0),
            grazing_from_deg=between(68.0, 80.0),
            grazing_to_deg=between(80.0, 89.0),
            smooth_step_mm=sometimes(0.6, between(3.0, 12.0)),
            smooth_after_noise=bool(rng.random() < 0.5),
            noise_base_mm=logarithmic(0.04, 0.6),
            noise_quadratic=logarithmic(0.1, 3.2),
            noise_blur=sometimes(0.75, between(0.0, 1.0)),
            speck_loss_probability=sometimes(0.4, logarithmic(1e-4, 1e-2)),
            speck_probability=sometimes(0.3, logarithmic(5e-5, 3e-3)),
            speck_mm=logarithmic(10.0, 200.0),
            hole_probability=sometimes(0.25, logarithmic(1e-3, 0.03)),
            hole_cell_px=between(6.0, 30.0),
            dark_probability=sometimes(0.25, between(0.02, 0.15)),
            dark_cell_px=between(30.0, 110.0),
            dark_loss=between(0.05, 0.95),
            near_mm=between(120.0, 200.0),
            far_mm=between(1200.0, 3000.0),
            quantum_mm=float(rng.choice([0.125, 0.25, 1.0, 2.0], p=[0.4, 0.1, 0.4, 0.1])),
        )
        if base == "sr300":
            return drawn
        return dataclasses.replace(
            drawn,
            baseline_mm=math.copysign(between(65.0, 85.0), side),
            stripe_amplitude_mm=sometimes(0.2, logarithmic(0.3, 3.0)),
            noise_base_mm=between(0.6, 1.8),
            noise_quadratic=between(1.0, 3.0),
            noise_offset_m=0.4,
            near_mm=between(300.0, 450.0),
            far_mm=between(3500.0, 5000.0),
            disparity_mm=between(480.0, 620.0) * 75.0 * 8.0,
            quantum_mm=1.0,
        )
