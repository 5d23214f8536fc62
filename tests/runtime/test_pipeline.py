"""Work in threads: what overlaps, what is limited, how it stops. Threads meet at events and barriers, not by time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from graspcut.runtime.pipeline import LimitedCalls, run_in_threads

# How long a test waits for what has to happen before it fails; nothing waits this long when all is well.
PATIENCE_S = 30.0


class Boom(Exception):
    """What the tests throw."""


def await_event(event: threading.Event) -> None:
    """Waits, and fails the test if nothing comes."""
    assert event.wait(PATIENCE_S), "what should happen at the same time did not"


@pytest.mark.parametrize("threads, calls", [(1, 1), (2, 1), (3, 2), (8, 4)])
def test_every_item_is_done_once_and_collected_in_the_calling_thread(threads: int, calls: int) -> None:
    collected: list[int] = []
    places: set[int] = set()

    def collect(result: int) -> None:
        collected.append(result)
        places.add(threading.get_ident())

    run_in_threads(lambda item, limited: limited(lambda: item * item), range(50), collect, threads=threads, calls=calls)
    assert sorted(collected) == [item * item for item in range(50)]
    assert places == {threading.get_ident()}


def test_no_items_are_fine() -> None:
    run_in_threads(lambda item, limited: item, [], pytest.fail, threads=2, calls=1)


def test_one_call_overlaps_with_reading_the_next_and_writing_the_last() -> None:
    reading = [threading.Event() for _ in range(4)]
    calling = [threading.Event() for _ in range(4)]
    writing = [threading.Event() for _ in range(4)]
    written: list[int] = []

    def work(item: int, limited: LimitedCalls) -> int:
        reading[item].set()
        if item == 1:  # calls have no order, and this one waits for what comes after item 0's
            await_event(calling[0])

        def call() -> None:
            calling[item].set()
            if item == 1:  # the only call now: both of its neighbours are at work
                await_event(reading[2])
                await_event(writing[0])

        limited(call)
        writing[item].set()
        if item == 0:
            await_event(calling[1])
        return item

    run_in_threads(work, range(4), written.append, threads=3, calls=1)
    assert sorted(written) == [0, 1, 2, 3]


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_calls_are_limited_and_use_the_limit(calls: int) -> None:
    everyone = threading.Barrier(calls)
    lock = threading.Lock()
    running = most = 0
    callers: set[int] = set()

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            callers.add(threading.get_ident())
        everyone.wait(PATIENCE_S)  # breaks, and raises here, unless this many run at the same time
        with lock:
            running -= 1

    run_in_threads(lambda item, limited: limited(call), range(12 * calls), lambda _: None, threads=6, calls=calls)
    assert most == calls
    # Always the same threads: see LimitedCalls.
    assert len(callers) == calls


def test_items_are_taken_lazily_and_few_are_in_work() -> None:
    threads = 3
    lock = threading.Lock()
    taken = collected = running = most = 0
    ahead: list[int] = []
    everyone = threading.Barrier(threads)

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(60):
            taken += 1
            ahead.append(taken - collected)
            yield item

    def work(item: int, limited: LimitedCalls) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        everyone.wait(PATIENCE_S)
        with lock:
            running -= 1

    def collect(_: None) -> None:
        nonlocal collected
        collected += 1

    run_in_threads(work, items(), collect, threads=threads, calls=1)
    assert (taken, collected, most) == (60, 60, threads)
    assert max(ahead) <= 2 * threads


def test_an_exception_in_one_thread_stops_all() -> None:
    called: list[int] = []
    in_call, in_line, stopped = threading.Event(), threading.Event(), threading.Event()

    def work(item: int, limited: LimitedCalls) -> None:
        def call() -> None:
            called.append(item)
            in_call.set()
            await_event(stopped)

        if item == 0:
            await_event(in_call)
            await_event(in_line)
            raise Boom("item 0")
        if item == 2:
            await_event(in_call)
            in_line.set()
        try:
            limited(call)
        except (CancelledError, RuntimeError):  # its turn will never come
            stopped.set()
            raise

    with pytest.raises(Boom, match="item 0"):
        run_in_threads(work, range(100), lambda _: None, threads=3, calls=1)
    assert called == [1]
    assert_no_threads_are_left()


def test_an_exception_in_a_call_stops_all() -> None:
    begun: list[int] = []

    def work(item: int, limited: LimitedCalls) -> None:
        def call() -> None:
            begun.append(item)
            if len(begun) == 3:
                raise Boom

        limited(call)

    with pytest.raises(Boom):
        run_in_threads(work, range(100_000), lambda _: None, threads=3, calls=1)
    # How many the other threads begin until the calling one knows is chance; nobody goes on to the end.
    assert 3 <= len(begun) < 50_000
    assert_no_threads_are_left()


def test_an_exception_while_collecting_stops_all() -> None:
    begun: list[int] = []
    collected: list[int] = []

    def collect(item: int) -> None:
        collected.append(item)
        if len(collected) == 3:
            raise Boom

    def work(item: int, limited: LimitedCalls) -> int:
        begun.append(item)
        return item

    with pytest.raises(Boom):
        run_in_threads(work, range(1000), collect, threads=2, calls=1)
    # Two were replaced by new ones after they were collected.
    assert len(begun) <= 2 * 2 + 2
    assert_no_threads_are_left()


def test_bad_items_stop_all() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise Boom

    with pytest.raises(Boom):
        run_in_threads(lambda item, limited: limited(lambda: item), items(), lambda _: None, threads=2, calls=1)
    assert_no_threads_are_left()


@pytest.fixture
def interrupt_key() -> Iterator[None]:
    """Ctrl-C as it is for a program in the foreground: a shell starts those in the background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupt_key")
def test_the_interrupt_key_stops_all_and_what_has_begun_ends() -> None:
    begun: set[int] = set()
    ended: list[int] = []
    all_begun, stopped = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        for item in range(1000):
            if item == 3:
                all_begun.set()
            yield item

    def work(item: int, limited: LimitedCalls) -> None:
        def call() -> None:
            await_event(all_begun)
            signal.pthread_kill(main, signal.SIGINT)
            await_event(stopped)  # still in the call when everything stops

        begun.add(item)
        try:
            limited(call)
        except (CancelledError, RuntimeError):
            stopped.set()
            raise
        ended.append(item)

    main = threading.get_ident()
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run_in_threads(work, items(), lambda _: None, threads=2, calls=1)
    assert len(ended) == 1
    assert begun == {0, 1}
    assert_no_threads_are_left()


def assert_no_threads_are_left() -> None:
    """All threads of the pipeline have ended."""
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("work", "call"))]
    assert left == []
