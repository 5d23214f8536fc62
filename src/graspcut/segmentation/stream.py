"""Steady labels over time: what the frames before, and after, know about this one.

    stream = segmenter.stream()
    state = None
    for frame in camera:
        result, state = stream.step(frame, state)      # past only; nothing is kept but `state`

    for result in stream.smooth(recording):            # past and future, a few dozen frames late

A recursive filter over class probabilities. The last frame's log posterior is brought to this frame along optical flow
on depth, counted only where the depths agree along it, and added to this frame's own log probabilities with a trust
that grows while a surface stays in agreement. With the future the same runs backwards, and a frame's own evidence is
counted once. Where too little agrees (a cut, a gap, another picture) the stream starts anew by itself.

It works at the scale of the network, only around what may be hand or object, and brings the change back to the pixels.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND
from graspcut.segmentation.interfaces import ProbabilitySegmenter
from graspcut.segmentation.result import Segmentation, labels_of
from graspcut.segmentation.stream_filter import (
    Evidence,
    StreamConfig,
    StreamState,
    carried_over,
    evidence_of,
    next_state,
    with_evidence,
    with_still_surfaces,
)

__all__ = ["SegmentationStream", "Smoother", "StreamConfig", "StreamState"]


class SegmentationStream:
    """Segments frames that follow each other.

    Args:
        segmenter: labels one frame.
        config: how much the frames around are believed.
    """

    def __init__(self, segmenter: ProbabilitySegmenter, config: StreamConfig | None = None) -> None:
        self.segmenter = segmenter
        self.config = config if config is not None else StreamConfig()

    @property
    def sensitivity(self) -> float:
        """The segmenter's."""
        return float(getattr(self.segmenter, "sensitivity", 1.0))

    def step(
        self, frame: NDArray[Any] | Frame, state: StreamState | None = None, camera: Camera | None = None
    ) -> tuple[Segmentation, StreamState]:
        """Segments one frame with what the frames before know.

        Args:
            frame: a Frame, or (H, W) millimetres.
            state: what the step before returned; None begins.
            camera: of an array; see `Segmenter`.

        Returns:
            the result at the frame's own size, and the state for the next step.

        Raises:
            FrameError: if the frame is unusable; the state before stays good.
        """
        own = self.segmenter(frame, camera)
        evidence = evidence_of(own, frame.timestamp_s if isinstance(frame, Frame) else None, state)
        carried = carried_over(state, evidence, self.config)
        following = next_state(state, evidence, carried, self.config)
        extra = carried.log_evidence
        if self.config.still_after_s is not None and evidence.box is not None:
            extra = with_still_surfaces(extra, evidence, following.unmoved_s, self.config.still_after_s)
        may_change = bool(getattr(self.segmenter, "results_are_new", False)) and own.probabilities.flags.writeable
        return with_evidence(own, evidence, extra, self.sensitivity, in_place=may_change), following

    __call__ = step

    def warm_up(self) -> None:
        """Runs two steps on a made-up hand, so that the first real ones do not wait for loops to compile."""
        depth = np.full((48, 64), 500.0, np.float32)
        probabilities = np.full((3, *depth.shape), 0.1, np.float32)
        probabilities[BACKGROUND], probabilities[1, 8:40, 16:48] = 0.8, 2.0
        probabilities /= probabilities.sum(axis=0)
        hand = Segmentation(labels_of(probabilities), probabilities, depth)
        stream = SegmentationStream(lambda *_: hand, self.config)
        _, state = stream.step(depth)
        stream.step(depth, state)

    def smooth(self, frames: Iterable[Frame]) -> Iterator[Segmentation]:
        """Segments a recording with what the frames before and after each know; memory stays bounded.

        Args:
            frames: in order of time.

        Yields:
            one result for each frame, in order, some dozen frames late.
        """
        smoother = Smoother(self.config, sensitivity=self.sensitivity)
        for position, frame in enumerate(frames):
            settled = smoother.push(position, self.segmenter(frame), frame.timestamp_s)
            yield from (result for _, result in settled)
        yield from (result for _, result in smoother.finish())


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame that waits for those behind it, kept small: where nothing may be hand or object, it is background."""

    depth_mm: NDArray[np.float32]
    camera: Camera | None
    inside: NDArray[np.float16]
    evidence: Evidence

    @classmethod
    def of(cls, own: Segmentation, evidence: Evidence) -> _Waiting:
        inside = own.probabilities[:, :0, :0] if evidence.box is None else own.probabilities[:, *evidence.pixels]
        return cls(own.depth_mm, own.camera, inside.astype(np.float16), evidence)

    @property
    def own(self) -> Segmentation:
        """The frame's own result."""
        probabilities = np.zeros((self.inside.shape[0], *self.depth_mm.shape), np.float32)
        probabilities[BACKGROUND] = 1.0
        labels = np.zeros(self.depth_mm.shape, np.uint8)
        if self.evidence.box is not None:
            part = self.inside.astype(np.float32)
            probabilities[:, *self.evidence.pixels] = part
            valid = self.depth_mm[self.evidence.pixels] > 0
            labels[self.evidence.pixels] = np.where(valid, part.argmax(axis=0), BACKGROUND)
        return Segmentation(labels, probabilities, self.depth_mm, self.camera)


class Smoother:
    """Labels of a recording from past and future, given each frame's own result.

    Args:
        config: how much the frames around are believed.
        blocks: numbers of the blocks that are wanted; None for all. A frame belongs to block
            position // block_frames.
        sensitivity: see `graspcut.segmentation.result.labels_of`.
    """

    def __init__(self, config: StreamConfig, blocks: Container[int] | None = None, *, sensitivity: float = 1.0) -> None:
        self.config = config
        self.sensitivity = sensitivity
        self._blocks = blocks
        self._waiting: dict[int, _Waiting] = {}
        self._block = 0

    def needs(self, position: int) -> bool:
        """Whether a wanted block depends on the frame."""
        reach, size = self.config.future_frames, self.config.block_frames
        around = range(max(0, position - reach) // size, (position + reach) // size + 1)
        return self._blocks is None or any(block in self._blocks for block in around)

    def push(
        self, position: int, own: Segmentation | None, timestamp_s: float | None = None
    ) -> list[tuple[int, Segmentation]]:
        """Takes the next frame.

        Args:
            position: of the frame in the recording; each is larger than the one before.
            own: the frame segmented on its own; None for one that is bad or not needed.
            timestamp_s: of the frame.

        Returns:
            (position, result) of the frames that are settled now, in order.
        """
        settled = []
        while position >= (self._block + 1) * self.config.block_frames + self.config.future_frames:
            settled += self._settle_block()
        if own is not None:
            self._waiting[position] = _Waiting.of(own, evidence_of(own, timestamp_s))
        return settled

    def finish(self) -> list[tuple[int, Segmentation]]:
        """(position, result) of the frames that are left."""
        settled = []
        while self._waiting and max(self._waiting) >= self._block * self.config.block_frames:
            settled += self._settle_block()
        return settled

    def _settle_block(self) -> list[tuple[int, Segmentation]]:
        """Goes forwards and backwards over one block and what is around it."""
        first, last = (number * self.config.block_frames for number in (self._block, self._block + 1))
        reach = self.config.future_frames
        settled: list[tuple[int, Segmentation]] = []
        if self._blocks is None or self._block in self._blocks:
            around = sorted(position for position in self._waiting if first - reach <= position < last + reach)
            past = self._carried(around)
            future = self._carried(around[::-1])
            for position in around:
                if first <= position < last:
                    entry, before, after = self._waiting[position], past[position], future[position]
                    both = before if after is None else after if before is None else before + after
                    settled.append((position, with_evidence(entry.own, entry.evidence, both, self.sensitivity)))
        self._block += 1
        for position in [position for position in self._waiting if position < last - reach]:
            del self._waiting[position]
        return settled

    def _carried(self, positions: Sequence[int]) -> dict[int, NDArray[np.float32] | None]:
        """What each frame is told by those before it in this order."""
        state: StreamState | None = None
        told = {}
        for position in positions:
            evidence = self._waiting[position].evidence
            carried = carried_over(state, evidence, self.config)
            told[position] = carried.log_evidence
            state = next_state(state, evidence, carried, self.config)
        return told
