"""Ids over time: moving, crossing, leaving and coming back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.labels import HAND, OBJECT
from graspcut.scene.instances import SceneInstance, SceneInstances, Side
from graspcut.scene.tracking import TrackingState, id_switches, track

HEIGHT, WIDTH = 96, 128
Things = dict[int, tuple[int, float, float, float]]  # true id -> label, x, y, depth


def scene_of(things: Things, order: int = 0) -> tuple[SceneInstances, NDArray[np.uint8]]:
    """Discs at places, the nearer before the farther; local ids in some order. Also the true ids."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    depth = np.full((HEIGHT, WIDTH), 900.0, np.float32)
    depth += 5 * np.sin(columns / 5.0).astype(np.float32)
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    for true, (_, x, y, z) in sorted(things.items(), key=lambda entry: -entry[1][3]):
        inside = np.hypot(rows - y, columns - x) < (14 if things[true][0] == HAND else 9)
        depth[inside] = z + 8 * np.hypot(rows - y, columns - x)[inside] / 14
        truth[inside] = true
    seen = [true for true in things if (truth == true).sum() > 20]
    if order:
        seen = seen[::-1]
    table = np.zeros(256, np.uint8)
    table[seen] = np.arange(1, len(seen) + 1)
    entries = tuple(
        SceneInstance(local, things[true][0], 0.9, int((truth == true).sum()))
        for local, true in enumerate(seen, start=1)
    )
    return SceneInstances(table[truth], entries, depth), truth


def run(frames: list[Things]) -> tuple[int, list[SceneInstances], TrackingState]:
    """Tracks a sequence; returns the switches, what came out and the last state."""
    state: TrackingState | None = None
    last: dict[int, int] = {}
    switches, scenes = 0, []
    for number, things in enumerate(frames):
        scene, truth = scene_of(things, number % 2)
        tracked, state = track(scene, state)
        scenes.append(tracked)
        switches += id_switches(truth, tracked.ids, last)
    assert state is not None
    return switches, scenes, state


def test_ids_stay_whatever_the_order_of_the_frame() -> None:
    frames: list[Things] = [
        {1: (HAND, 30 + 2 * t, 40, 500), 2: (HAND, 90, 50 + t, 520), 3: (OBJECT, 50 + 2 * t, 40, 500)}
        for t in range(12)
    ]
    switches, scenes, state = run(frames)
    assert switches == 0 and {thing.id for thing in scenes[-1].instances} == {1, 2, 3}
    assert state.next_id == 4 and len(state.tracks) == 3


def test_two_hands_cross_once() -> None:
    frames: list[Things] = [
        {
            1: (HAND, 20 + 3 * t, 45, 450),
            2: (HAND, 110 - 3 * t, 50, 600),
            3: (OBJECT, 20 + 3 * t, 25, 450),
            4: (OBJECT, 110 - 3 * t, 72, 600),
        }
        for t in range(30)
    ]
    switches, scenes, _ = run(frames)
    assert switches == 0 and len(scenes[-1].instances) == 4


def test_the_only_missing_hand_gets_its_id_again() -> None:
    both: Things = {1: (HAND, 30, 40, 500), 2: (HAND, 100, 50, 520)}
    alone: Things = {1: both[1]}
    back: Things = {1: both[1], 2: (HAND, 60, 80, 700)}
    switches, scenes, state = run([both] * 3 + [alone] * 50 + [back])
    assert switches == 0 and {thing.id for thing in scenes[-1].instances} == {1, 2}
    assert state.tracks[2].missing == 0
    # Two that are missing cannot be told apart when one comes back elsewhere.
    third: Things = {1: (HAND, 64, 20, 1500)}
    _, scenes, state = run([both] * 3 + [{}] * 3 + [third])
    assert [thing.id for thing in scenes[-1].instances] == [3] and set(state.tracks) == {1, 2, 3}


def test_a_hidden_object_is_found_again_and_a_lost_one_forgotten() -> None:
    shown: Things = {1: (HAND, 30, 40, 500), 2: (OBJECT, 70, 40, 500)}
    hidden: Things = {1: (HAND, 30, 40, 500)}
    switches, scenes, _ = run([shown] * 2 + [hidden] * 5 + [shown])
    assert switches == 0 and {thing.id for thing in scenes[-1].instances} == {1, 2}
    _, scenes, _ = run([shown] * 2 + [hidden] * 40 + [shown])
    assert {thing.id for thing in scenes[-1].instances} == {1, 3}


def test_one_frame_does_not_make_an_object_of_a_hand() -> None:
    usual: Things = {1: (HAND, 30, 40, 500), 2: (OBJECT, 45, 40, 500), 3: (HAND, 100, 50, 520)}
    other = {HAND: OBJECT, OBJECT: HAND}

    def labels_after(wrong: int) -> tuple[dict[int, int], dict[int, int]]:
        """By id: labels of the first frame, and of the last of some in which the labels of two things are exchanged."""
        state: TrackingState | None = None
        found = []
        for number in range(4 + wrong):
            scene, _ = scene_of(usual, number % 2)
            exchanged = tuple(
                replace(thing, label=other[thing.label]) if number >= 4 and thing.pixels != 609 else thing
                for thing in scene.instances
            )
            scene, state = track(SceneInstances(scene.ids, exchanged, scene.depth_mm), state)
            found.append({thing.id: thing.label for thing in scene.instances})
        return found[0], found[-1]

    first, last = labels_after(3)
    assert last == first
    # What most frames call it decides in the end.
    first, last = labels_after(9)
    assert last == {1: HAND, 2: OBJECT, 3: HAND} != first

    def held(label: int) -> SceneInstances:
        scene, _ = scene_of({1: (label, 30, 40, 500), 2: (OBJECT, 45, 40, 500)})
        entries = (scene.instances[0], replace(scene.instances[1], held_by=1))
        return SceneInstances(scene.ids, entries, scene.depth_mm)

    scene, state = track(held(HAND), None)
    assert scene.instances[1].held_by == 1
    scene, state = track(held(OBJECT), state)
    scene, state = track(held(OBJECT), state)
    assert [thing.held_by for thing in scene.instances] == [None, None]


def test_a_hand_in_another_picture_is_not_the_object_that_was_there() -> None:
    state: TrackingState | None = None
    for _ in range(3):
        scene, _ = scene_of({1: (OBJECT, 40, 40, 500)})
        scene, state = track(scene, state)
    scene, _ = scene_of({1: (HAND, 40, 40, 380)})
    scene, _ = track(scene, state)
    assert [(thing.id, thing.label) for thing in scene.instances] == [(2, HAND)]


def test_one_frame_does_not_change_left_and_right() -> None:
    def with_sides(first: Side, second: Side) -> SceneInstances:
        scene, _ = scene_of({1: (HAND, 50, 40, 500), 2: (HAND, 80, 50, 520)})
        entries = tuple(
            SceneInstance(thing.id, HAND, 0.9, thing.pixels, side)
            for thing, side in zip(scene.instances, (first, second), strict=True)
        )
        return SceneInstances(scene.ids, entries, scene.depth_mm)

    state: TrackingState | None = None
    sides = []
    for frame in [with_sides("left", "right")] * 3 + [with_sides("right", "left"), with_sides("left", "right")]:
        tracked, state = track(frame, state)
        sides.append({thing.id: thing.side for thing in tracked.instances})
    assert all(entry == sides[0] for entry in sides) and set(sides[0].values()) == {"left", "right"}
    # The hand that comes back elsewhere is told by its side.
    alone, _ = scene_of({1: (HAND, 20, 80, 900)})
    right = SceneInstances(alone.ids, (SceneInstance(1, HAND, 0.9, 100, "right"),), alone.depth_mm)
    lost, state = track(SceneInstances(np.zeros_like(alone.ids), (), alone.depth_mm), state)
    back, _ = track(right, state)
    assert lost.instances == () and len(back.instances) == 1


def test_more_than_255_things_do_not_stop_it() -> None:
    for t in range(140):
        scene, _ = scene_of({1: (OBJECT, 20 if t % 2 else 100, 40, 400 + 500 * (t % 3)), 2: (OBJECT, 60, 80, 800 - t)})
        tracked, _ = track(scene, TrackingState(np.zeros_like(scene.ids), scene.depth_mm, {}, 254 + t % 3))
    assert all(1 <= thing.id <= 255 for thing in tracked.instances)
    assert len({thing.id for thing in tracked.instances}) == len(tracked.instances)


def test_switches_are_counted() -> None:
    truth = np.zeros((20, 20), np.uint8)
    truth[:10], truth[10:] = 1, 2
    last: dict[int, int] = {}
    assert id_switches(truth, truth, last) == 0 and last == {1: 1, 2: 2}
    assert id_switches(truth, np.where(truth == 1, 2, 1).astype(np.uint8), last) == 2
    assert id_switches(truth, np.zeros_like(truth), last) == 0
    assert id_switches(truth, np.where(truth == 1, 2, 7).astype(np.uint8), last) == 1


@pytest.mark.parametrize("size", [(48, 64)])
def test_another_frame_size_begins_anew_but_keeps_names(size: tuple[int, int]) -> None:
    scene, _ = scene_of({1: (HAND, 50, 40, 500)})
    _, state = track(scene, None)
    small = SceneInstances(scene.ids[::2, ::2], scene.instances, scene.depth_mm[::2, ::2])
    assert small.ids.shape == size
    tracked, _ = track(small, state)
    assert [thing.id for thing in tracked.instances] == [1]
