"""The place between two threads: the newest value, each at most once."""

from __future__ import annotations

import threading
import time

from graspcut.frames.newest import Newest


def test_what_was_not_taken_in_time_is_replaced_and_counted() -> None:
    place: Newest[int] = Newest()
    for value in (1, 2, 3):
        place.put(value)
    assert place.take() == 3 and place.replaced == 2
    place.put(4)
    place.close()
    assert place.take() == 4, "what is left is still given"
    assert place.take() is None and place.take() is None


def test_a_slow_taker_sees_values_in_order_and_never_holds_up_the_giver() -> None:
    place: Newest[int] = Newest()
    seen: list[int] = []

    def take() -> None:
        while (value := place.take()) is not None:
            seen.append(value)
            time.sleep(0.005)

    taker = threading.Thread(target=take)
    taker.start()
    for value in range(1, 1001):
        place.put(value)
    place.close()
    taker.join(5)
    assert not taker.is_alive()
    assert seen == sorted(set(seen)) and seen[-1] == 1000
    assert len(seen) + place.replaced == 1000
