"""Every primitive's signed distance against brute force: dense samples of its surface and a separate inside test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from graspcut.synth.objects import signed_distance as geometry
from graspcut.synth.objects.building_blocks import (
    Row,
    arc,
    ball,
    box,
    capsule,
    cone,
    cylinder,
    ellipsoid,
    limb,
    prism,
    sheet,
    torus,
    transform_rows,
)
from graspcut.synth.objects.signed_distance import component_distance, nearest_row, object_distance

Points = NDArray[np.float64]
Inside = Callable[[Points], NDArray[np.bool_]]


def as_rows(*rows: Row) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)


def _distances(rows: Points, points: Points) -> Points:
    found = np.empty(len(points))
    for i in range(len(points)):
        found[i] = object_distance(rows, points[i, 0], points[i, 1], points[i, 2])
    return found


distances = cast("Callable[[Points, Points], Points]", njit(_distances))  # compiled only to be quick


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.linalg.det(q))


def nearest_sample(points: Points, samples: Points) -> NDArray[np.float64]:
    return np.array([np.sqrt(((samples - p) ** 2).sum(1).min()) for p in points])


def grid(*axes: NDArray[np.float64]) -> Points:
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], 1)


def box_faces(hx: float, hy: float, hz: float, step: float) -> Points:
    half = np.array([hx, hy, hz])
    faces = []
    for axis in range(3):
        u, v = (a for a in range(3) if a != axis)
        flat = grid(*(np.linspace(-half[a], half[a], max(2, int(2 * half[a] / step) + 1)) for a in (u, v)))
        for side in (-1.0, 1.0):
            face = np.empty((len(flat), 3))
            face[:, axis], face[:, u], face[:, v] = side * half[axis], flat[:, 0], flat[:, 1]
            faces.append(face)
    return np.concatenate(faces)


def revolve(profile: list[tuple[float, float]], step: float) -> Points:
    """Samples of the surface swept by a profile of (radius, y) corners turning about y."""
    rings = []
    for (r0, y0), (r1, y1) in itertools.pairwise(profile):
        for t in np.linspace(0, 1, max(2, int(math.hypot(r1 - r0, y1 - y0) / step) + 2)):
            r, y = r0 + t * (r1 - r0), y0 + t * (y1 - y0)
            angle = np.linspace(0, 2 * math.pi, max(1, int(2 * math.pi * r / step) + 1), endpoint=False)
            rings.append(np.stack([r * np.cos(angle), np.full_like(angle, y), r * np.sin(angle)], 1))
    return np.concatenate(rings)


def sphere_samples(radius: float, centre: tuple[float, float, float], count: int = 9000) -> Points:
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    r, angle = np.sqrt(1 - z * z), i * math.pi * (3 - math.sqrt(5))
    points = radius * np.stack([r * np.cos(angle), z, r * np.sin(angle)], 1)
    return np.asarray(points + np.array(centre))


def radial(points: Points) -> NDArray[np.float64]:
    return np.hypot(points[:, 0], points[:, 2])


STEP = 0.4  # mm between samples


def box_case() -> tuple[Row, Points, Inside]:
    return box(9, 16, 5), box_faces(9, 16, 5, STEP), lambda p: np.all(np.abs(p) < [9, 16, 5], axis=1)


def cylinder_case() -> tuple[Row, Points, Inside]:
    surface = revolve([(0, -14), (8, -14), (8, 14), (0, 14)], STEP)
    return cylinder(8, 14), surface, lambda p: (radial(p) < 8) & (np.abs(p[:, 1]) < 14)


def cone_case() -> tuple[Row, Points, Inside]:
    surface = revolve([(0, -11), (12, -11), (4, 11), (0, 11)], STEP)
    return cone(12, 4, 11), surface, lambda p: (radial(p) < 8 - 4 * p[:, 1] / 11) & (np.abs(p[:, 1]) < 11)


def pointed_cone_case() -> tuple[Row, Points, Inside]:
    surface = revolve([(0, -11), (12, -11), (0, 11)], STEP)
    return cone(12, 0, 11), surface, lambda p: (radial(p) < 6 - 6 * p[:, 1] / 11) & (np.abs(p[:, 1]) < 11)


def ball_case() -> tuple[Row, Points, Inside]:
    return ball(13), sphere_samples(13, (0, 0, 0)), lambda p: np.linalg.norm(p, axis=1) < 13


def torus_case() -> tuple[Row, Points, Inside]:
    turn = np.linspace(0, 2 * math.pi, 60)
    surface = revolve([(15 + 4 * math.cos(a), 4 * math.sin(a)) for a in turn], STEP)
    return torus(15, 4), surface, lambda p: (radial(p) - 15) ** 2 + p[:, 1] ** 2 < 16


def capsule_case() -> tuple[Row, Points, Inside]:
    # The hull of two balls is the union of the balls between them.
    def inside(p: Points) -> NDArray[np.bool_]:
        t = np.linspace(0, 1, 4001)
        return np.array(
            [bool(np.any(np.hypot(r, y + 10 - 20 * t) < 9 - 5 * t)) for r, y in zip(radial(p), p[:, 1], strict=True)]
        )

    # The tangent cone touches where the normal leans by asin((9 - 4) / 20).
    lean = math.asin(0.25)
    low = [(9 * math.cos(a), -10 + 9 * math.sin(a)) for a in np.linspace(-math.pi / 2, lean, 60)]
    high = [(4 * math.cos(a), 10 + 4 * math.sin(a)) for a in np.linspace(lean, math.pi / 2, 60)]
    return capsule(9, 4, 10), revolve(low + high, STEP), inside


def arc_case() -> tuple[Row, Points, Inside]:
    # Balls along the middle line.
    angle = np.linspace(-1.1, 1.1, 4001)
    line = np.stack([17 * np.sin(angle), 17 * np.cos(angle), np.zeros_like(angle)], 1)
    ring = np.linspace(0, 2 * math.pi, 50, endpoint=False)
    tube = []
    for a in np.linspace(-1.1, 1.1, 110):
        r = 17 + 3 * np.cos(ring)
        tube.append(np.stack([r * math.sin(a), r * math.cos(a), 3 * np.sin(ring)], 1))
    for a in (-1.1, 1.1):
        end = sphere_samples(3, (17 * math.sin(a), 17 * math.cos(a), 0), 900)
        tube.append(end[nearest_sample(end, line) > 2.999])
    return arc(17, 3, 1.1), np.concatenate(tube), lambda p: nearest_sample(p, line) < 3


def rounded_box_case() -> tuple[Row, Points, Inside]:
    # All points within 3 mm of the inner box.
    def inside(p: Points) -> NDArray[np.bool_]:
        q = p - np.clip(p, [-6, -13, -2], [6, 13, 2])
        return np.asarray(np.linalg.norm(q, axis=1) < 3)

    inner = box_faces(6, 13, 2, 1.0)
    balls = (inner[:, None] + sphere_samples(3, (0, 0, 0), 1200)[None]).reshape(-1, 3)
    outside = np.linalg.norm(balls - np.clip(balls, [-6, -13, -2], [6, 13, 2]), axis=1) > 2.96
    return box(9, 16, 5, rounding=3), balls[outside], inside


CASES: dict[str, Callable[[], tuple[Row, Points, Inside]]] = {
    "box": box_case,
    "rounded box": rounded_box_case,
    "cylinder": cylinder_case,
    "cone": cone_case,
    "pointed cone": pointed_cone_case,
    "ball": ball_case,
    "torus": torus_case,
    "capsule": capsule_case,
    "arc": arc_case,
}


@pytest.mark.parametrize("name", CASES)
def test_exact_primitives_equal_brute_force(name: str) -> None:
    row, surface, inside = CASES[name]()
    rng = np.random.default_rng(7)
    points = rng.uniform(-26, 26, (300, 3))
    found = distances(as_rows(row), points)
    expected = np.where(inside(points), -1.0, 1.0) * nearest_sample(points, surface)
    # The nearest sample is at most half a cell's diagonal farther than the surface itself.
    np.testing.assert_allclose(found, expected, atol=0.35)


@pytest.mark.parametrize("name", CASES)
def test_primitives_follow_their_rotation_and_centre(name: str) -> None:
    row, _, _ = CASES[name]()
    rng = np.random.default_rng(8)
    rotation, centre = random_rotation(rng), rng.uniform(-30, 30, 3)
    placed = as_rows(row)
    placed[0, geometry.ROTATION : geometry.ROTATION + 9] = rotation.ravel()  # local = rotation @ (point - centre)
    placed[0, geometry.CENTRE : geometry.CENTRE + 3] = centre
    local = rng.uniform(-25, 25, (100, 3))
    np.testing.assert_allclose(distances(placed, local @ rotation + centre), distances(as_rows(row), local), atol=1e-9)


@pytest.mark.parametrize("radii", [(10.0, 10.0, 10.0), (6.0, 18.0, 9.0), (20.0, 5.0, 12.0)])
def test_ellipsoid_bounds_the_distance_outside_and_is_right_near_its_surface(radii: tuple[float, float, float]) -> None:
    scale = np.array(radii)
    surface = sphere_samples(1, (0, 0, 0), 40000) * scale
    rows = as_rows(ellipsoid(*radii))
    points = np.random.default_rng(3).uniform(-30, 30, (400, 3))
    found = distances(rows, points)
    inside = ((points / scale) ** 2).sum(1) < 1
    np.testing.assert_array_equal(found < 0, inside)
    assert np.all(found[~inside] <= nearest_sample(points[~inside], surface) + 1e-6)
    # Just off the surface along its normal the distance is the step itself.
    normal = surface / scale**2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    for step in (-0.05, 0.05):
        near = (surface + step * normal)[::400]
        np.testing.assert_allclose(distances(rows, near), step, atol=0.005)


def test_prism_bounds_the_distance_and_has_six_flat_sides() -> None:
    rows = as_rows(prism(10, 20))
    points = np.random.default_rng(4).uniform(-30, 30, (500, 3))
    found = distances(rows, points)
    normals = [(math.cos(a), math.sin(a)) for a in np.radians([30, 90, 150, 210, 270, 330])]
    across = np.max([points[:, 0] * nx + points[:, 2] * nz for nx, nz in normals], axis=0)
    inside = (across < 10) & (np.abs(points[:, 1]) < 20)
    np.testing.assert_array_equal(found < 0, inside)
    np.testing.assert_allclose(found[inside], np.maximum(across - 10, np.abs(points[:, 1]) - 20)[inside])
    corners = [
        (10 / math.cos(math.pi / 6) * math.cos(a), 10 / math.cos(math.pi / 6) * math.sin(a))
        for a in np.radians(range(0, 361, 60))
    ]
    t = np.linspace(0, 1, 40)[:, None]
    outline = np.concatenate([np.array(p) * (1 - t) + np.array(q) * t for p, q in itertools.pairwise(corners)])
    side = np.array([(x, y, z) for x, z in outline for y in np.linspace(-20, 20, 80)])
    caps = np.array([(x * s, y, z * s) for x, z in outline for s in np.linspace(0, 1, 24) for y in (-20, 20)])
    nearest = nearest_sample(points, np.concatenate([side, caps]))
    assert np.all(found[~inside] <= nearest[~inside] + 1e-6)
    assert np.all(found[~inside] >= 0.8 * nearest[~inside] - 0.4)


def test_sheet_is_thin_wavy_and_bounded() -> None:
    amplitude, length_x, length_z, half_thickness = 6.0, 60.0, 90.0, 1.0
    rows = as_rows(sheet(40, half_thickness, 50, (amplitude, length_x, length_z)))

    def height(p: Points) -> NDArray[np.float64]:
        wave = np.sin(2 * math.pi * p[:, 0] / length_x) * np.cos(2 * math.pi * p[:, 2] / length_z)
        return np.asarray(amplitude * wave)

    rng = np.random.default_rng(5)
    points = rng.uniform([-50, -20, -60], [50, 20, 60], (600, 3))
    flat = np.abs(points[:, [0, 2]]) < [40, 50]
    inside = flat.all(1) & (np.abs(points[:, 1] - height(points)) < half_thickness)
    found = distances(rows, points)
    np.testing.assert_array_equal(found < 0, inside)
    middle = grid(np.linspace(-40, 40, 161), np.zeros(1), np.linspace(-50, 50, 201))
    middle[:, 1] = height(middle)
    primitive = np.concatenate([middle + np.array([0, s, 0]) for s in (-half_thickness, 0, half_thickness)])
    outside = ~inside
    nearest = nearest_sample(points[outside], primitive)
    assert np.all(found[outside] <= nearest + 1e-6)
    assert np.median(found[outside] / nearest) > 0.6


@pytest.mark.parametrize(
    "row",
    [
        box(9, 16, 5, rounding=2),
        cylinder(8, 14, rounding=1),
        cone(12, 0, 11),
        torus(15, 4),
        capsule(9, 4, 10),
        capsule(12, 3, 4),  # one ball within the other
        arc(17, 3, 1.1),
        prism(10, 20),
        sheet(40, 0.7, 50, (6.0, 50.0, 90.0)),
        sheet(60, 0.7, 50, (9.0, 300.0, 85.0)),
    ],
)
def test_distances_change_by_no_more_than_the_step(row: Row) -> None:
    rows = as_rows(row)
    rng = np.random.default_rng(6)
    points = rng.uniform(-60, 60, (1500, 3)) * rng.choice([0.3, 1.0], (1500, 1))
    steps = rng.normal(size=(1500, 3))
    steps *= rng.choice([0.01, 1.0, 10.0], (1500, 1)) / np.linalg.norm(steps, axis=1, keepdims=True)
    change = np.abs(distances(rows, points + steps) - distances(rows, points))
    assert np.all(change <= np.linalg.norm(steps, axis=1) * (1 + 1e-9) + 1e-9)


def test_operations_fold_from_the_first_row_to_the_last() -> None:
    first, second = ball(10), ball(10, (8, 0, 0))
    inner, cutter = ball(6), box(20, 20, 20, (0, 20, 0), operation=geometry.INTERSECT)
    points = np.random.default_rng(9).uniform(-20, 20, (200, 3))
    a, b = distances(as_rows(first), points), distances(as_rows(second), points)
    np.testing.assert_allclose(distances(as_rows(first, second), points), np.minimum(a, b))
    hollow = [*inner]
    hollow[geometry.OPERATION] = geometry.SUBTRACT
    shell = distances(as_rows(first, hollow), points)
    np.testing.assert_allclose(shell, np.maximum(a, 6 - np.linalg.norm(points, axis=1)))
    half = distances(as_rows(first, hollow, cutter), points)
    plane = distances(as_rows(box(20, 20, 20, (0, 20, 0))), points)
    np.testing.assert_allclose(half, np.maximum(shell, plane))
    # What comes after a cut is not cut.
    assert object_distance(as_rows(first, hollow, inner), 0.0, 0.0, 0.0) == pytest.approx(-6)
    blended = [*second]
    blended[geometry.OPERATION] = geometry.SMOOTH_UNION
    smooth = distances(as_rows(first, blended), points)
    plain = np.minimum(a, b)
    assert np.all(smooth <= plain + 1e-12)
    assert np.all(smooth >= plain - 1.0 - 1e-12)
    np.testing.assert_allclose(smooth[np.abs(a - b) >= 4], plain[np.abs(a - b) >= 4])
    assert object_distance(as_rows(first, blended), 4.0, 0.0, 0.0) == pytest.approx(-6 - 1)
    assert object_distance(as_rows(first, blended), 5.0, 0.0, 0.0) == pytest.approx(-7 - 0.25)  # 2 mm apart


def test_nearest_row_is_the_one_whose_surface_is_nearest() -> None:
    rows = as_rows(box(5, 5, 5), ball(4, (20, 0, 0)), cylinder(2, 30, (-20, 0, 0)))
    for point in np.random.default_rng(2).uniform(-30, 30, (200, 3)).tolist():
        every = [abs(component_distance(rows, i, *point)) for i in range(3)]
        assert nearest_row(rows, 0, 3, *point) == int(np.argmin(every))
        assert nearest_row(rows, 1, 3, *point) == 1 + int(np.argmin(every[1:]))


def test_limb_reaches_from_its_start_to_its_end() -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        start, end = rng.uniform(-40, 40, 3), rng.uniform(-40, 40, 3)
        rows = as_rows(limb(tuple(start.tolist()), tuple(end.tolist()), 5.0, 3.0))
        along = (end - start) / np.linalg.norm(end - start)
        # Beyond the two ends only the end balls count.
        low, high = start - 8 * along, end + 8 * along
        assert object_distance(rows, *low) == pytest.approx(3.0, abs=1e-6)
        assert object_distance(rows, *high) == pytest.approx(5.0, abs=1e-6)
        turn = rows[0, geometry.ROTATION : geometry.ROTATION + 9].reshape(3, 3)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1.0)


def test_transform_rows_moves_the_surface_with_the_object() -> None:
    rng = np.random.default_rng(12)
    rows = as_rows(
        box(9, 16, 5, (3, 4, 5), rounding=2),
        ball(5, (9, 16, 5), operation=geometry.SUBTRACT),
        arc(17, 3, 1.1),
        ellipsoid(5, 9, 7),
    )
    before = rows.copy()
    points = rng.uniform(-30, 30, (200, 3))
    for _ in range(5):
        rotation, translation = random_rotation(rng), rng.uniform(-500, 500, 3)
        placed = transform_rows(rows, rotation, translation)
        moved = np.array([rotation @ p + translation for p in points])
        np.testing.assert_allclose(distances(placed, moved), distances(rows, points), atol=1e-8)
    np.testing.assert_array_equal(rows, before)
