"""Works on many items in threads: taken lazily, memory bounded, results handed over in the calling thread.

One thread takes an item through all of its steps; only the step that may not run many times at once (a network) goes
through `LimitedCalls`. So one item's reading and another's writing happen while a third is computed, without a queue of
arrays between the steps. Threads are enough because files, OpenCV, numpy and the inference engines let go of Python's
lock while they work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# A wait does not notice Ctrl-C that comes just before it (on Windows none at all): wake up this often to look.
_LOOK_UP_S = 0.25


class LimitedCalls:
    """Runs functions for many threads in a few threads of its own.

    A semaphore would limit the number as well, but then every thread would call the function itself, and libraries that
    use OpenMP keep a team of threads for each thread that calls them.

    Args:
        at_a_time: Number of these threads.
    """

    def __init__(self, at_a_time: int) -> None:
        self._threads = ThreadPoolExecutor(at_a_time, thread_name_prefix="call")

    def __call__(self, function: Callable[[], Result]) -> Result:
        """The function's result, or its exception, once it had its turn."""
        return self._threads.submit(function).result()

    def stop(self, *, wait: bool) -> None:
        """Lets no more functions begin: whoever waits for a turn, or comes later, gets an exception.

        Args:
            wait: Return when those that have begun are at their end.
        """
        self._threads.shutdown(wait=wait, cancel_futures=True)


def run_in_threads(
    work: Callable[[Item, LimitedCalls], Result],
    items: Iterable[Item],
    collect: Callable[[Result], None],
    *,
    threads: int,
    calls: int,
) -> None:
    """Does the work for every item.

    Items begin in order and end in any order. As soon as the calling thread knows of an exception, in a thread or here
    (Ctrl-C too), no further item begins and no further call either; items in or past their call end as usual, and all
    threads have ended before the exception leaves this function.

    Args:
        work: Called in one of the threads as `work(item, limited)`; `limited(function)` runs a function when it is its
            turn.
        items: Taken a few at a time, in the calling thread.
        collect: Called with each result, in the calling thread.
        threads: Items in work at the same time.
        calls: Functions that `limited` runs at the same time.

    Raises:
        BaseException: Whatever `work`, `items` or `collect` raise.
    """
    remaining = iter(items)
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    limited = LimitedCalls(calls)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="work")

    def begin(count: int) -> int:
        futures = [pool.submit(work, item, limited) for item in islice(remaining, count)]
        for future in futures:
            future.add_done_callback(finished.put)
        return len(futures)

    try:
        # Twice the threads, so that none waits for this thread to hand it the next item.
        unfinished = begin(2 * threads)
        while unfinished:
            collect(_next(finished).result())
            unfinished += begin(1) - 1
    finally:
        # In this order: threads that are freed from waiting for a call find no further item.
        pool.shutdown(wait=False, cancel_futures=True)
        limited.stop(wait=False)
        pool.shutdown(wait=True)
        limited.stop(wait=True)


def _next(finished: SimpleQueue[Future[Result]]) -> Future[Result]:
    while True:
        try:
            return finished.get(timeout=_LOOK_UP_S)
        except Empty:
            pass
