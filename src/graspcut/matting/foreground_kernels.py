"""Loops of the foreground solver, compiled for the CPU; `foreground.py` says what they solve.

Arrays are float32 and C-contiguous: X and b are (H, W, 3), the others (H, W). `across[y, x]` couples pixel (y, x) with
(y, x + 1), its last column is 0; `down[y, x]` couples it with (y + 1, x), its last row is 0. With mirrored borders
(`mirror` 1, else 0) a pixel at the border counts its inner neighbour twice.

Channels are written out and places are unsigned: a loop over three values, and the check for negative places, cost more
than the arithmetic.

Every loop does rows `start` to `stop`, so that threads can share an image; none writes where another reads within one
pass, so that the result does not depend on how rows are shared.
"""
# ruff: noqa: E741

from __future__ import annotations

import numpy as np

from graspcut.synth.kernels.compiling import loop, scalar


@loop
def couple(
    alpha: np.ndarray, kappa: float, weight: np.ndarray, across: np.ndarray, down: np.ndarray, start: int, stop: int
) -> None:
    """Data weights alpha^2 and couplings kappa ((1 - alpha_i)^2 + (1 - alpha_j)^2) of the finest grid."""
    height, width = alpha.shape
    strength = np.float32(kappa)
    one = np.float32(1.0)
    zero = np.float32(0.0)
    for y in range(start, stop):
        for x in range(width):
            a = alpha[y, x]
            weight[y, x] = a * a
            t = (one - a) * (one - a)
            if x + 1 < width:
                r = one - alpha[y, x + 1]
                across[y, x] = strength * (t + r * r)
            else:
                across[y, x] = zero
            if y + 1 < height:
                l = one - alpha[y + 1, x]
                down[y, x] = strength * (t + l * l)
            else:
                down[y, x] = zero


@loop
def weigh(weight: np.ndarray, colours: np.ndarray, rhs: np.ndarray, start: int, stop: int) -> None:
    """Right side alpha^2 F."""
    for y in range(start, stop):
        for x in range(weight.shape[1]):
            w = weight[y, x]
            rhs[y, x, 0] = w * colours[y, x, 0]
            rhs[y, x, 1] = w * colours[y, x, 1]
            rhs[y, x, 2] = w * colours[y, x, 2]


@loop
def coarsen(
    weight: np.ndarray, across: np.ndarray, down: np.ndarray,
    coarse_weight: np.ndarray, coarse_across: np.ndarray, coarse_down: np.ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    """Grid of blocks of 2x2 pixels: data weights are summed, couplings are half the sum over the shared side.

    Rows count in the coarse arrays.

    Half, because a block's centre is twice as far from its neighbour's as pixels are: then the smoothness of a slope
    costs the same on both grids.
    """
    height, width = weight.shape
    zero = np.float32(0.0)
    half = np.float32(0.5)
    for v in range(start, stop):
        y1 = min(2 * v + 2, height)
        for u in range(coarse_weight.shape[1]):
            x1 = min(2 * u + 2, width)
            total = zero
            right = zero
            below = zero
            for y in range(2 * v, y1):
                for x in range(2 * u, x1):
                    total += weight[y, x]
                right += across[y, x1 - 1]
            for x in range(2 * u, x1):
                below += down[y1 - 1, x]
            coarse_weight[v, u] = total
            coarse_across[v, u] = half * right
            coarse_down[v, u] = half * below


@loop
def sum_blocks(fine: np.ndarray, coarse: np.ndarray, start: int, stop: int) -> None:
    """(H, W, 3) summed over blocks of 2x2 pixels; rows count in the coarse array."""
    height, width = fine.shape[0], fine.shape[1]
    for v in range(start, stop):
        for u in range(coarse.shape[1]):
            for c in range(3):
                coarse[v, u, c] = np.float32(0.0)
        for y in range(2 * v, min(2 * v + 2, height)):
            for x in range(width):
                u = x // 2
                for c in range(3):
                    coarse[v, u, c] += fine[y, x, c]


@scalar
def _neighbours(
    across: np.ndarray, down: np.ndarray, y: int, x: int, mirror: int
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Couplings to the left, the right, above and below."""
    height, width = across.shape
    l = across[y, x - 1] if x > 0 else np.float32(0.0)
    r = across[y, x]
    t = down[y - 1, x] if y > 0 else np.float32(0.0)
    d = down[y, x]
    if mirror:
        if x == 0:
            r += r
        if x == width - 1:
            l += l
        if y == 0:
            d += d
        if y == height - 1:
            t += t
    return l, r, t, d


@loop
def mark_coupled(
    weight: np.ndarray, across: np.ndarray, down: np.ndarray, near: np.ndarray, active: np.ndarray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Pixels whose colour is to be found on this grid: near what is visible, and with a neighbour that counts."""
    for y in range(start, stop):
        for x in range(weight.shape[1]):
            coupled = across[y, x] > 0 or down[y, x] > 0
            coupled = coupled or (x > 0 and across[y, x - 1] > 0) or (y > 0 and down[y - 1, x] > 0)
            active[y, x] = coupled and near[y, x] > 0


@loop
def copy_uncoupled(
    colours: np.ndarray, across: np.ndarray, down: np.ndarray, x_colours: np.ndarray, start: int, stop: int
) -> None:
    """What is opaque among opaque neighbours keeps its own colours."""
    for y in range(start, stop):
        for x in range(colours.shape[1]):
            if across[y, x] > 0 or down[y, x] > 0 or (x > 0 and across[y, x - 1] > 0) or (y > 0 and down[y - 1, x] > 0):
                continue
            for c in range(3):
                x_colours[y, x, c] = colours[y, x, c]


@loop
def count_runs(active: np.ndarray, counts: np.ndarray) -> None:
    """How many runs of active pixels every row of a mask (H, W) has."""
    for y in range(active.shape[0]):
        count = 0
        before = 0
        for x in range(active.shape[1]):
            count += active[y, x] > before
            before = active[y, x]
        counts[y] = count


@loop
def find_runs(active: np.ndarray, offsets: np.ndarray, runs: np.ndarray) -> None:
    """Begin and end of every run; those of row y stand at `offsets[y]` to `offsets[y + 1]` of `runs` (n, 2)."""
    width = active.shape[1]
    for y in range(active.shape[0]):
        n = offsets[y]
        before = 0
        for x in range(width):
            if active[y, x] > before:
                runs[n, 0] = x
            elif active[y, x] < before:
                runs[n, 1] = x
                n += 1
            before = active[y, x]
        if before:
            runs[n, 1] = width


@loop
def relax(
    x_colours: np.ndarray, rhs: np.ndarray, weight: np.ndarray, across: np.ndarray, down: np.ndarray,
    offsets: np.ndarray, runs: np.ndarray, colour: int, mirror: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Half a Gauss-Seidel sweep: pixels with (x + y) % 2 == colour take the value that their equation asks for."""
    height, width = weight.shape
    for y in range(start, stop):
        row = np.uint64(y)
        above = np.uint64(max(y - 1, 0))
        below = np.uint64(min(y + 1, height - 1))
        for run in range(offsets[y], offsets[y + 1]):
            first = runs[run, 0]
            for x in range(first + (first + y + colour) % 2, runs[run, 1], 2):
                l, r, t, d = _neighbours(across, down, y, x, mirror)
                inverse = np.float32(1.0) / (weight[y, x] + l + r + t + d)
                here = np.uint64(x)
                before = np.uint64(max(x - 1, 0))
                after = np.uint64(min(x + 1, width - 1))
                value0 = inverse * (
                    rhs[row, here, 0]
                    + l * x_colours[row, before, 0]
                    + r * x_colours[row, after, 0]
                    + t * x_colours[above, here, 0]
                    + d * x_colours[below, here, 0]
                )
                value1 = inverse * (
                    rhs[row, here, 1]
                    + l * x_colours[row, before, 1]
                    + r * x_colours[row, after, 1]
                    + t * x_colours[above, here, 1]
                    + d * x_colours[below, here, 1]
                )
                value2 = inverse * (
                    rhs[row, here, 2]
                    + l * x_colours[row, before, 2]
                    + r * x_colours[row, after, 2]
                    + t * x_colours[above, here, 2]
                    + d * x_colours[below, here, 2]
                )
                x_colours[row, here, 0] = value0
                x_colours[row, here, 1] = value1
                x_colours[row, here, 2] = value2


@loop
def residual_sums(
    x_colours: np.ndarray, rhs: np.ndarray, weight: np.ndarray, across: np.ndarray, down: np.ndarray,
    mirror: int, coarse: np.ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    """Residual b - A X summed over blocks of 2x2 pixels; rows count in the coarse array."""
    height, width = weight.shape
    for v in range(start, stop):
        for u in range(coarse.shape[1]):
            for c in range(3):
                coarse[v, u, c] = np.float32(0.0)
        line = np.uint64(v)
        for y in range(2 * v, min(2 * v + 2, height)):
            row = np.uint64(y)
            above = np.uint64(max(y - 1, 0))
            below = np.uint64(min(y + 1, height - 1))
            for x in range(width):
                l, r, t, d = _neighbours(across, down, y, x, mirror)
                both = l + r + t + d
                if both == np.float32(0.0):
                    continue
                diagonal = weight[y, x] + both
                here = np.uint64(x)
                before = np.uint64(max(x - 1, 0))
                after = np.uint64(min(x + 1, width - 1))
                value0 = (
                    rhs[row, here, 0]
                    + l * x_colours[row, before, 0]
                    + r * x_colours[row, after, 0]
                    + t * x_colours[above, here, 0]
                    + d * x_colours[below, here, 0]
                    - diagonal * x_colours[row, here, 0]
                )
                value1 = (
                    rhs[row, here, 1]
                    + l * x_colours[row, before, 1]
                    + r * x_colours[row, after, 1]
                    + t * x_colours[above, here, 1]
                    + d * x_colours[below, here, 1]
                    - diagonal * x_colours[row, here, 1]
                )
                value2 = (
                    rhs[row, here, 2]
                    + l * x_colours[row, before, 2]
                    + r * x_colours[row, after, 2]
                    + t * x_colours[above, here, 2]
                    + d * x_colours[below, here, 2]
                    - diagonal * x_colours[row, here, 2]
                )
                block = np.uint64(x // 2)
                coarse[line, block, 0] += value0
                coarse[line, block, 1] += value1
                coarse[line, block, 2] += value2


@loop
def interpolate(coarse: np.ndarray, fine: np.ndarray, factor: np.float32, start: int, stop: int) -> None:
    """Bilinear values of a grid of 2x2 blocks at the pixels, added to `fine` times the factor; factor 0 writes them."""
    height, width, wide = coarse.shape[0], coarse.shape[1], fine.shape[1]
    keep = np.float32(1.0) if factor != np.float32(0.0) else np.float32(0.0)
    scale = factor if factor != np.float32(0.0) else np.float32(1.0)
    # Of the two rows of blocks, of which the nearer counts three times as much, and so of the two columns.
    near = scale * np.float32(0.5625)
    far = scale * np.float32(0.1875)
    third = np.float32(1.0) / np.float32(3.0)
    for y in range(start, stop):
        row = np.uint64(y)
        v = np.uint64(y // 2)
        w = np.uint64(min(max(y // 2 + (2 * (y % 2) - 1), 0), height - 1))
        here0 = near * coarse[v, 0, 0] + far * coarse[w, 0, 0]
        here1 = near * coarse[v, 0, 1] + far * coarse[w, 0, 1]
        here2 = near * coarse[v, 0, 2] + far * coarse[w, 0, 2]
        before0, before1, before2 = here0, here1, here2
        for block in range(width):
            u = np.uint64(min(block + 1, width - 1))
            after0 = near * coarse[v, u, 0] + far * coarse[w, u, 0]
            after1 = near * coarse[v, u, 1] + far * coarse[w, u, 1]
            after2 = near * coarse[v, u, 2] + far * coarse[w, u, 2]
            x = np.uint64(2 * block)
            fine[row, x, 0] = keep * fine[row, x, 0] + (here0 + third * before0)
            fine[row, x, 1] = keep * fine[row, x, 1] + (here1 + third * before1)
            fine[row, x, 2] = keep * fine[row, x, 2] + (here2 + third * before2)
            if 2 * block + 1 < wide:
                x = np.uint64(2 * block + 1)
                fine[row, x, 0] = keep * fine[row, x, 0] + (here0 + third * after0)
                fine[row, x, 1] = keep * fine[row, x, 1] + (here1 + third * after1)
                fine[row, x, 2] = keep * fine[row, x, 2] + (here2 + third * after2)
            before0, before1, before2 = here0, here1, here2
            here0, here1, here2 = after0, after1, after2


@loop
def largest_value(colours: np.ndarray, weight: np.ndarray, largest: np.ndarray) -> None:
    """Largest amount of any channel where the weight is not 0, into `largest[0]`."""
    found = np.float32(0.0)
    for y in range(weight.shape[0]):
        for x in range(weight.shape[1]):
            if weight[y, x] > np.float32(0.0):
                for c in range(3):
                    found = max(found, abs(colours[y, x, c]))
    largest[0] = found


@loop
def jacobi(
    x_colours: np.ndarray, premultiplied: np.ndarray, alpha: np.ndarray, kappa: float, mirror: int,
    out: np.ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    """One sweep of the paper's algorithm 1, from the values of the sweep before."""
    height, width = alpha.shape
    strength = np.float32(kappa)
    one = np.float32(1.0)
    for y in range(start, stop):
        for x in range(width):
            a = alpha[y, x]
            own = (one - a) * (one - a)
            total = a * a
            r = a * premultiplied[y, x, 0]
            g = a * premultiplied[y, x, 1]
            b = a * premultiplied[y, x, 2]
            for side in range(4):
                v = y + (side == 0) - (side == 1)
                u = x + (side == 2) - (side == 3)
                if v < 0 or v >= height or u < 0 or u >= width:
                    if not mirror:
                        continue
                    # Mirrored without repeating the border; one row or column has only itself.
                    v = min(abs(v), height - 1) if v < height else max(height - 2, 0)
                    u = min(abs(u), width - 1) if u < width else max(width - 2, 0)
                n = one - alpha[v, u]
                q = strength * (own + n * n)
                total += q
                r += q * x_colours[v, u, 0]
                g += q * x_colours[v, u, 1]
                b += q * x_colours[v, u, 2]
            if total > np.float32(0.0):
                out[y, x, 0] = r / total
                out[y, x, 1] = g / total
                out[y, x, 2] = b / total
            else:
                out[y, x, 0] = x_colours[y, x, 0]
                out[y, x, 1] = x_colours[y, x, 1]
                out[y, x, 2] = x_colours[y, x, 2]
