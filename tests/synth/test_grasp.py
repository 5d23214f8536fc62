"""Grasps, judged by a dense sampling of what is drawn of the hand against the object's signed distance."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from graspcut.synth.hands.flesh import hand_primitives
from graspcut.synth.hands.grasp import PENETRATION_LIMIT_MM, Grasp, sample_grasp
from graspcut.synth.hands.kinematics import (
    LOWER_LIMIT,
    PIP_FLEXION,
    UPPER_LIMIT,
    forward_kinematics,
    sample_shape,
)
from graspcut.synth.objects import signed_distance as geometry
from graspcut.synth.objects.catalogue import HELD_OUT_KINDS, TRAINING_KINDS, HeldObject, build_object
from graspcut.synth.objects.signed_distance import object_distance
from graspcut.synth.rendering.primitives import PRIMITIVE_KIND, ROUND_CONE, TRIANGLE

Array = NDArray[np.float64]


@cache
def grasps() -> tuple[tuple[HeldObject, Grasp | None], ...]:
    """Two grasps of every kind."""
    rng = np.random.default_rng(11)
    kinds = [*TRAINING_KINDS, *HELD_OUT_KINDS] * 2
    found = []
    for kind in kinds:
        held = build_object(kind, rng)
        found.append((held, sample_grasp(rng, sample_shape(rng), held)))
    return tuple(found)


def distances(rows: Array, points: Array) -> Array:
    return np.array([object_distance(rows, x, y, z) for x, y, z in points.tolist()])


def drawn_balls(primitives: Array) -> tuple[Array, Array, Array]:
    """Centres, radii and parts of balls that fill round cones, and of points on the flat sides of wedges."""
    centres, radii, parts = [], [], []
    for row in primitives:
        if row[PRIMITIVE_KIND] == ROUND_CONE:
            count = int(np.linalg.norm(row[5:8] - row[2:5]) / 3.0) + 2
            t = np.linspace(0, 1, count)[:, None]
            centres.append(row[2:5] + t * (row[5:8] - row[2:5]))
            radii.append((row[8] + t * (row[9] - row[8]))[:, 0])
        else:
            assert row[PRIMITIVE_KIND] == TRIANGLE
            corners = row[2:11].reshape(3, 3)
            longest = max(np.linalg.norm(corners[i] - corners[i - 1]) for i in range(3))
            n = int(longest / 4.0) + 1
            weights = np.array([(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]) / n
            centres.append(weights @ corners)
            radii.append(np.zeros(len(weights)))
        parts.append(np.full(len(radii[-1]), row[1]))
    return np.concatenate(centres), np.concatenate(radii), np.concatenate(parts)


def hand_balls(grasp: Grasp) -> tuple[Array, Array, Array]:
    hand = grasp.hand
    return drawn_balls(hand_primitives(hand.shape, hand.pose, hand.joints_mm, 0, 2.0, 0.0))


def test_nearly_every_object_can_be_grasped() -> None:
    assert np.mean([grasp is not None for _, grasp in grasps()]) > 0.97


def test_hand_and_object_go_into_each_other_by_at_most_2_mm() -> None:
    deepest = []
    for held, grasp in grasps():
        if grasp is None:
            continue
        centres, radii, _ = hand_balls(grasp)
        # A ball of radius r around a point at distance d reaches r - d deep into the object, and the object as deep
        # into it.
        reach = np.linalg.norm(centres - grasp.centre_mm, axis=1) - radii - held.bound_mm < 0
        depth = max(0.0, (radii[reach] - distances(grasp.rows, centres[reach])).max(initial=0.0))
        assert depth <= PENETRATION_LIMIT_MM + 0.1, held.kind
        assert depth <= grasp.penetration_mm + 0.3  # what the grasp says of itself
        deepest.append(depth)
    assert max(deepest) > 0.5


def test_at_least_two_digits_touch() -> None:
    for held, grasp in grasps():
        if grasp is None:
            continue
        centres, radii, parts = hand_balls(grasp)
        digits = {1: 0, 2: 0, 3: 0} | {part: (part - 4) // 4 + 1 for part in range(5, 20) if part % 4 != 0}
        gaps = [1e9] * 5
        for part in range(2, 20):
            if part in digits:
                mine = parts == part
                gap = float((distances(grasp.rows, centres[mine]) - radii[mine]).min())
                gaps[digits[part]] = min(gaps[digits[part]], gap)
        touching = sum(gap < 4.0 for gap in gaps)
        assert touching >= 2, held.kind
        assert touching >= grasp.touching
    opposed = [grasp.touching for _, grasp in grasps() if grasp is not None]
    assert np.mean(np.array(opposed) >= 3) > 0.5


def test_grasping_hands_stay_within_their_limits() -> None:
    for _, grasp in grasps():
        if grasp is None:
            continue
        pose = grasp.hand.pose
        assert np.all(pose >= LOWER_LIMIT - 1e-9) and np.all(pose <= UPPER_LIMIT + 1e-9)
        np.testing.assert_array_equal(grasp.hand.joints_mm, forward_kinematics(grasp.hand.shape, pose))


def test_rows_are_the_object_moved_to_its_centre() -> None:
    rng = np.random.default_rng(3)
    for held, grasp in grasps()[:20]:
        if grasp is None:
            continue
        first = held.rows[0, geometry.CENTRE : geometry.CENTRE + 3]
        placed = grasp.rows[0, geometry.CENTRE : geometry.CENTRE + 3]
        rotation = grasp.rows[0, 2:11].reshape(3, 3).T @ held.rows[0, 2:11].reshape(3, 3)
        np.testing.assert_allclose(rotation @ first + grasp.centre_mm, placed, atol=1e-9)
        points = rng.normal(size=(20, 3)) * 40
        np.testing.assert_allclose(
            distances(grasp.rows, points @ rotation.T + grasp.centre_mm), distances(held.rows, points), atol=1e-8
        )


def test_the_same_seed_gives_the_same_grasp() -> None:
    results = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        held = build_object("bottle", rng)
        results.append(sample_grasp(rng, sample_shape(rng), held))
    assert results[0] is not None and results[1] is not None
    np.testing.assert_array_equal(results[0].hand.pose, results[1].hand.pose)
    np.testing.assert_array_equal(results[0].rows, results[1].rows)


def test_open_hands_keep_their_fingers_stretched() -> None:
    def mean_flexion(open_handed: float) -> float:
        rng = np.random.default_rng(3)
        found = []
        for _ in range(25):
            held = build_object("book", rng)
            grasp = sample_grasp(rng, sample_shape(rng), held, open_handed=open_handed)
            if grasp is not None:
                assert grasp.touching >= 2 and grasp.penetration_mm <= PENETRATION_LIMIT_MM
                found.append(grasp.hand.pose[PIP_FLEXION].mean())
        assert len(found) > 10
        return float(np.mean(found))

    assert mean_flexion(1.0) < 0.6 * mean_flexion(0.0)
