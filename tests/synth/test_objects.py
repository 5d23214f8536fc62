"""Held objects: every kind builds, is whole, lies within its bounding sphere and is safe to trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import cast

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from graspcut.synth.objects import signed_distance as geometry
from graspcut.synth.objects.catalogue import (
    HELD_OUT_KINDS,
    KINDS,
    TRAINING_KINDS,
    HeldObject,
    build_object,
    draw_kind,
    transform_rows,
)
from graspcut.synth.objects.signed_distance import object_distance

SEEDS = range(2)
Points = NDArray[np.float64]


@cache
def built(kind: str, seed: int) -> HeldObject:
    return build_object(kind, np.random.default_rng(seed))


@cache
def population() -> tuple[HeldObject, ...]:
    """As training draws them."""
    rng = np.random.default_rng(123)
    return tuple(build_object(draw_kind(rng), rng) for _ in range(1500))


def _distances(rows: Points, points: Points) -> Points:
    found = np.empty(len(points))
    for i in range(len(points)):
        found[i] = object_distance(rows, points[i, 0], points[i, 1], points[i, 2])
    return found


distances = cast("Callable[[Points, Points], Points]", njit(_distances))  # compiled only to be quick


def _march(rows: Points, starts: Points, aims: Points, far: float) -> Points:
    # Length of each ray until the surface, or -1. Half of the signed distance a step, so that a distance which is up to
    # twice too long does not jump walls here too.
    lengths = np.full(len(starts), -1.0)
    for i in range(len(starts)):
        t = 0.0
        for _ in range(400):
            d = object_distance(
                rows, starts[i, 0] + t * aims[i, 0], starts[i, 1] + t * aims[i, 1], starts[i, 2] + t * aims[i, 2]
            )
            if d < 0.01:
                lengths[i] = t
                break
            t += 0.5 * d
            if t > far:
                break
    return lengths


march = cast("Callable[[Points, Points, Points, float], Points]", njit(_march))


def directions(rng: np.random.Generator, count: int) -> Points:
    d = rng.normal(size=(count, 3))
    return np.asarray(d / np.linalg.norm(d, axis=1, keepdims=True))


@cache
def surface(kind: str, seed: int) -> Points:
    """Points where random rays, from well outside the bounding sphere and from within it, first find the object."""
    held = built(kind, seed)
    rng = np.random.default_rng(1000 + seed)
    targets = directions(rng, 350) * held.bound_mm * rng.uniform(0, 1.0, (350, 1))
    # Small parts are seldom hit by chance, so as many rays aim at a point on some primitive's long axis.
    added = held.rows[np.isin(held.rows[:, geometry.OPERATION], (geometry.UNION, geometry.SMOOTH_UNION))]
    picked = added[rng.integers(len(added), size=350)]
    along = rng.uniform(-1, 1, (350, 1)) * picked[:, 14:17].max(axis=1, keepdims=True)
    axes = picked[:, geometry.ROTATION + 3 : geometry.ROTATION + 6]
    targets = np.concatenate([targets, picked[:, geometry.CENTRE : geometry.CENTRE + 3] + along * axes])
    aims = directions(rng, len(targets))
    starts = targets - aims * held.bound_mm * np.where(rng.random((len(aims), 1)) < 0.7, 2.5, 0.3)
    lengths = march(held.rows, starts, aims, 5.0 * held.bound_mm)
    found = lengths >= 0
    return np.asarray((starts + lengths[:, None] * aims)[found])


def test_there_are_many_kinds_and_the_held_out_ones_are_fixed() -> None:
    assert len(KINDS) >= 36
    assert HELD_OUT_KINDS == (
        "mug",
        "scissors",
        "brush",
        "game_controller",
        "banana",
        "wine_glass",
        "tape_roll",
        "wrench",
    )
    assert set(HELD_OUT_KINDS) <= set(KINDS)
    assert not set(HELD_OUT_KINDS) & set(TRAINING_KINDS)
    assert set(HELD_OUT_KINDS) | set(TRAINING_KINDS) == set(KINDS)


def test_drawn_kinds_keep_training_and_held_out_apart() -> None:
    rng = np.random.default_rng(0)
    assert {draw_kind(rng) for _ in range(6000)} == set(TRAINING_KINDS)
    assert {draw_kind(rng, held_out=True) for _ in range(300)} == set(HELD_OUT_KINDS)


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"'sword'.*banana"):
        build_object("sword", np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_is_well_formed(kind: str) -> None:
    for seed in range(25):
        held = build_object(kind, np.random.default_rng(seed))
        rows = held.rows
        assert held.kind == kind
        assert rows.dtype == np.float64
        assert rows.ndim == 2
        assert rows.shape[1] == geometry.ROW
        assert 1 <= len(rows) <= 9
        assert np.all(np.isfinite(rows))
        assert rows[0, geometry.OPERATION] == geometry.UNION
        assert set(rows[:, geometry.COLOUR_SLOT]) <= {0.0, 1.0, 2.0}
        assert np.all(rows[:, geometry.ROUNDING] >= 0)
        for row in rows:
            turn = row[geometry.ROTATION : geometry.ROTATION + 9].reshape(3, 3)
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(turn) > 0
            # An ellipsoid's inner distance is too long to be cut away safely.
            assert not (row[geometry.KIND] == geometry.ELLIPSOID and row[geometry.OPERATION] == geometry.SUBTRACT)
        assert 5 < held.bound_mm < 260
        assert held.grip_low_mm < held.grip_high_mm
        assert held.colours.shape == (3, 3)
        assert held.colours.dtype == np.uint8
        assert 0.0 <= held.stripes <= 1.0
        assert held.bump_wavelength_mm > 0
        assert 0.0 <= 2 * math.pi * held.bump_mm / held.bump_wavelength_mm <= 0.35 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_bounding_sphere_holds_the_surface_and_fits(kind: str) -> None:
    for seed in SEEDS:
        held, points = built(kind, seed), surface(kind, seed)
        assert len(points) > 15, "hardly a ray found the object"
        reach = np.linalg.norm(points, axis=1).max() + held.bump_mm
        assert reach <= held.bound_mm + 0.02
        assert reach >= 0.6 * held.bound_mm, "the bounding sphere is far too large"


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_an_inside(kind: str) -> None:
    for seed in SEEDS:
        held, points = built(kind, seed), surface(kind, seed)
        # Step a little against the gradient from the surface.
        gradient = np.stack(
            [distances(held.rows, points + e) - distances(held.rows, points - e) for e in 0.01 * np.eye(3)], axis=1
        )
        deeper = points - 0.25 * gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
        assert np.mean(distances(held.rows, deeper) < -0.05) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_grip_range_lies_within_the_object(kind: str) -> None:
    for seed in SEEDS:
        held = built(kind, seed)
        spacing = held.bound_mm / 20
        across = np.arange(-20, 21) * spacing
        for y in (held.grip_low_mm, 0.5 * (held.grip_low_mm + held.grip_high_mm), held.grip_high_mm):
            plane = np.array([(x, y, z) for x in across for z in across])
            # Some point of a grid across the object at this height is no farther from it than the grid is coarse.
            assert distances(held.rows, plane).min() < 0.75 * spacing


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_of_a_ray_can_jump_over_the_surface(kind: str) -> None:
    for seed in SEEDS:
        held, points = built(kind, seed), surface(kind, seed)
        rng = np.random.default_rng(50 + seed)
        anywhere = directions(rng, 150) * held.bound_mm * rng.uniform(0, 1.3, (150, 1))
        near = points[rng.integers(len(points), size=100)] + directions(rng, 100) * rng.uniform(0.5, 12, (100, 1))
        eyes = np.concatenate([anywhere, near])
        d = distances(held.rows, eyes)
        nearest = np.array([np.sqrt(((points - e) ** 2).sum(1).min()) for e in eyes])
        outside = d > 0
        assert np.all(d[outside] <= nearest[outside] + 0.011)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_change_by_no_more_than_the_step(kind: str) -> None:
    for seed in SEEDS:
        held = built(kind, seed)
        if np.any(held.rows[:, geometry.KIND] == geometry.ELLIPSOID):
            continue  # bounded, see the test above, but not with slope 1
        rng = np.random.default_rng(80 + seed)
        points = directions(rng, 200) * held.bound_mm * rng.uniform(0, 1.4, (200, 1))
        steps = directions(rng, 200) * rng.choice([0.05, 1.0, 10.0], (200, 1))
        change = np.abs(distances(held.rows, points + steps) - distances(held.rows, points))
        assert np.all(change <= np.linalg.norm(steps, axis=1) + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_object_and_another_one_another(kind: str) -> None:
    a, b, c = (build_object(kind, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.colours, b.colours)
    assert (a.bound_mm, a.bump_mm, a.stripes, a.grip_low_mm) == (b.bound_mm, b.bump_mm, b.stripes, b.grip_low_mm)
    assert a.rows.shape != c.rows.shape or not np.array_equal(a.rows, c.rows)


@pytest.mark.parametrize("kind", ["scissors", "bowl", "cloth", "plush", "wrench"])
def test_placed_objects_keep_their_distances(kind: str) -> None:
    held = built(kind, 1)
    rng = np.random.default_rng(1)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation, translation = q * np.linalg.det(q), np.array([30.0, -50.0, 400.0])
    points = directions(rng, 100) * held.bound_mm * rng.uniform(0, 1.2, (100, 1))
    placed = transform_rows(held.rows, rotation, translation)
    np.testing.assert_allclose(
        distances(placed, points @ rotation.T + translation), distances(held.rows, points), atol=1e-8
    )


def test_articulated_kinds_open_by_different_angles() -> None:
    for kind in ("scissors", "pliers", "tongs"):
        shapes = [build_object(kind, np.random.default_rng(seed)).rows for seed in range(30)]
        turns = {round(float(rows[-1, geometry.ROTATION]), 6) for rows in shapes} | {
            round(float(rows[0, geometry.ROTATION + 1]), 6) for rows in shapes
        }
        assert len(turns) > 10


def test_the_population_is_what_the_renderer_counts_on() -> None:
    objects = population()
    rows = np.array([len(held.rows) for held in objects])
    assert rows.mean() < 4
    bound = np.array([held.bound_mm for held in objects])
    assert np.mean(bound < 35) > 0.06  # small things between fingertips
    assert np.mean(bound > 100) > 0.15  # large things that hide a palm
    bumpy = np.mean([held.bump_mm > 0 for held in objects])
    assert 0.15 < bumpy < 0.25
    assert 0.05 < np.mean([held.small for held in objects]) < 0.3
    plain = np.mean([held.stripes == 0 for held in objects])
    assert 0.25 < plain < 0.7
    white_blocks = [build_object("cube", np.random.default_rng(seed)) for seed in range(200)]
    striped = np.mean([held.stripes for held in white_blocks])
    assert striped > 1.3 * np.mean([held.stripes for held in objects])
