"""A place between two threads that holds one thing, the newest: whoever is slow misses some and never sees old ones."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Hands the newest value from one thread to another; what was not taken in time is replaced.

    Attributes:
        replaced: values that nobody took before the next one came.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: T | None = None
        self._closed = False
        self.replaced = 0

    def put(self, value: T) -> None:
        """Makes this the newest value; never waits."""
        with self._changed:
            self.replaced += self._value is not None
            self._value = value
            self._changed.notify()

    def take(self) -> T | None:
        """The newest value, each at most once; waits for one.

        Returns:
            The value, or None when the place was closed and nothing is left in it.
        """
        with self._changed:
            while self._value is None and not self._closed:
                self._changed.wait()
            value, self._value = self._value, None
            return value

    def close(self) -> None:
        """No more values come: whoever waits is told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
