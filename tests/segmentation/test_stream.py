"""The filter over time, with a segmenter that is wrong in known ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.segmentation import stream_filter
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream, Smoother, StreamConfig, StreamState
from graspcut.segmentation.stream_filter import in_two_threads

HEIGHT, WIDTH = 96, 128
CAMERA = Camera.from_focal_length(WIDTH, HEIGHT, 240.0)
Doubt = Callable[[int, NDArray[np.int64]], NDArray[np.float32]]


def scene(shift_px: int, distance_mm: float = 450.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A bumpy hand (left half of a block) holding an object (right half), moved to the right; depth and truth."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    u = x - shift_px
    block = (u > 30) & (u < 80) & (y > 24) & (y < 72)
    truth = np.where(block, np.where(u < 55, 1, 2), 0)
    bumps = 12 * np.sin(u / 4.0) * np.cos(y / 5.0)
    depth = np.where(block, distance_mm + bumps, 1200.0).astype(np.float32)
    return depth, truth


class WrongNowAndThen:
    """Labels frames by the truth, certain to `confidence`, except where `mistaken` says so."""

    def __init__(self, mistaken: Callable[[int, NDArray[np.int64]], NDArray[np.int64]], confidence: float = 0.7):
        self.mistaken, self.confidence, self.calls = mistaken, confidence, 0

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        frame = depth_mm
        assert isinstance(frame, Frame)
        number = int(frame.name)
        said = self.mistaken(number, TRUTHS[number])
        rest = (1 - self.confidence) / 2
        probabilities = np.full((3, HEIGHT, WIDTH), rest, np.float32)
        np.put_along_axis(probabilities, said[None], self.confidence, axis=0)
        probabilities[:, TRUTHS[number] == 0] = np.array([0.999, 0.0005, 0.0005], np.float32)[:, None]
        self.calls += 1
        labels = np.where(frame.depth_mm > 0, probabilities.argmax(axis=0), 0).astype(np.uint8)
        return Segmentation(labels, probabilities, frame.depth_mm, CAMERA)


DEPTHS, TRUTHS = zip(*(scene(2 * number) for number in range(10)), strict=True)
FRAMES = [Frame(depth, camera=CAMERA, name=str(number)) for number, depth in enumerate(DEPTHS)]


def swapped_in_frame_5(number: int, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([0, 2, 1])[truth] if number == 5 else truth


def errors(results: list[Segmentation]) -> list[int]:
    return [int((result.labels != truth).sum()) for result, truth in zip(results, TRUTHS, strict=True)]


def through(stream: SegmentationStream, frames: list[Frame]) -> tuple[list[Segmentation], list[StreamState]]:
    state, results, states = None, [], []
    for frame in frames:
        result, state = stream.step(frame, state)
        results.append(result)
        states.append(state)
    return results, states


def test_the_past_corrects_a_frame_that_is_wrong() -> None:
    alone = WrongNowAndThen(swapped_in_frame_5)
    block = int((TRUTHS[5] > 0).sum())
    assert errors([alone(frame) for frame in FRAMES])[5] == block
    results, states = through(SegmentationStream(alone), FRAMES)
    found = errors(results)
    assert found[5] < 0.1 * block
    assert max(found[:5] + found[6:]) < 0.1 * block
    assert [state.started_anew for state in states] == [True] + [False] * 9


def test_two_sure_frames_turn_a_surface_round_however_long_it_was_another() -> None:
    depth, truth = scene(0)

    def put_down(frame: Frame, camera: Camera | None = None) -> Segmentation:
        said = np.where(truth == 2, 0, truth) if int(frame.name) >= 200 else truth
        probabilities = np.full((3, HEIGHT, WIDTH), 5e-4, np.float32)
        np.put_along_axis(probabilities, said[None], 0.999, axis=0)
        return Segmentation(said.astype(np.uint8), probabilities, depth, CAMERA)

    stream, state = SegmentationStream(put_down), None
    still_object = []
    for number in range(203):
        result, state = stream.step(Frame(depth, camera=CAMERA, name=str(number)), state)
        still_object.append(int((result.labels[truth == 2] == 2).sum()))
    assert still_object[199] == (truth == 2).sum() and still_object[201] == 0


def test_the_future_corrects_the_first_frame() -> None:
    def swapped_in_frame_0(number: int, truth: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([0, 2, 1])[truth] if number == 0 else truth

    stream = SegmentationStream(WrongNowAndThen(swapped_in_frame_0))
    block = int((TRUTHS[0] > 0).sum())
    past = errors(through(stream, FRAMES)[0])
    both = errors(list(stream.smooth(FRAMES)))
    assert past[0] == block
    assert both[0] < 0.1 * block


@pytest.mark.parametrize(("future_frames", "block_frames"), [(1, 1), (2, 3), (3, 2), (50, 4), (4, 50)])
def test_every_frame_comes_out_once_and_in_order(future_frames: int, block_frames: int) -> None:
    config = StreamConfig(future_frames=future_frames, block_frames=block_frames)
    stream = SegmentationStream(WrongNowAndThen(lambda _, truth: truth), config)
    results = list(stream.smooth(iter(FRAMES)))
    assert [result.depth_mm is frame.depth_mm for result, frame in zip(results, FRAMES, strict=True)] == [True] * 10


def test_a_block_alone_has_the_labels_it_has_among_all() -> None:
    config = StreamConfig(future_frames=2, block_frames=3)
    segmenter = WrongNowAndThen(swapped_in_frame_5)
    whole, part = Smoother(config), Smoother(config, blocks={1})
    expected: dict[int, Segmentation] = {}
    found: dict[int, Segmentation] = {}
    for position, frame in enumerate(FRAMES):
        own = segmenter(frame)
        expected |= dict(whole.push(position, own))
        found |= dict(part.push(position, own if part.needs(position) else None))
    expected |= dict(whole.finish())
    found |= dict(part.finish())
    assert sorted(expected) == list(range(10)) and sorted(found) == [3, 4, 5]
    assert [part.needs(position) for position in range(10)] == [False] + [True] * 7 + [False] * 2
    for position, result in found.items():
        assert np.array_equal(result.probabilities, expected[position].probabilities)


def test_frames_that_are_missing_are_bridged() -> None:
    smoother = Smoother(StreamConfig())
    segmenter = WrongNowAndThen(swapped_in_frame_5)
    for position, frame in enumerate(FRAMES):
        smoother.push(position, None if position == 4 else segmenter(frame))
    settled = dict(smoother.finish())
    assert sorted(settled) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert (settled[5].labels != TRUTHS[5]).sum() < 0.1 * (TRUTHS[5] > 0).sum()


def test_a_stream_of_steps_is_repeatable_and_keeps_no_hidden_memory() -> None:
    stream = SegmentationStream(WrongNowAndThen(swapped_in_frame_5))
    results, states = through(stream, FRAMES)
    again, _ = stream.step(FRAMES[6], states[5])
    assert np.array_equal(again.probabilities, results[6].probabilities)


def test_arrays_are_changed_where_nobody_else_holds_them_and_nowhere_else() -> None:
    class Keeping(WrongNowAndThen):
        def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
            kept.append(super().__call__(depth_mm, camera))
            return kept[-1]

    class New(Keeping):
        results_are_new = True

    found = []
    for kind in (Keeping, New):
        kept: list[Segmentation] = []
        results, _ = through(SegmentationStream(kind(swapped_in_frame_5)), FRAMES[:7])
        found.append(results[5])
        assert (results[5].probabilities is kept[5].probabilities) == (kind is New)
    assert np.array_equal(found[0].probabilities, found[1].probabilities)
    assert np.array_equal(found[0].labels, found[1].labels)


def test_the_stream_starts_anew_at_a_cut_and_after_a_gap() -> None:
    stream = SegmentationStream(WrongNowAndThen(swapped_in_frame_5))
    _, states = through(stream, FRAMES[:5])
    far, _ = scene(10, distance_mm=700.0)
    moved = Frame(far, camera=CAMERA, name="5")
    result, state = stream.step(moved, states[-1])
    assert state.started_anew
    assert np.array_equal(result.labels, stream.segmenter(moved).labels)
    timed = [
        Frame(depth, camera=CAMERA, name=str(number), timestamp_s=seconds)
        for number, (depth, seconds) in enumerate(zip(DEPTHS, (0.0, 0.03, 5.0), strict=False))
    ]
    assert [state.started_anew for state in through(stream, timed)[1]] == [True, False, True]


def test_frames_in_doubt_follow_in_a_stream_but_not_among_unrelated_pictures() -> None:
    stream = SegmentationStream(WrongNowAndThen(lambda _, truth: truth))
    _, states = through(stream, FRAMES[:5])
    depth = DEPTHS[5].copy()
    depth[24:36][TRUTHS[5][24:36] > 0] += 100.0  # a fifth of the hand and object has moved away
    doubtful = Frame(depth, camera=CAMERA, name="5")
    result, state = stream.step(doubtful, states[-1])
    assert not state.started_anew and state.continuity < states[-1].continuity
    unrelated = replace(states[-1], continuity=0.3)
    alone, state = stream.step(doubtful, unrelated)
    assert state.started_anew and not np.array_equal(alone.probabilities, result.probabilities)
    _, state = stream.step(FRAMES[5], unrelated)
    assert not state.started_anew and state.continuity > 0.3


def test_rows_shared_by_two_threads_are_all_done_once() -> None:
    done = np.zeros(100, int)

    def loop(add: int, start: int, stop: int) -> int:
        done[start:stop] += add
        return stop - start

    for _ in range(50):
        assert sum(in_two_threads(100, loop, 2)) == 100
    assert (done == 100).all()


def test_another_size_starts_anew() -> None:
    stream = SegmentationStream(WrongNowAndThen(lambda _, truth: truth))
    _, states = through(stream, FRAMES[:1])

    class Other:
        def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
            depth = depth_mm.depth_mm
            return Segmentation(np.zeros(depth.shape, np.uint8), np.full((3, *depth.shape), 1 / 3, np.float32), depth)

    _, state = SegmentationStream(Other()).step(Frame(np.full((40, 60), 500.0, np.float32)), states[0])
    assert state.started_anew


def test_pixels_without_depth_stay_background_and_probabilities_sum_to_one() -> None:
    stream = SegmentationStream(WrongNowAndThen(swapped_in_frame_5))
    _, states = through(stream, FRAMES[:5])
    depth = DEPTHS[5].copy()
    depth[40:50, 60:70] = 0
    result, state = stream.step(Frame(depth, camera=CAMERA, name="5"), states[-1])
    assert not state.started_anew
    assert not result.labels[40:50, 60:70].any()
    assert np.allclose(result.probabilities.sum(axis=0), 1.0, atol=1e-4)


def test_frames_of_twice_the_size_work_at_half_of_it() -> None:
    double = Camera.from_focal_length(2 * WIDTH, 2 * HEIGHT, 480.0)
    inner = WrongNowAndThen(swapped_in_frame_5)

    def enlarge(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array.repeat(2, axis=-2).repeat(2, axis=-1))

    class Large:
        def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
            small = inner(FRAMES[int(depth_mm.name)])
            return Segmentation(enlarge(small.labels), enlarge(small.probabilities), depth_mm.depth_mm, double)

    frames = [Frame(enlarge(depth), camera=double, name=str(number)) for number, depth in enumerate(DEPTHS)]
    results, states = through(SegmentationStream(Large()), frames)
    assert states[5].log_posterior.shape == (HEIGHT, WIDTH, 3)
    assert (results[5].labels != enlarge(TRUTHS[5])).sum() < 0.1 * 4 * (TRUTHS[5] > 0).sum()


def test_what_stands_still_for_long_is_no_hand_when_asked() -> None:
    depth, truth = scene(0)
    still = [Frame(depth, camera=CAMERA, name="0", timestamp_s=number / 10) for number in range(30)]
    segmenter = WrongNowAndThen(lambda _, truth: truth)
    kept, _ = through(SegmentationStream(segmenter), still)
    gone, _ = through(SegmentationStream(segmenter, StreamConfig(still_after_s=1.5)), still)
    assert np.array_equal(kept[-1].labels, truth)
    assert np.array_equal(gone[5].labels, truth) and not gone[-1].labels.any()


def test_wrong_settings_say_what_is_expected() -> None:
    with pytest.raises(ValueError, match="first <= trust < 1"):
        StreamConfig(trust=0.4, first_trust=0.8)
    with pytest.raises(ValueError, match="1 or more"):
        StreamConfig(future_frames=0)


def test_warming_up_runs_every_compiled_loop_that_a_step_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def carried(*arguments: Any) -> Any:
        found = original(*arguments)
        seen.append(found.log_evidence is not None)
        return found

    original = stream_filter.carried_over
    monkeypatch.setattr("graspcut.segmentation.stream.carried_over", carried)
    SegmentationStream(lambda *_: pytest.fail("the network was asked")).warm_up()
    assert seen == [False, True], "the second step takes something from the first"
