"""How strong each effect of the simulated depth sensor is.

Nothing here is claimed as measured: the presets (`presets.py`) have the size that published models (Nguyen, Izadi and
Lovell 2012 for the Kinect's axial noise; Handa et al. for its disparity steps) and a look at real frames suggest.

Lengths "in pixels" count pixels of a frame with the focal length `REFERENCE_FOCAL_PX` (320x240 of an SR300); patterns
grow with the focal length of the frame that is simulated. What happens between neighbouring pixels (smoothing, blur of
the noise) stays 3x3 at any size.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

REFERENCE_FOCAL_PX = 238.0


@dataclass(frozen=True)
class SensorConfig:
    """Strength of every effect; the defaults are an ideal sensor that changes nothing.

    Attributes:
        window_px: half a stereo matcher's window: near surfaces are wider by this.
        blur_px, blur_step_mm: half the window over which disparity is averaged, where that changes depth by less than
            the step.
        cell_px: size of the cells in which a scanner measures; between them depth is interpolated. 0 = every pixel.
        wave_quadratic, wave_px: noise in disparity that is correlated over some pixels: sigma in mm at a distance of
            one metre, growing with its square, and the size of the waves.
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

    window_px: float = 0.0
    blur_px: float = 0.0
    blur_step_mm: float = 20.0
    cell_px: float = 0.0
    wave_quadratic: float = 0.0
    wave_px: float = 4.0
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
    def resolves_coarsely(self) -> bool:
        """Whether optics or matcher change the clean depth before all other errors."""
        return self.window_px > 0.0 or self.blur_px > 0.0 or self.cell_px > 0.0

    @property
    def has_noise(self) -> bool:
        """Whether there is axial noise."""
        return self.noise_base_mm > 0.0 or self.noise_quadratic > 0.0
