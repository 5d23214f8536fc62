"""The loops of `stream_kernels.py` in numpy, for installations without numba: the same results, several times slower.

Signatures and meaning are those of `stream_kernels.py`. The compiled loops may add in another order, so that values
differ by float32 rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_LOG_HALF = np.float32(np.log(0.5))


def bounds_of_possible(
    probabilities: Floats, step: int, certain: float, before: Floats, doubtful: float, bounds: NDArray[np.int64]
) -> None:
    """See `stream_kernels.bounds_of_possible`."""
    possible = probabilities[0, ::step, ::step] < certain
    if before.shape[:2] == possible.shape:
        possible = possible | (before[..., 0] < doubtful)
    rows, columns = np.flatnonzero(possible.any(axis=1)), np.flatnonzero(possible.any(axis=0))
    height, width = possible.shape
    bounds[:] = (rows[0], rows[-1], columns[0], columns[-1]) if rows.size else (height, -1, width, -1)


def log_probabilities(
    probabilities: Floats, step: int, top: int, left: int, certain: float, floor: float, out: Floats,
    start: int, stop: int,
) -> None:  # fmt: skip
    """See `stream_kernels.log_probabilities`."""
    out, top = out[start:stop], top + start
    rows = slice(top * step, (top + out.shape[0] - 1) * step + 1, step)
    columns = slice(left * step, (left + out.shape[1] - 1) * step + 1, step)
    inside = probabilities[:, rows, columns].transpose(1, 2, 0)
    np.log(np.maximum(inside, np.float32(floor)), out=out)
    lowest = np.log(floor)
    out[inside[..., 0] >= certain] = np.array((0.0, lowest, lowest), np.float32)


def carry(
    depth: Floats, before_depth: Floats, before_posterior: Floats, before_frames: Floats,
    own: Floats, flow: Floats, flow_step: int, top: int, left: int, tolerance: float, possible_from: float,
    trusts: Floats, carried: Floats, frames: Floats, start: int, stop: int,
) -> tuple[int, int, float]:  # fmt: skip
    """See `stream_kernels.carry`."""
    height, width = depth.shape
    own, carried, frames = own[start:stop], carried[start:stop], frames[start:stop]
    rows, columns = frames.shape
    y = np.arange(start, stop, dtype=np.float32)[:, np.newaxis]
    x = np.arange(columns, dtype=np.float32)[np.newaxis]
    down = _between(y / np.float32(flow_step), flow.shape[0])
    right = _between(x / np.float32(flow_step), flow.shape[1])
    moved = np.float32(flow_step) * _mixed(flow, down, right)
    px, py = x + np.float32(left) + moved[..., 0], y + np.float32(top) + moved[..., 1]
    near_x = np.clip((px + np.float32(0.5)).astype(np.int64), 0, width - 1)
    near_y = np.clip((py + np.float32(0.5)).astype(np.int64), 0, height - 1)
    here = depth[top + start : top + stop, left : left + columns]
    # Was it background too? The nearest flow is good enough to ask.
    node = (np.float32(flow_step) * flow[down[0], right[0]]).astype(np.int64)
    asked_x = np.clip(left + np.arange(columns) + node[..., 0], 0, width - 1)
    asked_y = np.clip(top + np.arange(start, stop)[:, np.newaxis] + node[..., 1], 0, height - 1)
    taken = (here > 0) & ((own[..., 0] <= possible_from) | (before_posterior[asked_y, asked_x, 0] <= possible_from))

    x0, y0 = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    share_x, share_y = px - x0.astype(np.float32), py - y0.astype(np.float32)
    total, warped = np.zeros((rows, columns), np.float32), np.zeros((rows, columns, 3), np.float32)
    for across, along in ((0, 0), (1, 0), (0, 1), (1, 1)):
        cx, cy = x0 + across, y0 + along
        inside = (cx >= 0) & (cy >= 0) & (cx < width) & (cy < height)
        cx, cy = np.clip(cx, 0, width - 1), np.clip(cy, 0, height - 1)
        there = before_depth[cy, cx]
        weight = (share_x if across else 1 - share_x) * (share_y if along else 1 - share_y)
        weight = np.where(inside & (there > 0) & (np.abs(here - there) < tolerance), weight, np.float32(0))
        total += weight
        warped += weight[..., np.newaxis] * before_posterior[cy, cx]
    agrees = taken & (total > np.float32(0.2))
    warped /= np.where(agrees, total, np.float32(1))[..., np.newaxis]
    foreground = taken & ((own[..., 0] < _LOG_HALF) | (agrees & (warped[..., 0] < _LOG_HALF)))
    j, i, i1 = down[0], right[0], right[1]
    strain = np.linalg.norm(flow[j, i1] - flow[j, i], axis=-1)[foreground].sum()

    lasting = before_frames[near_y, near_x] + np.float32(1)
    trust = trusts[np.minimum(lasting.astype(np.int64), len(trusts)) - 1]
    frames[:] = np.where(agrees, lasting, np.float32(0))
    carried[:] = np.where(agrees, trust, np.float32(0))[..., np.newaxis] * warped
    count = int(np.count_nonzero(foreground))
    return count, int(np.count_nonzero(foreground & agrees)), float(strain)


def add_up(own: Floats, carried: Floats, lowest: float, posterior: Floats, start: int, stop: int) -> None:
    """See `stream_kernels.add_up`."""
    own, carried, posterior = own[start:stop], carried[start:stop], posterior[start:stop]
    added = own + carried
    highest = added.max(axis=-1, keepdims=True)
    normalised = added - (highest + np.log(np.exp(added - highest).sum(axis=-1, keepdims=True)))
    nothing = ~carried.any(axis=-1, keepdims=True)
    np.maximum(np.where(nothing, own, normalised), np.float32(lowest), out=posterior)


def factors_of(extra: Floats, factors: Floats, says: NDArray[np.bool_], start: int, stop: int) -> None:
    """See `stream_kernels.factors_of`."""
    extra = extra[start:stop]
    np.exp(extra - extra.max(axis=-1, keepdims=True), out=factors[start:stop])
    says[start:stop] = (extra[..., :1] != extra[..., 1:]).any(axis=-1)


def multiply(
    probabilities: Floats, labels: NDArray[np.uint8], depth: Floats, factors: Floats, says: NDArray[np.bool_],
    step: int, top: int, left: int, floor: float, certain: float, sensitivity: float, edge_mm: float, start: int,
    stop: int,
) -> None:  # fmt: skip
    """See `stream_kernels.multiply`; what says nothing has factors of 1."""
    box = (
        slice((top + start) * step, min((top + stop) * step, depth.shape[0])),
        slice(left * step, min((left + factors.shape[1]) * step, depth.shape[1])),
    )
    here, inside = depth[box], probabilities[:, *box]
    rows = start * step + np.arange(here.shape[0])[:, np.newaxis]
    columns = np.arange(here.shape[1])[np.newaxis]
    j, i = rows // step, columns // step
    share_y = (rows - j * step).astype(np.float32) / np.float32(step)
    share_x = (columns - i * step).astype(np.float32) / np.float32(step)
    coarse = depth[top * step :: step, left * step :: step]
    total, weighted = np.zeros(here.shape, np.float32), np.zeros((3, *here.shape), np.float32)
    for across, along in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (share_x if across else 1 - share_x) * (share_y if along else 1 - share_y)
        cj, ci = np.minimum(j + along, factors.shape[0] - 1), np.minimum(i + across, factors.shape[1] - 1)
        weight = np.where(np.abs(coarse[cj, ci] - here) < edge_mm, weight, np.float32(0))
        total += weight
        weighted += weight * factors[cj, ci].transpose(2, 0, 1)
    changed = (here > 0) & (total > 0) & ~(weighted == total).all(axis=0)
    changed &= ~((inside[0] >= certain) & (weighted[0] >= weighted[1:].max(axis=0)))
    weighted = weighted * np.maximum(inside, np.float32(floor))
    weighted /= np.where(changed, weighted.sum(axis=0), np.float32(1))
    probabilities[:, *box] = np.where(changed, weighted, inside)
    odds = weighted * np.array((1.0 / sensitivity, 1.0, 1.0), np.float32)[:, np.newaxis, np.newaxis]
    labels[box] = np.where(changed, odds.argmax(axis=0).astype(np.uint8), labels[box])


Between = tuple[NDArray[np.int64], NDArray[np.int64], Floats]


def _between(position: Floats, count: int) -> Between:
    """The two samples around each position, and the share of the second."""
    first = np.minimum(position.astype(np.int64), count - 1)
    return first, np.minimum(first + 1, count - 1), position - first.astype(np.float32)


def _mixed(maps: Floats, rows: Between, columns: Between) -> Floats:
    """Bilinear samples (rows, columns, channels) of maps (h, w, channels)."""
    (j, j1, ty), (i, i1, tx) = rows, columns
    ty, tx = ty[..., np.newaxis], tx[..., np.newaxis]
    upper = (1 - tx) * maps[j, i] + tx * maps[j, i1]
    lower = (1 - tx) * maps[j1, i] + tx * maps[j1, i1]
    return np.asarray((1 - ty) * upper + ty * lower, dtype=np.float32)
