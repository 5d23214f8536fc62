"""Worker processes that never live longer than the command that started them.

A command that is killed cannot end its workers, and a worker that waits for its next task would wait for ever. So each
watches its parent from its first moment on, before it imports anything that takes long.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    processes: int,
    prepare: str,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Results of tasks in their order, worked on in processes of their own.

    The interrupt key is for the command alone: workers end when it ends, however that happens.

    Args:
        function: What is done with a task; a function of a module.
        tasks: All of them.
        processes: How many workers.
        prepare: "module:function", called once in each worker.
        arguments: Its arguments.

    Raises:
        ChildProcessError: If a worker was killed.
    """
    # "spawn": a forked child would inherit locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    # Packed: unpacking them imports what they are made of, which is for after the first moment.
    packed = pickle.dumps(arguments)
    with ProcessPoolExecutor(processes, context, _start, (prepare, packed)) as pool:
        try:
            yield from pool.map(function, tasks)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process ended without a word, perhaps killed for want of memory; the same command continues, "
                "with fewer --workers if it happens again"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(prepare: str, packed: bytes) -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, name = prepare.partition(":")
    getattr(importlib.import_module(module), name)(*pickle.loads(packed))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
