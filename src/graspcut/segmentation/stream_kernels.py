"""Compiled loops of the filter over time; `stream_filter.py` says what they are for. No lock is held.

Every loop writes rows `start` to `stop` of a box alone, so that threads can share it, and the result does not depend
on how. Maps at the stream's scale are (h, w); what belongs to a box of it has the box's size, and `top` and `left` say
where that lies. Log probabilities have their three classes last, a result's probabilities have them first. A pixel
that this frame and the one beside it both call background beyond doubt is passed over: most of a picture is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from graspcut.kernel_cache import compiled

Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    return compiled(nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "reassoc"})(function)


@_compiled
def bounds_of_possible(
    probabilities: np.ndarray, step: int, certain: float, before: np.ndarray, doubtful: float, bounds: np.ndarray
) -> None:
    """First and last row and column in which something may be hand or object.

    Args:
        probabilities: float32 (3, H, W).
        step: pixels of the frame for each of the stream.
        certain: a background below this may be something else.
        before: float32 (h, w, 3), log posterior of the frame before; (0, 0, 3) if there is none.
        doubtful: a log background below this was something else.
        bounds: int64 (4,), written: first row, last row, first column, last column; last < first if there are none.
    """
    height = (probabilities.shape[1] + step - 1) // step
    width = (probabilities.shape[2] + step - 1) // step
    has_before = before.shape[0] == height and before.shape[1] == width
    top, bottom, left, right = height, -1, width, -1
    for y in range(height):
        first, last = width, -1
        for x in range(width):
            possible = probabilities[0, y * step, x * step] < certain
            if has_before and not possible:
                possible = before[y, x, 0] < doubtful
            if possible:
                last = x
                if first == width:
                    first = x
        if last >= 0:
            top = min(top, y)
            bottom = y
            left = min(left, first)
            right = max(right, last)
    bounds[0], bounds[1], bounds[2], bounds[3] = top, bottom, left, right


@_compiled
def log_probabilities(
    probabilities: np.ndarray, step: int, top: int, left: int, certain: float, floor: float, out: np.ndarray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Logs of a box of a result's probabilities, not below that of `floor`; certain background is not looked at closer.

    Args:
        probabilities: float32 (3, H, W).
        step, top, left: where pixels of the box lie.
        certain: from this on a background is certain.
        floor: smallest probability.
        out: float32 (box height, box width, 3), written.
    """
    lowest = np.float32(np.log(floor))
    least = np.float32(floor)
    out = out[start:stop]
    top += start
    for y in range(out.shape[0]):
        row = (top + y) * step
        for x in range(out.shape[1]):
            column = (left + x) * step
            if probabilities[0, row, column] >= certain:
                out[y, x, 0] = np.float32(0.0)
                out[y, x, 1] = lowest
                out[y, x, 2] = lowest
            else:
                for label in range(3):
                    value = probabilities[label, row, column]
                    out[y, x, label] = np.log(value) if value > least else lowest


@_compiled
def carry(
    depth: np.ndarray, before_depth: np.ndarray, before_posterior: np.ndarray, before_frames: np.ndarray,
    own: np.ndarray, flow: np.ndarray, flow_step: int, top: int, left: int, tolerance: float, possible_from: float,
    trusts: np.ndarray, carried: np.ndarray, frames: np.ndarray, start: int, stop: int,
) -> tuple[int, int, float]:  # fmt: skip
    """Brings the log posterior of the frame beside this one to where its surfaces are now.

    Four pixels of the frame beside are mixed where the flow points between them, those alone whose depth agrees.

    Args:
        depth, before_depth: float32 (h, w) millimetres, 0 = no data.
        before_posterior: float32 (h, w, 3) log posterior.
        before_frames: float32 (h, w), for how many frames a surface has been in agreement.
        own: float32 (box height, box width, 3), log probabilities of this frame.
        flow: float32 (ceil(box height / flow_step), ceil(box width / flow_step), 2) pixels of its own, at every
            `flow_step`-th pixel of the box.
        flow_step: see there.
        top, left: of the box.
        tolerance: largest change of depth in millimetres.
        possible_from: a log background below this may be something else.
        trusts: float32 (n,), trust after 1, 2, .. frames in agreement; the last one stays.
        carried: float32 (box height, box width, 3), written; 0 where nothing agrees.
        frames: float32 (box height, box width), written.

    Returns:
        pixels that either frame calls hand or object, how many of them agree, and the sum of how much the
        flow changes at them in pixels per pixel.
    """
    height, width = depth.shape
    own, carried, frames = own[start:stop], carried[start:stop], frames[start:stop]
    rows, columns = carried.shape[0], carried.shape[1]
    inside = depth[top + start : top + stop, left : left + columns]
    flow_rows, flow_columns = flow.shape[0], flow.shape[1]
    half = np.float32(np.log(0.5))
    one, zero = np.float32(1.0), np.float32(0.0)
    scale = np.float32(flow_step)
    foreground, agreeing, strain = 0, 0, 0.0
    for y in range(rows):
        for x in range(columns):
            frames[y, x] = zero
            carried[y, x, 0] = carried[y, x, 1] = carried[y, x, 2] = zero
        fy = np.float32(start + y) / scale
        j = min(int(fy), flow_rows - 1)
        j1 = min(j + 1, flow_rows - 1)
        ty = fy - np.float32(j)
        i, beyond = -1, 0  # counted: a division for each pixel would cost more than all else
        for x in range(columns):
            if beyond == 0:
                i = min(i + 1, flow_columns - 1)
                beyond = flow_step
            beyond -= 1
            own_background = own[y, x, 0]
            if own_background > possible_from:
                # Was it background too? The nearest flow is good enough to ask.
                nx = min(max(left + x + int(scale * flow[j, i, 0]), 0), width - 1)
                ny = min(max(top + start + y + int(scale * flow[j, i, 1]), 0), height - 1)
                if before_posterior[ny, nx, 0] > possible_from:
                    continue
            here = inside[y, x]
            if not here > zero:
                continue
            i1 = min(i + 1, flow_columns - 1)
            tx = np.float32(x) / scale - np.float32(i)
            u = scale * (
                (one - ty) * ((one - tx) * flow[j, i, 0] + tx * flow[j, i1, 0])
                + ty * ((one - tx) * flow[j1, i, 0] + tx * flow[j1, i1, 0])
            )
            v = scale * (
                (one - ty) * ((one - tx) * flow[j, i, 1] + tx * flow[j, i1, 1])
                + ty * ((one - tx) * flow[j1, i, 1] + tx * flow[j1, i1, 1])
            )
            px = np.float32(left + x) + u
            py = np.float32(top + start + y) + v
            nx = min(max(int(px + np.float32(0.5)), 0), width - 1)
            ny = min(max(int(py + np.float32(0.5)), 0), height - 1)
            x0, y0 = int(np.floor(px)), int(np.floor(py))
            ax, ay = px - np.float32(x0), py - np.float32(y0)
            total = zero
            background, hand, thing = zero, zero, zero
            for corner in range(4):
                cx, cy = x0 + (corner & 1), y0 + (corner >> 1)
                if cx < 0 or cy < 0 or cx >= width or cy >= height:
                    continue
                weight = (ax if corner & 1 else one - ax) * (ay if corner >> 1 else one - ay)
                there = before_depth[cy, cx]
                if there > zero and abs(here - there) < tolerance:
                    total += weight
                    background += weight * before_posterior[cy, cx, 0]
                    hand += weight * before_posterior[cy, cx, 1]
                    thing += weight * before_posterior[cy, cx, 2]
            agrees = total > np.float32(0.2)
            if agrees:
                background /= total
                hand /= total
                thing /= total
            is_foreground = own_background < half or (agrees and background < half)
            if is_foreground:
                foreground += 1
                across, down = flow[j, i1, 0] - flow[j, i, 0], flow[j, i1, 1] - flow[j, i, 1]
                strain += np.sqrt(across * across + down * down)
            if not agrees:
                continue
            lasting = before_frames[ny, nx] + one
            trust = trusts[min(int(lasting), trusts.shape[0]) - 1]
            frames[y, x] = lasting
            carried[y, x, 0] = trust * background
            carried[y, x, 1] = trust * hand
            carried[y, x, 2] = trust * thing
            if is_foreground:
                agreeing += 1
    return foreground, agreeing, strain


@_compiled
def add_up(own: np.ndarray, carried: np.ndarray, lowest: float, posterior: np.ndarray, start: int, stop: int) -> None:
    """Normalised sums of log evidence, not below `lowest`.

    Args:
        own, carried: float32 (box height, box width, 3); where nothing was carried, `own` stays.
        lowest: no class becomes impossible for ever.
        posterior: float32 (box height, box width, 3), written; may be a view.
    """
    least, one = np.float32(lowest), np.float32(1.0)
    own, carried, posterior = own[start:stop], carried[start:stop], posterior[start:stop]
    for y in range(own.shape[0]):
        for x in range(own.shape[1]):
            if carried[y, x, 0] == 0 and carried[y, x, 1] == 0 and carried[y, x, 2] == 0:
                for label in range(3):
                    posterior[y, x, label] = max(own[y, x, label], least)
                continue
            a = own[y, x, 0] + carried[y, x, 0]
            b = own[y, x, 1] + carried[y, x, 1]
            c = own[y, x, 2] + carried[y, x, 2]
            highest = max(a, max(b, c))
            # The largest one's exponential is 1.
            if highest == a:
                rest = np.exp(b - a) + np.exp(c - a)
            elif highest == b:
                rest = np.exp(a - b) + np.exp(c - b)
            else:
                rest = np.exp(a - c) + np.exp(b - c)
            shift = highest + np.log(one + rest)
            posterior[y, x, 0] = max(a - shift, least)
            posterior[y, x, 1] = max(b - shift, least)
            posterior[y, x, 2] = max(c - shift, least)


@_compiled
def factors_of(extra: np.ndarray, factors: np.ndarray, says: np.ndarray, start: int, stop: int) -> None:
    """What probabilities are multiplied by: exp of log evidence, the largest of each pixel 1.

    Args:
        extra: float32 (box height, box width, 3).
        factors: float32 (box height, box width, 3), written.
        says: bool (box height, box width), written: whether the evidence says anything.
    """
    one = np.float32(1.0)
    extra, factors, says = extra[start:stop], factors[start:stop], says[start:stop]
    for y in range(extra.shape[0]):
        for x in range(extra.shape[1]):
            a, b, c = extra[y, x, 0], extra[y, x, 1], extra[y, x, 2]
            says[y, x] = a != b or b != c
            if not says[y, x]:
                factors[y, x, 0] = factors[y, x, 1] = factors[y, x, 2] = one
                continue
            highest = max(a, max(b, c))
            factors[y, x, 0] = one if a == highest else np.exp(a - highest)
            factors[y, x, 1] = one if b == highest else np.exp(b - highest)
            factors[y, x, 2] = one if c == highest else np.exp(c - highest)


@_compiled
def multiply(
    probabilities: np.ndarray, labels: np.ndarray, depth: np.ndarray, factors: np.ndarray, says: np.ndarray, step: int,
    top: int, left: int, floor: float, certain: float, sensitivity: float, edge_mm: float, start: int, stop: int,
) -> None:  # fmt: skip
    """Multiplies the probabilities of a box by what the frames around say, and labels it anew.

    A pixel takes the mean of the factors around it that lie on its own surface.

    Args:
        probabilities: float32 (3, H, W), changed.
        labels: uint8 (H, W), changed.
        depth: float32 (H, W) millimetres; pixels without data, 0, stay as they are.
        factors: float32 (box height, box width, 3), at every `step`-th pixel.
        says: bool (box height, box width); see `factors_of`.
        step, top, left: where the box lies.
        floor: smallest probability before.
        certain: a background from this on that is said to be background stays as it is.
        sensitivity: what the odds of hand and object against background are multiplied by in the labels.
        edge_mm: from this difference of depth on, a surface is another one.
    """
    rows, columns = factors.shape[0], factors.shape[1]
    one, zero, least = np.float32(1.0), np.float32(0.0), np.float32(floor)
    odds, share = np.float32(1.0 / sensitivity), np.float32(1.0 / step)
    for j in range(start, stop):
        j1 = min(j + 1, rows - 1)
        first_row, below = (top + j) * step, (top + j1) * step
        for i in range(columns):
            i1 = min(i + 1, columns - 1)
            if not (says[j, i] or says[j, i1] or says[j1, i] or says[j1, i1]):
                continue
            first_column, beside = (left + i) * step, (left + i1) * step
            for y in range(first_row, min(first_row + step, depth.shape[0])):
                ty = np.float32(y - first_row) * share
                for x in range(first_column, min(first_column + step, depth.shape[1])):
                    here = depth[y, x]
                    if not here > zero:
                        continue
                    tx = np.float32(x - first_column) * share
                    background = probabilities[0, y, x]
                    total = zero
                    a, b, c = zero, zero, zero
                    if tx == zero and ty == zero:  # one of the stream's own pixels
                        a, b, c, total = factors[j, i, 0], factors[j, i, 1], factors[j, i, 2], one
                    for corner in range(4 if total == zero else 0):
                        weight = (tx if corner & 1 else one - tx) * (ty if corner >> 1 else one - ty)
                        if weight == zero:
                            continue
                        v, u = (below if corner >> 1 else first_row), (beside if corner & 1 else first_column)
                        if abs(depth[v, u] - here) < edge_mm:
                            cj, ci = (j1 if corner >> 1 else j), (i1 if corner & 1 else i)
                            total += weight
                            a += weight * factors[cj, ci, 0]
                            b += weight * factors[cj, ci, 1]
                            c += weight * factors[cj, ci, 2]
                    if total == zero or (a == total and b == total and c == total):
                        continue
                    if background >= certain and a >= b and a >= c:
                        continue
                    a *= max(background, least)
                    b *= max(probabilities[1, y, x], least)
                    c *= max(probabilities[2, y, x], least)
                    scale = one / (a + b + c)
                    a, b, c = a * scale, b * scale, c * scale
                    probabilities[0, y, x] = a
                    probabilities[1, y, x] = b
                    probabilities[2, y, x] = c
                    label = 0
                    best = a * odds
                    if b > best:
                        label = 1
                        best = b
                    if c > best:
                        label = 2
                    labels[y, x] = label
