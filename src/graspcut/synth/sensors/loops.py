"""The CPU's loops over the functions of `measuring_stages.py`, and the small tables that they read."""

from __future__ import annotations

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar
from graspcut.synth.kernels.random_numbers import lattice_row, uniform
from graspcut.synth.sensors.measuring_stages import (
    edge_bits_pixel,
    edge_pixel,
    flying_pixel,
    pattern_pixel,
    shadow_row,
    spread,
    tilt_pixel,
    tilt_value,
)
from graspcut.synth.sensors.output_stages import noise_pixel, output_pixel, smooth_pixel, smooth_value, white_pixel


@loop
def shadow(
    clean: np.ndarray, shadowed: np.ndarray, covered: np.ndarray, shift: float, mirrored: bool, step: float
) -> None:
    """Run `shadow_row` over all rows."""
    for v in range(clean.shape[0]):
        shadow_row(v, clean, shadowed, covered, shift, mirrored, step)


@loop
def tilt(clean: np.ndarray, inverse_cosine: np.ndarray, focal: float, curvature: float) -> None:
    """Run `tilt_pixel` over all pixels; inside the image by `tilt_value`, which the compiler can vectorise."""
    height, width = clean.shape
    for v in range(height):
        for u in range(width if v == 0 or v == height - 1 else 1):
            tilt_pixel(v, u, clean, inverse_cosine, focal, curvature)
        tilt_pixel(v, width - 1, clean, inverse_cosine, focal, curvature)
    for v in range(1, height - 1):
        y = v - 0.5 * (height - 1)
        for u in range(1, width - 1):
            inverse_cosine[v, u] = tilt_value(
                np.float64(clean[v, u]),
                np.float64(clean[v, u - 1]),
                np.float64(clean[v, u + 1]),
                np.float64(clean[v - 1, u]),
                np.float64(clean[v + 1, u]),
                u - 0.5 * (width - 1),
                y,
                focal,
                curvature,
            )


@loop
def edge_bits(clean: np.ndarray, shadowed: np.ndarray, edges: np.ndarray, jump: float, border: float) -> None:
    """Run `edge_bits_pixel` where a vectorised comparison finds a step near, and leave 0 elsewhere."""
    height, width = clean.shape
    threshold = min(jump, border)
    for v in range(height):
        for u in range(width):
            edges[v, u] = 1
        if 1 < v < height - 2:
            for u in range(2, width - 2):
                distance = spread(
                    shadowed[v, u],
                    shadowed[v, u - 1],
                    shadowed[v, u + 1],
                    shadowed[v - 1, u],
                    shadowed[v + 1, u],
                    shadowed[v, u - 2],
                    shadowed[v, u + 2],
                    shadowed[v - 2, u],
                    shadowed[v + 2, u],
                )
                edges[v, u] = 1 if distance > threshold else 0
        for u in range(width):
            if edges[v, u] != 0:
                edge_bits_pixel(v, u, clean, shadowed, edges, jump, border)


@loop
def flying(
    shadowed: np.ndarray, edges: np.ndarray, out: np.ndarray, source: np.ndarray, probability: float, key: int
) -> None:
    """Run `flying_pixel` over all pixels."""
    for v in range(out.shape[0]):
        for u in range(out.shape[1]):
            flying_pixel(v, u, shadowed, edges, out, source, probability, key)


@loop
def lattice_rows(table: np.ndarray, inverse_cell: float, fields: np.ndarray) -> None:
    """Run `lattice_row` for every image row; `fields` is float64 (H, columns, channels)."""
    for v in range(fields.shape[0]):
        lattice_row(table, v * inverse_cell, fields[v])


@loop
def pattern(
    depth: np.ndarray,
    source: np.ndarray,
    stripes: np.ndarray,
    fields: np.ndarray,
    inverse_cell: float,
    bias: float,
    amplitude: float,
    everywhere: float,
    cycles_u: float,
    cycles_v: float,
    phase: float,
    shift: float,
) -> None:
    """Run `pattern_pixel` over all pixels."""
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            pattern_pixel(
                v, u, depth, source, stripes, fields, inverse_cell, bias, amplitude, everywhere,
                cycles_u, cycles_v, phase, shift,
            )  # fmt: skip


@loop
def edge(
    depth: np.ndarray,
    source: np.ndarray,
    edges: np.ndarray,
    inverse_cosine: np.ndarray,
    out: np.ndarray,
    out_source: np.ndarray,
    jitter: float,
    loss: float,
    second_loss: float,
    near_share: float,
    grazing_from: float,
    grazing_slope: float,
    key: int,
) -> None:
    """Run `edge_pixel` over all pixels."""
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            edge_pixel(
                v, u, depth, source, edges, inverse_cosine, out, out_source,
                jitter, loss, second_loss, near_share, grazing_from, grazing_slope, key,
            )  # fmt: skip


@loop
def smooth(depth: np.ndarray, out: np.ndarray, step: float) -> None:
    """Run `smooth_pixel` over all pixels; inside the image by `smooth_value`, which the compiler can vectorise."""
    height, width = depth.shape
    for v in range(height):
        for u in range(width if v == 0 or v == height - 1 else 1):
            smooth_pixel(v, u, depth, out, step)
        smooth_pixel(v, width - 1, depth, out, step)
    for v in range(1, height - 1):
        for u in range(1, width - 1):
            out[v, u] = smooth_value(
                np.float64(depth[v, u]),
                np.float64(depth[v - 1, u - 1]),
                np.float64(depth[v - 1, u]),
                np.float64(depth[v - 1, u + 1]),
                np.float64(depth[v, u - 1]),
                np.float64(depth[v, u + 1]),
                np.float64(depth[v + 1, u - 1]),
                np.float64(depth[v + 1, u]),
                np.float64(depth[v + 1, u + 1]),
                step,
            )


@loop
def noise(
    depth: np.ndarray,
    inverse_cosine: np.ndarray,
    white: np.ndarray,
    base: float,
    quadratic: float,
    offset: float,
    blur: float,
    tilt_limit: float,
    key: int,
) -> None:
    """Run `white_pixel` over the white field, then `noise_pixel` over all pixels."""
    for v in range(white.shape[0]):
        for u in range(white.shape[1]):
            white_pixel(v, u, white, key)
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            noise_pixel(v, u, depth, inverse_cosine, white, base, quadratic, offset, blur, tilt_limit)


@scalar
def _row_has_blob(cells: np.ndarray) -> bool:
    for j in range(cells.shape[0]):  # noqa: SIM110 - compiled without a generator
        if cells[j, 0] > 0.0:
            return True
    return False


@loop
def output(
    depth: np.ndarray,
    source: np.ndarray,
    holes: np.ndarray,
    dark: np.ndarray,
    out: np.ndarray,
    out_source: np.ndarray,
    blob_numbers: np.ndarray,
    dark_loss: float,
    speck_loss: float,
    speck_probability: float,
    speck: float,
    near: float,
    far: float,
    disparity: float,
    quantum: float,
    key: int,
) -> None:
    """Run `output_pixel` over all pixels."""
    for v in range(depth.shape[0]):
        has_holes = _row_has_blob(holes[int((v + blob_numbers[0, 1]) * blob_numbers[0, 0])])
        has_dark = _row_has_blob(dark[int((v + blob_numbers[1, 1]) * blob_numbers[1, 0])])
        for u in range(depth.shape[1]):
            output_pixel(
                v, u, depth, source, holes, dark, has_holes, has_dark, out, out_source, blob_numbers,
                dark_loss, speck_loss, speck_probability, speck, near, far, disparity, quantum, key,
            )  # fmt: skip


def blob_table(key: int, rows: int, columns: int, probability: float) -> np.ndarray:
    """Return at most one random ellipse for each cell of a grid, contained in its cell.

    Returns:
        (rows, columns, 5) float32: 1 or 0 (present), centre v and u in cells, inverse radius along v and u in 1 /
        cells.
    """
    table = np.zeros((rows, columns, 5), np.float32)
    _fill_blobs(key, probability, table)
    return table


@loop
def _fill_blobs(key: int, probability: float, table: np.ndarray) -> None:
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            index = 8 * (i * 4096 + j)
            if uniform(key, index) < probability:
                radius_v = 0.12 + 0.38 * uniform(key, index + 1)
                radius_u = 0.12 + 0.38 * uniform(key, index + 2)
                table[i, j, 0] = 1.0
                table[i, j, 1] = radius_v + (1.0 - 2.0 * radius_v) * uniform(key, index + 3)
                table[i, j, 2] = radius_u + (1.0 - 2.0 * radius_u) * uniform(key, index + 4)
                table[i, j, 3] = 1.0 / radius_v
                table[i, j, 4] = 1.0 / radius_u
