"""Capture, network and screens in threads of their own: the newest frame, nobody waits, errors are told."""

from __future__ import annotations

import time

from graspcut.segmentation.live import LiveResult, LiveSegmentation, RateMeter
from tests.segmentation.live_material import Nearest, Ticking


def test_every_frame_reaches_a_quick_screen_in_order_with_its_labels() -> None:
    seen: list[LiveResult] = []
    segmenter = Nearest()
    live = LiveSegmentation(Ticking(40, every_s=0.005), segmenter)
    live.add_screen(seen.append)
    with live:
        assert live.wait(20)
    numbers = [shown.live.number for shown in seen]
    assert numbers == sorted(set(numbers)), "none twice, in order"
    assert len(numbers) + live.skipped >= 38 and numbers[-1] == 40, "the last one is never lost"
    assert segmenter.warmed_up == (48, 32)
    for shown in seen:
        assert shown.live.captured_s <= shown.labelled_s
        assert (shown.result.labels[:16, 1:] == 1).all() and (shown.result.labels[:, 0] == 2).all()
        assert shown.result.depth_mm[-1, -1] == 500.0 + shown.live.number, "labels belong to their frame"
    assert live.state == "the recording is over" and live.error is None


def test_a_slow_network_skips_frames_and_stays_with_the_newest() -> None:
    seen: list[tuple[int, float]] = []
    live = LiveSegmentation(Ticking(60, every_s=0.005), Nearest(seconds=0.04), independent=True)
    live.add_screen(lambda shown: seen.append((shown.live.number, time.perf_counter() - shown.live.captured_s)))
    with live:
        assert live.wait(20)
    assert live.captured.count == 60 and live.skipped > 30
    assert live.labelled.count + live.skipped == 60
    # Were frames queued, the last ones would be seconds old; each waits for one call at most, and takes one.
    assert sorted(age for _, age in seen)[len(seen) // 2] < 0.2


def test_a_screen_that_stops_slows_nobody() -> None:
    quick: list[int] = []
    stuck: list[int] = []

    def stops(shown: LiveResult) -> None:
        stuck.append(shown.live.number)
        time.sleep(0.5)

    live = LiveSegmentation(Ticking(60, every_s=0.01), Nearest())
    live.add_screen(stops)
    live.add_screen(lambda shown: quick.append(shown.live.number))
    with live:
        assert live.wait(20)
    assert len(quick) > 0.8 * live.labelled.count and len(stuck) < 0.3 * len(quick)
    assert stuck[-1] == 60, "when it goes on, it goes on with the newest"


def test_an_error_ends_it_and_is_kept() -> None:
    live = LiveSegmentation(Ticking(20, fails_at=5), Nearest())
    with live:
        assert live.wait(20)
    assert isinstance(live.error, OSError) and "cable" in str(live.error)

    def breaks(shown: LiveResult) -> None:
        raise RuntimeError("no screen")

    live = LiveSegmentation(Ticking(10_000, every_s=0.001), Nearest())
    live.add_screen(breaks)
    with live:
        assert live.wait(20), "the source is told to stop, too"
    assert str(live.error) == "no screen"


def test_a_frame_that_cannot_be_labelled_is_left_out_and_said_for_a_while() -> None:
    seen: list[int] = []
    live = LiveSegmentation(Ticking(30, every_s=0.01), Nearest(refuses=3), independent=True)
    said: list[str] = []

    def show(shown: LiveResult) -> None:
        seen.append(shown.live.number)
        said.append(live.state)

    live.add_screen(show)
    with live:
        assert live.wait(20)
    assert live.error is None and 3 not in seen and len(seen) > 15
    assert "frame 3 was left out: no depth at all" in said


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter = RateMeter()
    assert meter.per_s == 0.0
    for _ in range(11):
        meter.tick()
        time.sleep(0.01)
    assert meter.count == 11 and 20 < meter.per_s <= 101
