"""Proposals joined with labels: what each thing is, overlaps, leftovers, which hand holds what."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.instances.result import InstanceProposals
from graspcut.labels import HAND, OBJECT
from graspcut.scene.hand_masks import HandMaskConfig
from graspcut.scene.instances import JoinConfig, holding_hand, join_instances


def rectangle(top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((60, 100), bool)
    mask[top : top + height, left : left + width] = True
    return mask


LEFT_HAND, RIGHT_HAND = rectangle(10, 5, 30, 20), rectangle(10, 55, 30, 20)
LEFT_THING, RIGHT_THING, FAR_THING = rectangle(15, 25, 10, 12), rectangle(15, 75, 10, 12), rectangle(50, 40, 8, 8)


def frame(*, far_mm: float = 500.0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    depth = np.full((60, 100), 900.0, np.float32)
    labels = np.zeros((60, 100), np.uint8)
    for mask in (LEFT_HAND, RIGHT_HAND):
        depth[mask], labels[mask] = 500, HAND
    for mask in (LEFT_THING, RIGHT_THING, FAR_THING):
        depth[mask], labels[mask] = far_mm, OBJECT
    return depth, labels


def proposals(depth: NDArray[np.float32], *masks: NDArray[np.bool_]) -> InstanceProposals:
    scores = np.linspace(0.95, 0.6, len(masks)).astype(np.float32)
    return InstanceProposals(np.stack(masks), scores, depth)


def test_each_thing_has_its_label_and_its_hand() -> None:
    depth, labels = frame()
    scene = join_instances(proposals(depth, LEFT_HAND, RIGHT_HAND, LEFT_THING, RIGHT_THING, FAR_THING), labels)
    assert [thing.label for thing in scene.instances] == [HAND, HAND, OBJECT, OBJECT, OBJECT]
    assert [thing.held_by for thing in scene.instances] == [None, None, 1, 2, None]
    np.testing.assert_array_equal(scene.ids == 3, LEFT_THING)
    assert scene.instances[0].to_dict() == {
        "id": 1, "label": "hand", "score": 0.95, "pixels": 600, "side": None, "held_by": None,
    }  # fmt: skip
    assert scene.draw().shape == (60, 100, 3)


def test_what_lies_behind_is_not_held() -> None:
    depth, labels = frame(far_mm=700.0)
    scene = join_instances(proposals(depth, LEFT_HAND, RIGHT_HAND, LEFT_THING), labels)
    assert all(thing.held_by is None for thing in scene.instances)
    ids = scene.ids
    assert holding_hand(ids, depth, 3, [1, 2]) is None
    assert holding_hand(ids, depth, 3, [1, 2], JoinConfig(contact_mm=250)) == 1


def test_overlaps_are_settled_by_label_and_score() -> None:
    depth, labels = frame()
    both = rectangle(10, 5, 30, 32)  # hand and what it holds
    again = rectangle(11, 5, 29, 20)
    background = rectangle(45, 80, 10, 15)
    scene = join_instances(proposals(depth, LEFT_HAND, both, again, background, LEFT_THING), labels)
    assert [thing.label for thing in scene.instances[:2]] == [HAND, OBJECT]
    np.testing.assert_array_equal(scene.ids == 1, LEFT_HAND)
    # The other hand and things that only the labels show are there too, without a score.
    rest = {thing.label: thing.score for thing in scene.instances[2:]}
    assert rest == {HAND: 0.0, OBJECT: 0.0} and len(scene.instances) == 5
    assert scene.instances[1].held_by == 1


def test_leftover_pixels_go_to_what_they_lie_against() -> None:
    depth, labels = frame()
    part = rectangle(10, 5, 22, 20)
    scene = join_instances(proposals(depth, part, RIGHT_HAND), labels)
    np.testing.assert_array_equal(scene.ids == 1, LEFT_HAND)


def test_left_and_right_come_from_outside() -> None:
    depth, labels = frame()
    scene = join_instances(
        proposals(depth, RIGHT_HAND, LEFT_HAND),
        labels,
        side_of=lambda mask: "left" if np.nonzero(mask)[1].mean() < 50 else "right",
    )
    assert [thing.side for thing in scene.instances[:2]] == ["right", "left"]


def test_nothing_gives_nothing() -> None:
    depth = np.full((60, 100), 900.0, np.float32)
    empty = InstanceProposals(np.zeros((0, 60, 100), bool), np.zeros(0, np.float32), depth)
    scene = join_instances(empty, np.zeros((60, 100), np.uint8))
    assert not scene.ids.any() and scene.instances == ()
    with pytest.raises(ValueError, match="labels are"):
        join_instances(empty, np.zeros((6, 10), np.uint8))


def test_fingers_behind_what_is_held_belong_to_the_nearest_hand() -> None:
    depth, labels = frame()
    finger = rectangle(3, 10, 3, 6)  # above the left hand: 18 pixels of 6.7 mm
    depth[finger], labels[finger] = 500, HAND
    masks = (LEFT_HAND, RIGHT_HAND, LEFT_THING, RIGHT_THING)
    config = JoinConfig(smallest_px=10)
    scene = join_instances(proposals(depth, *masks, finger), labels, config=config)
    np.testing.assert_array_equal(scene.ids == 1, LEFT_HAND | finger)
    assert [thing.pixels for thing in scene.instances[:2]] == [618, 600]
    # A far one is a thing of its own, and so is one that is no small piece.
    depth[finger] = 800
    assert sum(thing.label == HAND for thing in join_instances(proposals(depth, *masks), labels).instances) == 2
    alone = join_instances(proposals(depth, *masks, finger), labels, config=config)
    assert sorted(thing.pixels for thing in alone.instances if thing.label == HAND) == [18, 600, 600]
    depth[finger] = 500
    apart = JoinConfig(smallest_px=10, hand_pieces=HandMaskConfig(whole_area_mm2=100.0))
    assert len(join_instances(proposals(depth, *masks, finger), labels, config=apart).instances) == 6
