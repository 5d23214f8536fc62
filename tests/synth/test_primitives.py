"""Ray hits of the analytic primitives against slow, obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.rendering.primitives import (
    BOX,
    ELLIPSOID,
    PRIMITIVE_KIND,
    PRIMITIVE_ROW,
    TRIANGLE,
    local_row,
    plane_row,
    round_cone_row,
    write_wedge_sides,
)
from graspcut.synth.rendering.ray_casting import SceneGeometry, render
from graspcut.synth.rendering.ray_hits import NO_HIT, PREPARED_ROW, hit_primitive, prepare_primitives, tile_hit

Array = NDArray[np.float64]


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def prepared(primitives: Array, spread: float = 0.0) -> Array:
    table = np.zeros((len(primitives), PREPARED_ROW))
    prepare_primitives(np.ascontiguousarray(primitives), np.arange(len(primitives)), spread, table)
    return table


def hits(primitives: Array, rays: Array) -> Array:
    """Nearest hit of any primitive, per ray."""
    table = prepared(primitives)
    return np.array([min(hit_primitive(table, i, *ray) for i in range(len(table))) for ray in rays])


def hits_of_balls(centres: Array, radii: Array, rays: Array) -> Array:
    """Nearest entry into any of many balls, per ray."""
    along = rays @ centres.T
    h = along**2 - (centres**2).sum(1) + radii**2
    entries = np.where(h > 0, along - np.sqrt(np.maximum(h, 0)), NO_HIT)
    return np.asarray(entries.min(axis=1))


def random_rotation(rng: np.random.Generator) -> Array:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.asarray(q * np.linalg.det(q))


def rays_towards(rng: np.random.Generator, centre: Array, radius: float, count: int) -> Array:
    return unit(centre + rng.normal(size=(count, 3)) * radius)


def assert_same_hits(found: Array, expected: Array, tolerance: float, grazing: float) -> None:
    """Equal where both hit, but for a share of `grazing` rays: balls are sampled, edges are thin."""
    both = (found < NO_HIT) & (expected < NO_HIT)
    assert both.sum() > 20
    assert np.mean((found < NO_HIT) != (expected < NO_HIT)) <= grazing
    assert np.mean(np.abs(found - expected)[both] > tolerance) <= grazing


@pytest.mark.parametrize("seed", range(6))
def test_a_round_cone_is_the_hull_of_two_spheres(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.array([20.0, -30.0, 400.0]) + rng.normal(size=(2, 3)) * 60
    ra, rb = rng.uniform(4, 45, 2)
    t = np.linspace(0, 1, 2500)[:, None]
    rays = rays_towards(rng, 0.5 * (a + b), 50, 250)
    expected = hits_of_balls(a + t * (b - a), (ra + t * (rb - ra))[:, 0], rays)
    found = hits(round_cone_row(1, a, b, ra, rb)[None], rays)
    assert np.all(found <= expected + 1e-6), "a ball of the hull sticks out"
    assert_same_hits(found, expected, 0.05, 0.01)


def test_a_round_cone_widening_away_from_the_camera_shows_its_side() -> None:
    # Rays that are steeper than the side of the cone: they meet the side although they look along the axis.
    a, b, ra, rb = np.array([0.0, 0, 300]), np.array([0.0, 0, 400]), 5.0, 60.0
    rays = unit(np.stack([np.linspace(0.03, 0.14, 40), np.zeros(40), np.ones(40)], axis=1))
    t = np.linspace(0, 1, 20000)[:, None]
    expected = hits_of_balls(a + t * (b - a), (ra + t * (rb - ra))[:, 0], rays)
    found = hits(round_cone_row(1, a, b, ra, rb)[None], rays)
    np.testing.assert_allclose(found, expected, atol=0.01)
    only_spheres = hits_of_balls(np.stack([a, b]), np.array([ra, rb]), rays)
    assert np.any(found < only_spheres - 5)


def test_a_cone_of_no_length_and_one_sphere_within_the_other_are_spheres() -> None:
    rng = np.random.default_rng(0)
    centre = np.array([10.0, 5, 300])
    rays = rays_towards(rng, centre, 25, 300)
    for other, radius in ((centre, 20.0), (centre + np.array([3.0, 2.0, -4.0]), 12.0)):
        for cone in (round_cone_row(1, centre, other, 20, radius), round_cone_row(1, other, centre, radius, 20)):
            expected = hits_of_balls(centre[None], np.array([20.0]), rays)
            np.testing.assert_allclose(hits(cone[None], rays), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_wedge_is_the_hull_of_three_spheres(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    centres = np.array([0.0, 0, 350]) + rng.normal(size=(3, 3)) * 40
    radii = rng.uniform(5, 16, 3)
    primitives = np.zeros((2, PRIMITIVE_ROW))
    rows = write_wedge_sides(primitives, 0, 1, centres[0], centres[1], centres[2], *radii)
    assert rows in (0, 2)
    pairs = ((0, 1), (1, 2), (2, 0))
    cones = np.stack([round_cone_row(1, centres[i], centres[j], radii[i], radii[j]) for i, j in pairs])
    steps = 140
    weights = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
    rays = rays_towards(rng, centres.mean(0), 30, 150)
    expected = hits_of_balls(weights @ centres, weights @ radii, rays)
    found = hits(np.concatenate([primitives[:rows], cones]), rays)
    assert np.all(found <= expected + 1e-6)
    assert_same_hits(found, expected, 0.3, 0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [BOX, ELLIPSOID])
def test_boxes_and_ellipsoids_begin_where_a_walk_along_the_ray_first_is_inside(kind: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, rotation, half = np.array([-30.0, 20, 500]), random_rotation(rng), rng.uniform(10, 90, 3)
    rays = rays_towards(rng, centre, 60, 200)
    lengths = np.arange(300, 700, 0.05)
    expected = np.full(len(rays), NO_HIT)
    for i, ray in enumerate(rays):
        local = (lengths[:, None] * ray - centre) @ rotation.T / half
        inside = np.abs(local).max(1) < 1 if kind == BOX else (local**2).sum(1) < 1
        if inside.any():
            expected[i] = lengths[np.argmax(inside)]
    found = hits(local_row(kind, 1, centre, rotation, (half[0], half[1], half[2]))[None], rays)
    assert_same_hits(found, expected, 0.06, 0.02)


def test_triangles_and_planes_solve_their_equations() -> None:
    rng = np.random.default_rng(3)
    misses = 0
    for _ in range(60):
        corners = np.array([0.0, 0, 400]) + rng.normal(size=(3, 3)) * 80
        ray = rays_towards(rng, corners.mean(0), 40, 1)[0]
        row = np.zeros((1, PRIMITIVE_ROW))
        row[0, PRIMITIVE_KIND], row[0, 2:11] = TRIANGLE, corners.ravel()
        # ray * t = corner 0 + p * edge 1 + q * edge 2
        t, p, q = np.linalg.solve(np.stack([ray, corners[0] - corners[1], corners[0] - corners[2]], 1), corners[0])
        inside = p >= 0 and q >= 0 and p + q <= 1 and t > 0
        misses += not inside
        assert hits(row, ray[None])[0] == pytest.approx(t if inside else NO_HIT, rel=1e-9)
        normal = unit(rng.normal(size=3))
        assert hits(plane_row(1, normal, 200.0)[None], ray[None])[0] == pytest.approx(200 / (normal @ ray), rel=1e-9)
    assert 10 < misses < 50


def test_a_sphere_has_its_centre_depth_and_its_silhouette() -> None:
    focal, z, r = 300.0, 500.0, 80.0
    camera = Camera.from_focal_length(161, 161, focal)
    primitives = round_cone_row(3, np.array([0.0, 0, z]), np.array([0.0, 0, z]), r, r)[None]
    depth, surface = render(SceneGeometry(primitives, np.zeros((0, 22)), np.zeros((0, 9))), camera)
    assert depth[80, 80] == pytest.approx(z - r, abs=1e-4)
    np.testing.assert_array_equal(surface, np.where(depth > 0, 3, 0))
    v, u = np.mgrid[:161, :161] - 80.0
    silhouette = focal * r / math.sqrt(z * z - r * r)
    np.testing.assert_array_equal(depth > 0, np.hypot(u, v) < silhouette)


@pytest.mark.parametrize("seed", range(3))
def test_no_ray_of_a_tile_hits_what_the_tile_does_not_or_sooner(seed: int) -> None:
    rng = np.random.default_rng(seed)
    focal = 150.0
    rows = []
    for _ in range(40):
        p, q = np.array([0.0, 0, 300]) + rng.normal(size=(2, 3)) * [120, 120, 80]
        half = rng.uniform(5, 50, 3)
        rows.append(round_cone_row(1, p, q, *rng.uniform(3, 40, 2)))
        rows.append(local_row(BOX, 1, p, random_rotation(rng), (half[0], half[1], half[2])))
        rows.append(local_row(ELLIPSOID, 1, q, random_rotation(rng), (half[0], half[1], half[2])))
        triangle = np.zeros(PRIMITIVE_ROW)
        triangle[PRIMITIVE_KIND], triangle[2:8], triangle[8:11] = TRIANGLE, [*p, *q], p + rng.normal(size=3) * 50
        rows.append(triangle)
    rows.append(plane_row(1, unit(rng.normal(size=3)), 250.0))
    spread = 4.0 * math.sqrt(2) / focal
    exact, tile = prepared(np.stack(rows)), prepared(np.stack(rows), spread)
    met = missed = 0
    for _ in range(60):
        x, y = rng.uniform(-0.6, 0.6, 2)
        middle = unit(np.array([x, y, 1.0]))
        for i in range(len(rows)):
            bound = tile_hit(tile, i, *middle)
            met, missed = met + (bound < NO_HIT), missed + (bound >= NO_HIT)
            for dx, dy in rng.choice([-3.5, 0.0, 3.5], (4, 2)):
                t = hit_primitive(exact, i, *unit(np.array([x + dx / focal, y + dy / focal, 1.0])))
                if 20.0 < t < NO_HIT:
                    assert bound <= t + 1e-9
    assert missed > met > 100  # it does cull
