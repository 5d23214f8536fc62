"""A depth camera's imperfections on a clean depth image; all effects configurable.

Order of the effects: what optics and matcher resolve (`matching.py`), projector shadow, flying pixels, bias and
stripes, lateral jitter, edge loss, grazing loss, waves, smoothing, axial noise, specks, holes, range, quantum;
`config.py` says what each is.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graspcut.synth.kernels.random_numbers import hash32, lattice, stage_key
from graspcut.synth.sensors import loops, matching
from graspcut.synth.sensors.config import REFERENCE_FOCAL_PX, SensorConfig
from graspcut.synth.sensors.measuring_stages import (
    EdgeBitsNumbers,
    EdgeNumbers,
    FlyingNumbers,
    PatternNumbers,
    ShadowNumbers,
    TiltNumbers,
)
from graspcut.synth.sensors.output_stages import NoiseNumbers, OutputNumbers

NEAREST_MM = 100.0  # the shadow test treats nearer surfaces as if they were here

# Stages of `random_numbers.stage_key`; a new use takes a new number.
_FLYING, _FIELD, _PHASE, _EDGE, _NOISE, _HOLES, _DARK, _OUTPUT, _WAVES = range(9)

FloatImage = npt.NDArray[np.float32]
IndexImage = npt.NDArray[np.int32]


@dataclass(frozen=True)
class SensorTables:
    """What one frame's stages need beside the images: their numbers, lattices and blobs.

    Attributes:
        shadow, tilt, edge_bits, flying, pattern, edge, noise, output: Numbers of the stages of these names.
        covered_bins: Columns of the projector's row.
        fields: float64 (H, columns, 2), slow bias and drift of the stripes' phase, a lattice row for each image row.
        smooth_step: Neighbours closer than this [mm] are averaged; 0 = none.
        holes, dark: float32 tables of `loops.blob_table`.
        blob_numbers: float64 (2, 3), see `output_stages.output_pixel`.
    """

    shadow: ShadowNumbers
    covered_bins: int
    tilt: TiltNumbers
    edge_bits: EdgeBitsNumbers
    flying: FlyingNumbers
    fields: npt.NDArray[np.float64]
    pattern: PatternNumbers
    edge: EdgeNumbers
    smooth_step: float
    noise: NoiseNumbers
    holes: npt.NDArray[np.float32]
    dark: npt.NDArray[np.float32]
    blob_numbers: npt.NDArray[np.float64]
    output: OutputNumbers


def prepare_tables(height: int, width: int, focal_px: float, config: SensorConfig, seed: int) -> SensorTables:
    """Draw the tables of one frame and the numbers of every stage."""
    scale = focal_px / REFERENCE_FOCAL_PX
    shift = focal_px * config.baseline_mm
    cell = max(0.5 * config.bias_wavelength_px * scale, 2.0)
    rows, columns = int((height - 1) / cell) + 2, int((width - 1) / cell) + 2
    fields = np.empty((height, columns, 2), np.float64)
    loops.lattice_rows(lattice(stage_key(seed, _FIELD), rows, columns, 2), 1.0 / cell, fields)
    phase_key = stage_key(seed, _PHASE)
    (holes, dark), blob_numbers = _blobs(height, width, scale, config, seed, phase_key)
    return SensorTables(
        shadow=ShadowNumbers(abs(shift), shift < 0.0, config.surface_step_mm),
        covered_bins=width + 4 + int(abs(shift) / NEAREST_MM),
        tilt=TiltNumbers(float(focal_px), 1.0 / (focal_px * focal_px)),
        edge_bits=EdgeBitsNumbers(config.flying_step_mm, config.edge_step_mm),
        flying=FlyingNumbers(config.flying_probability, stage_key(seed, _FLYING)),
        fields=fields,
        pattern=_pattern_numbers(config, scale, cell, shift, hash32(phase_key, 0) / 2.0**32),
        edge=_edge_numbers(config, scale, stage_key(seed, _EDGE)),
        smooth_step=config.smooth_step_mm,
        noise=NoiseNumbers(
            config.noise_base_mm,
            config.noise_quadratic,
            config.noise_offset_m,
            config.noise_blur,
            config.noise_tilt_limit,
            stage_key(seed, _NOISE),
        ),
        holes=holes,
        dark=dark,
        blob_numbers=blob_numbers,
        output=OutputNumbers(
            config.dark_loss,
            config.speck_loss_probability,
            config.speck_probability,
            config.speck_mm,
            config.near_mm,
            config.far_mm,
            config.disparity_mm,
            config.quantum_mm,
            stage_key(seed, _OUTPUT),
        ),
    )


def _pattern_numbers(config: SensorConfig, scale: float, cell: float, shift: float, phase: float) -> PatternNumbers:
    period = config.stripe_period_px * scale
    angle = math.radians(config.stripe_angle_deg)
    return PatternNumbers(
        1.0 / cell,
        config.bias_mm,
        config.stripe_amplitude_mm,
        config.stripe_everywhere,
        math.cos(angle) / period,
        math.sin(angle) / period,
        phase,
        shift,
    )


def _edge_numbers(config: SensorConfig, scale: float, key: int) -> EdgeNumbers:
    grazing_from = math.cos(math.radians(config.grazing_from_deg))
    grazing_to = math.cos(math.radians(config.grazing_to_deg))
    return EdgeNumbers(
        config.jitter_px * scale,
        config.edge_loss_probability,
        # The second pixel from a step is lost less often, but the border is as wide in angle at any resolution.
        config.edge_loss_probability * min(0.35 * scale, 1.0),
        config.edge_near_share,
        grazing_from,
        1.0 / max(grazing_from - grazing_to, 1e-6),
        key,
    )


def _blobs(
    height: int, width: int, scale: float, config: SensorConfig, seed: int, phase_key: int
) -> tuple[list[FloatImage], npt.NDArray[np.float64]]:
    """Tables of holes and of dark patches, and where their grids begin."""
    numbers = np.zeros((2, 3), np.float64)
    tables = []
    for row, (stage, probability, cell_px) in enumerate(
        (
            (_HOLES, config.hole_probability, config.hole_cell_px * scale),
            (_DARK, config.dark_probability, config.dark_cell_px * scale),
        )
    ):
        size = max(cell_px, 2.0)
        numbers[row] = (
            1.0 / size,
            size * hash32(phase_key, 2 * row + 1) / 2.0**32,
            size * hash32(phase_key, 2 * row + 2) / 2.0**32,
        )
        shape = (int(height / size) + 2, int(width / size) + 2)
        tables.append(loops.blob_table(stage_key(seed, stage), *shape, probability))
    return tables, numbers


class _Workspace(threading.local):
    """Buffers of the last frame's size, one set a thread: the page faults of fresh ones cost as much as a stage."""

    shape: tuple[int, int, int] = (0, 0, 0)

    def fit(self, height: int, width: int, bins: int) -> None:
        if self.shape[:2] != (height, width):
            self.first = np.empty((height, width), np.float32)
            self.second = np.empty((height, width), np.float32)
            self.inverse_cosine = np.empty((height, width), np.float32)
            self.edges = np.empty((height, width), np.uint8)
            self.first_source = np.empty((height, width), np.int32)
            self.second_source = np.empty((height, width), np.int32)
            self.white = np.empty((height + 2, width + 2), np.float32)
            self.covered = np.empty((height, bins), np.float32)
        elif self.shape[2] != bins:
            self.covered = np.empty((height, bins), np.float32)
        self.shape = (height, width, bins)


_workspace = _Workspace()


def check_arguments(depth_mm: FloatImage, stripes: FloatImage, focal_px: float) -> tuple[int, int]:
    """Return (H, W) of valid arguments of `simulate`.

    Raises:
        ValueError: if an array has another shape or dtype, or the focal length is not positive.
    """
    for name, array in (("depth_mm", depth_mm), ("stripes", stripes)):
        if array.ndim != 2 or array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected float32 of shape (H, W)")
    if depth_mm.shape != stripes.shape:
        raise ValueError(f"stripes has shape {stripes.shape}; expected that of depth_mm, {depth_mm.shape}")
    if not focal_px > 0.0:
        raise ValueError(f"focal_px is {focal_px}; expected a positive number of pixels")
    height, width = depth_mm.shape
    return height, width


def simulate(
    depth_mm: FloatImage, stripes: FloatImage, focal_px: float, config: SensorConfig, seed: int
) -> tuple[FloatImage, IndexImage]:
    """Return what the sensor sees of a clean depth image.

    The optical axis is taken to pass through the middle of the image (it only enters the tilt).

    Args:
        depth_mm: (H, W) float32 mm, 0 = nothing there.
        stripes: (H, W) float32, 0..1: how strongly the surface takes up stripe artefacts.
        focal_px: focal length.
        config: strengths of the effects.
        seed: any integer; the result depends only on it and the other arguments.

    Returns:
        Depth (H, W) float32 mm, 0 = no data, whole multiples of the quantum; and the source (H, W) int32: the flat
        index v * W + u of the clean pixel whose surface the value comes from (labels follow it), -1 where there is no
        data.

    Raises:
        ValueError: if an array has another shape or dtype, or the focal length is not positive.
    """
    height, width = check_arguments(depth_mm, stripes, focal_px)
    scale = focal_px / REFERENCE_FOCAL_PX
    clean, shown = np.ascontiguousarray(depth_mm), None
    if config.resolves_coarsely:
        clean, shown = matching.resolve(clean, config, scale)
    stripes = np.ascontiguousarray(stripes).reshape(-1)
    if shown is not None:
        stripes = stripes[shown.reshape(-1)]
    tables = prepare_tables(height, width, focal_px, config, seed)
    work = _workspace
    work.fit(height, width, tables.covered_bins)
    loops.shadow(clean, work.first, work.covered, *tables.shadow)
    loops.tilt(clean, work.inverse_cosine, *tables.tilt)
    loops.edge_bits(clean, work.first, work.edges, *tables.edge_bits)
    loops.flying(work.first, work.edges, work.second, work.first_source, *tables.flying)
    if config.has_pattern:
        loops.pattern(work.second, work.first_source, stripes, tables.fields, *tables.pattern)
    loops.edge(
        work.second, work.first_source, work.edges, work.inverse_cosine, work.first, work.second_source, *tables.edge
    )
    measured, other = work.first, work.second
    if config.wave_quadratic > 0.0:
        matching.add_waves(measured, config, scale, stage_key(seed, _WAVES))
    for is_last in (False, True):
        if tables.smooth_step > 0.0 and config.smooth_after_noise == is_last:
            loops.smooth(measured, other, tables.smooth_step)
            measured, other = other, measured
        if config.has_noise and not is_last:
            loops.noise(measured, work.inverse_cosine, work.white, *tables.noise)
    out = np.empty((height, width), np.float32)
    source = np.empty((height, width), np.int32)
    loops.output(
        measured, work.second_source, tables.holes, tables.dark, out, source, tables.blob_numbers, *tables.output
    )
    if shown is not None:
        source = np.where(source >= 0, shown.reshape(-1)[source], np.int32(-1))
    return out, source
