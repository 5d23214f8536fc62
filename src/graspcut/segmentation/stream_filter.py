"""The filter behind streams: evidence of one frame, what a frame beside it says, and both together.

Log class probabilities at the scale of the network, in the box around what may be hand or object. See `stream.py`.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import focal_length_px
from graspcut.frames.flow import backward_flow, flow_picture, nearest_depth_mm
from graspcut.labels import BACKGROUND
from graspcut.segmentation.result import Segmentation

try:
    from graspcut.segmentation import stream_kernels as loops
except ModuleNotFoundError:  # numba, the extra `synth`
    from graspcut.segmentation import stream_arrays as loops  # type: ignore[no-redef]

WORKING_FOCAL_PX = 240.0  # half of what most cameras have at 640x480: the scale the compact network works at
_PROBABILITY_FLOOR = 1e-3
_LOWEST_LOG_POSTERIOR = -10.0  # two frames that are sure of something else turn a surface round
_CERTAIN = 0.98  # a pixel whose background is less certain than this takes part
_BEYOND_DOUBT = 0.9995
_LOG_HALF = float(np.log(0.5))
_EDGE_MM = 30.0  # neighbouring pixels that are farther apart belong to two surfaces
_MARGIN_PX = 16
_CONTINUOUS = 0.5  # at least half of the pairs of frames lately
_CONTINUITY_SHARE = 0.2  # of the newest pair
_FLOW_STEP = 2
_ROWS_FOR_TWO = 64

Box = tuple[slice, slice]


@dataclass(frozen=True)
class StreamConfig:
    """How much a stream believes the frames around.

    Attributes:
        trust: share of a neighbour's log posterior that counts where the surface has been in agreement for long.
        first_trust: the same where it agrees for the first time.
        growth_frames: frames in agreement after which about two thirds of the way to `trust` are done.
        tolerance_mm: largest change of a surface's depth between two frames.
        least_agreement: share of the possible hand and object pixels that agrees in frames that follow each other
            beyond doubt.
        largest_strain: how much the flow changes there from pixel to pixel, the mean in pixels per pixel, in frames
            that follow each other beyond doubt. Surfaces move as wholes; a flow that brings one picture onto an
            unrelated one is torn to pieces, so that their depths may well agree.
        least_agreement_in_doubt: where most pairs of frames lately followed each other beyond doubt, so much is enough
            for the next; where they did not, as among pictures in no order, a pair in doubt starts anew.
        largest_strain_in_doubt: likewise.
        longest_gap_s: frames farther apart than this, by their time stamps, start anew.
        still_after_s: in front of a camera that stands still, what has not moved for so many seconds is taken for
            background; None never does. Needs time stamps, else 30 frames are a second.
        future_frames: how many frames ahead, and how many back, the labels of a recording know of.
        block_frames: frames of a recording that are smoothed together. Their labels depend on them and on
            `future_frames` before and behind alone, so that a stopped run goes on with the same labels.
    """

    trust: float = 0.98
    first_trust: float = 0.8
    growth_frames: float = 5.0
    tolerance_mm: float = 25.0
    least_agreement: float = 0.9
    largest_strain: float = 0.2
    least_agreement_in_doubt: float = 0.7
    largest_strain_in_doubt: float = 0.6
    longest_gap_s: float = 0.5
    still_after_s: float | None = None
    future_frames: int = 16
    block_frames: int = 64

    @property
    def trusts(self) -> NDArray[np.float32]:
        """(n,) trust after 1, 2, .. frames in agreement; the last one stays."""
        frames = np.arange(math.ceil(5 * self.growth_frames) + 1)
        growth = 1.0 - np.exp(-frames / self.growth_frames)
        return (self.first_trust + (self.trust - self.first_trust) * growth).astype(np.float32)

    def __post_init__(self) -> None:
        if not 0 <= self.first_trust <= self.trust < 1:
            raise ValueError(f"first_trust {self.first_trust} and trust {self.trust}: expected 0 <= first <= trust < 1")
        if self.future_frames < 1 or self.block_frames < 1:
            raise ValueError(
                f"future_frames is {self.future_frames} and block_frames {self.block_frames}, expected 1 or more"
            )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one frame says on its own, at the stream's scale.

    Attributes:
        depth_mm: (h, w) millimetres.
        log_probabilities: (box height, box width, 3), of the part in `box` alone.
        box: the part in which something may be hand or object; None if nothing may.
        step: frame pixels for each of these.
        timestamp_s: of the frame, or None.
    """

    depth_mm: NDArray[np.float32]
    log_probabilities: NDArray[np.float32]
    box: Box | None
    step: int
    timestamp_s: float | None

    @property
    def pixels(self) -> Box:
        """The box in pixels of the frame."""
        assert self.box is not None
        rows, columns = (slice(part.start * self.step, part.stop * self.step) for part in self.box)
        return rows, columns


@dataclass(frozen=True, eq=False)
class StreamState:
    """What a stream knows after a frame.

    Attributes:
        evidence: the frame's own.
        log_posterior: (h, w, 3); 0, which says nothing, outside the evidence's box.
        agreed_frames: (h, w) float32, for how many frames the surface has been in agreement.
        unmoved_s: (h, w) float32, for how long its depth has not changed; empty unless `still_after_s` is set.
        started_anew: whether this frame took nothing from the frame before.
        continuity: in [0, 1], how many pairs of frames lately followed each other beyond doubt.
    """

    evidence: Evidence
    log_posterior: NDArray[np.float32]
    agreed_frames: NDArray[np.float32]
    unmoved_s: NDArray[np.float32]
    started_anew: bool
    continuity: float


@dataclass(frozen=True, eq=False)
class Carried:
    """What the frame before (or after) says about a frame.

    Attributes:
        log_evidence: (box height, box width, 3) to add in the frame's box; None to start anew.
        agreed_frames: (box height, box width) float32, frames in agreement.
        is_beyond_doubt: whether the frames follow each other beyond doubt; None where there was nothing to compare.
    """

    log_evidence: NDArray[np.float32] | None
    agreed_frames: NDArray[np.float32]
    is_beyond_doubt: bool | None = None


@functools.cache
def _second_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="stream")


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_second_thread.cache_clear)


def in_two_threads(rows: int, loop: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Runs a compiled loop over rows, in two halves at the same time where OpenCV too may use several threads.

    Args:
        rows: how many there are.
        loop: called as `loop(*arguments, start, stop)`.
        arguments: see there.

    Returns:
        what each part returned.
    """
    if cv2.getNumThreads() < 2 or rows < _ROWS_FOR_TWO:
        return [loop(*arguments, 0, rows)]
    lower = _second_thread().submit(loop, *arguments, rows // 2, rows)
    upper = loop(*arguments, 0, rows // 2)
    # On a busy machine the second thread may not have begun; then waiting for it costs more than it saves.
    return [upper, loop(*arguments, rows // 2, rows) if lower.cancel() else lower.result()]


def evidence_of(result: Segmentation, timestamp_s: float | None = None, before: StreamState | None = None) -> Evidence:
    """A frame's own log probabilities at the stream's scale.

    Args:
        result: the frame segmented on its own.
        timestamp_s: of the frame.
        before: what was known before: where it found something, the frame is looked at although it finds nothing.
    """
    width = result.depth_mm.shape[1]
    step = max(1, round(focal_length_px(result.camera, width) / WORKING_FOCAL_PX))
    depth = np.ascontiguousarray(result.depth_mm[::step, ::step])
    known = np.zeros((0, 0, 3), np.float32) if before is None else before.log_posterior
    bounds = np.zeros(4, np.int64)
    loops.bounds_of_possible(result.probabilities, step, _CERTAIN, known, _LOG_HALF, bounds)
    top, bottom, left, right = (int(bound) for bound in bounds)
    if bottom < top:
        return Evidence(depth, np.zeros((0, 0, 3), np.float32), None, step, timestamp_s)
    box = (
        slice(max(0, top - _MARGIN_PX), min(depth.shape[0], bottom + 1 + _MARGIN_PX)),
        slice(max(0, left - _MARGIN_PX), min(depth.shape[1], right + 1 + _MARGIN_PX)),
    )
    log_inside = np.empty((box[0].stop - box[0].start, box[1].stop - box[1].start, 3), np.float32)
    place = step, box[0].start, box[1].start
    in_two_threads(
        len(log_inside),
        loops.log_probabilities,
        *(result.probabilities, *place, _BEYOND_DOUBT, _PROBABILITY_FLOOR, log_inside),
    )
    return Evidence(depth, log_inside, box, step, timestamp_s)


def carried_over(neighbour: StreamState | None, evidence: Evidence, config: StreamConfig) -> Carried:
    """What the frame before (or after) says about this one.

    Args:
        neighbour: its state.
        evidence: this frame.
        config: how much it is believed.
    """
    box = evidence.box
    if box is None:
        return Carried(None, np.zeros((0, 0), np.float32))
    depth = evidence.depth_mm[box]
    if neighbour is None or not _follows(neighbour.evidence, evidence, config):
        return Carried(None, np.zeros(depth.shape, np.float32))
    small, small_before = (frame.depth_mm[box][::_FLOW_STEP, ::_FLOW_STEP] for frame in (evidence, neighbour.evidence))
    flow = backward_flow(
        flow_picture(small, nearest_depth_mm(small)), flow_picture(small_before, nearest_depth_mm(small_before))
    )
    carried, frames = np.empty((*depth.shape, 3), np.float32), np.empty(depth.shape, np.float32)
    counts = in_two_threads(
        len(carried), loops.carry, evidence.depth_mm, neighbour.evidence.depth_mm, neighbour.log_posterior,
        neighbour.agreed_frames, evidence.log_probabilities, flow, _FLOW_STEP, box[0].start, box[1].start,
        config.tolerance_mm, np.log(_CERTAIN), config.trusts, carried, frames,
    )  # fmt: skip
    possible, agreeing, strain = (sum(values) for values in zip(*counts, strict=True))
    if possible == 0:
        return Carried(None, np.zeros(depth.shape, np.float32))
    beyond_doubt = agreeing >= config.least_agreement * possible and strain <= config.largest_strain * possible
    if not beyond_doubt and (
        neighbour.continuity < _CONTINUOUS
        or agreeing < config.least_agreement_in_doubt * possible
        or strain > config.largest_strain_in_doubt * possible
    ):
        return Carried(None, np.zeros(depth.shape, np.float32), False)
    return Carried(carried, frames, beyond_doubt)


def _follows(before: Evidence, evidence: Evidence, config: StreamConfig) -> bool:
    """Whether a frame can belong to the same recording as the one beside it."""
    if before.depth_mm.shape != evidence.depth_mm.shape or before.step != evidence.step:
        return False
    if before.timestamp_s is None or evidence.timestamp_s is None:
        return True
    return abs(evidence.timestamp_s - before.timestamp_s) <= config.longest_gap_s


def next_state(before: StreamState | None, evidence: Evidence, carried: Carried, config: StreamConfig) -> StreamState:
    """Own evidence and what was carried over, normalised; no class becomes impossible for ever."""
    posterior = np.zeros((*evidence.depth_mm.shape, 3), np.float32)
    frames = np.zeros(evidence.depth_mm.shape, np.float32)
    if evidence.box is not None:
        box = evidence.box
        if carried.log_evidence is None:
            np.maximum(evidence.log_probabilities, np.float32(_LOWEST_LOG_POSTERIOR), out=posterior[box])
        else:
            sums = evidence.log_probabilities, carried.log_evidence, _LOWEST_LOG_POSTERIOR, posterior[box]
            in_two_threads(len(carried.log_evidence), loops.add_up, *sums)
        frames[box] = carried.agreed_frames
    unmoved = np.zeros((0, 0), np.float32)
    if config.still_after_s is not None:
        unmoved = _unmoved_s(before, evidence)
    continuity = _CONTINUOUS if before is None else before.continuity
    if carried.is_beyond_doubt is not None:
        continuity += _CONTINUITY_SHARE * (float(carried.is_beyond_doubt) - continuity)
    return StreamState(evidence, posterior, frames, unmoved, carried.log_evidence is None, continuity)


def with_evidence(
    own: Segmentation,
    evidence: Evidence,
    extra: NDArray[np.float32] | None,
    sensitivity: float = 1.0,
    *,
    in_place: bool = False,
) -> Segmentation:
    """A frame's result with evidence added at every pixel of the box.

    Args:
        own: the frame segmented on its own.
        evidence: of the same frame.
        extra: (box height, box width, 3) log evidence, or None for nothing.
        sensitivity: see `labels_of`.
        in_place: change the arrays of `own`, which nobody else then holds; copies take a tenth of the whole step.
    """
    if extra is None or evidence.box is None:
        return own
    probabilities, labels = own.probabilities, own.labels
    if not in_place:
        probabilities, labels = probabilities.copy(), labels.copy()
    factors, says = np.empty_like(extra), np.empty(extra.shape[:2], np.bool_)
    in_two_threads(len(extra), loops.factors_of, extra, factors, says)
    in_two_threads(
        len(extra), loops.multiply, probabilities, labels, own.depth_mm, factors, says, evidence.step,
        evidence.box[0].start, evidence.box[1].start, _PROBABILITY_FLOOR, _CERTAIN, sensitivity, _EDGE_MM,
    )  # fmt: skip
    return replace(own, probabilities=probabilities, labels=labels)


def _unmoved_s(before: StreamState | None, evidence: Evidence) -> NDArray[np.float32]:
    """For how long each pixel's depth has stayed where it was."""
    if before is None or before.unmoved_s.shape != evidence.depth_mm.shape:
        return np.zeros(evidence.depth_mm.shape, np.float32)
    now, then = evidence.timestamp_s, before.evidence.timestamp_s
    passed = 1.0 / 30.0 if now is None or then is None else max(0.0, now - then)
    depth, last = evidence.depth_mm, before.evidence.depth_mm
    stayed = np.abs(depth - last) < np.maximum(5.0, 0.01 * last)
    return np.where(stayed, before.unmoved_s + np.float32(passed), np.float32(0)).astype(np.float32)


def with_still_surfaces(
    carried: NDArray[np.float32] | None, evidence: Evidence, unmoved_s: NDArray[np.float32], after_s: float
) -> NDArray[np.float32] | None:
    """Adds that what has not moved for so long is background, where most of the picture stands still."""
    valid = evidence.depth_mm > 0
    if np.count_nonzero(unmoved_s[valid] > 0) < 0.5 * np.count_nonzero(valid):
        return carried  # the camera itself moves
    assert evidence.box is not None
    still = unmoved_s[evidence.box] >= after_s
    total = np.zeros((*still.shape, 3), np.float32) if carried is None else carried.copy()
    total[still, BACKGROUND] += np.float32(-2 * _LOWEST_LOG_POSTERIOR)
    return total
