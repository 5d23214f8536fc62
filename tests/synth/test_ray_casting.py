"""The culled renderer against tracing every pixel with everything, and sphere tracing against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.objects import signed_distance as sd
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.primitives import (
    BOX,
    ELLIPSOID,
    PRIMITIVE_KIND,
    PRIMITIVE_ROW,
    TRIANGLE,
    local_row,
    plane_row,
    round_cone_row,
)
from graspcut.synth.rendering.ray_casting import SceneGeometry, render, trace_pixel
from graspcut.synth.rendering.ray_hits import PREPARED_ROW, prepare_primitives
from graspcut.synth.scenes.scene import SceneConfig, sample_scene

Array = NDArray[np.float64]

CAMERA = Camera.from_focal_length(76, 52, 60.0)
NO_PRIMITIVES, NO_ROWS, NO_OBJECTS = (
    np.zeros((0, PRIMITIVE_ROW)),
    np.zeros((0, sd.ROW)),
    np.zeros((0, OBJECT_COLUMNS)),
)


def trace_everything(scene: SceneGeometry, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Every pixel with all primitives in the order of the table, objects from their bounding spheres on."""
    count = len(scene.primitives)
    table = np.zeros((count, PREPARED_ROW))
    prepare_primitives(scene.primitives, np.arange(count), 0.0, table)
    starts = np.zeros(len(scene.objects))
    depth = np.zeros((camera.height, camera.width), np.float32)
    surface = np.zeros((camera.height, camera.width), np.int32)
    everything, unordered = np.arange(count), np.full(count, -1.0)
    for v in range(camera.height):
        for u in range(camera.width):
            depth[v, u], surface[v, u] = trace_pixel(
                (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy,
                table, everything, unordered, count, scene.components, scene.objects, starts,
            )  # fmt: skip
    return depth, surface


def component(kind: int, parameters: list[float], centre: Array, rotation: Array | None = None) -> Array:
    row = np.zeros((1, sd.ROW))
    row[0, sd.KIND] = kind
    row[0, sd.ROTATION : sd.ROTATION + 9] = (np.eye(3) if rotation is None else rotation).ravel()
    row[0, sd.CENTRE : sd.CENTRE + 3] = centre
    row[0, sd.PARAMETERS : sd.PARAMETERS + len(parameters)] = parameters
    return row


def one_object(rows: Array, centre: Array, bound: float, surface: int) -> SceneGeometry:
    return SceneGeometry(NO_PRIMITIVES, rows, np.array([[0, len(rows), *centre, bound, 0, 20, surface]], np.float64))


@pytest.mark.parametrize("seed", range(6))
def test_culling_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = SceneConfig(background_none=0.0, nearest_mm=180.0, two_hands=0.5, table=0.7, person=0.7)
    scene = sample_scene(rng, CAMERA, config, "v1").geometry
    assert len(scene.primitives) > 20
    primitives_only = SceneGeometry(scene.primitives, NO_ROWS, NO_OBJECTS)
    for found, expected in zip(render(primitives_only, CAMERA), trace_everything(primitives_only, CAMERA), strict=True):
        np.testing.assert_array_equal(found, expected)
    depth, surface = render(scene, CAMERA)
    expected_depth, expected_surface = trace_everything(scene, CAMERA)
    # Sphere tracing stops within 0.08 mm of a surface, at another point when it begins at another one. Along a
    # surface that
    # it grazes that moves the hit by more.
    same = surface == expected_surface
    assert same.mean() > 0.995
    assert np.mean(np.abs(depth - expected_depth)[same] > 0.2) < 0.005


def test_planes_fill_the_view_and_nothing_behind_the_camera_is_seen() -> None:
    behind = round_cone_row(2, np.array([0.0, 0, -400]), np.array([30.0, 0, -300]), 60, 60)
    floor = plane_row(1, np.array([0.0, -1.0, 0.0]), -100.0)
    depth, surface = render(SceneGeometry(np.stack([behind, floor]), NO_ROWS, NO_OBJECTS), CAMERA)
    v = np.arange(CAMERA.height)
    slope = (v - CAMERA.cy) / CAMERA.fy
    np.testing.assert_array_equal(surface, np.repeat((slope > 0)[:, None], CAMERA.width, 1))
    np.testing.assert_allclose(depth[slope > 0], np.repeat(100 / slope[slope > 0, None], CAMERA.width, 1), rtol=1e-6)


def test_sphere_traced_objects_equal_the_closed_forms() -> None:
    rng = np.random.default_rng(2)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = q * np.linalg.det(q)
    centre = np.array([15.0, -10.0, 260.0])
    cases = [
        (
            component(sd.ELLIPSOID, [40.0, 40.0, 40.0], centre),
            local_row(ELLIPSOID, 7, centre, rotation, (40, 40, 40)),
        ),
        (
            component(sd.BOX, [50.0, 30.0, 20.0], centre, rotation),
            local_row(BOX, 7, centre, rotation, (50, 30, 20)),
        ),
        (
            component(sd.CAPSULE, [12.0, 20.0, 35.0], centre, rotation),
            round_cone_row(7, centre - 35 * rotation[1], centre + 35 * rotation[1], 12, 20),
        ),
    ]  # fmt: skip
    for rows, primitive in cases:
        depth, surface = render(one_object(rows, centre, 70.0, 7), CAMERA)
        expected, expected_surface = render(SceneGeometry(primitive[None], NO_ROWS, NO_OBJECTS), CAMERA)
        assert (expected > 0).sum() > 100
        # A ray that passes within 0.08 mm counts as a hit: only at the silhouette.
        assert np.mean(surface != expected_surface) < 0.01
        both = (depth > 0) & (expected > 0)
        assert np.median(np.abs(depth - expected)[both]) < 0.1
        assert np.mean(np.abs(depth - expected)[both] > 0.4) < 0.05


def test_a_primitive_in_front_hides_an_object_and_the_other_way_round() -> None:
    centre = np.array([0.0, 0.0, 300.0])
    scene = one_object(component(sd.BOX, [40.0, 40.0, 40.0], centre), centre, 70.0, 9)
    front = round_cone_row(1, np.array([0.0, 0, 200]), np.array([0.0, 0, 200]), 10, 10)
    behind = round_cone_row(2, np.array([0.0, 0, 400]), np.array([0.0, 0, 400]), 90, 90)
    _, surface = render(replace(scene, primitives=np.stack([front, behind])), CAMERA)
    v, u = round(CAMERA.cy), round(CAMERA.cx)
    assert surface[v, u] == 1
    assert surface[v, u + 6] == 9
    assert surface[v, u + 13] == 2


def test_an_object_shows_the_colour_slot_of_its_nearest_component() -> None:
    centre = np.array([0.0, 0.0, 300.0])
    left, right = (component(sd.BOX, [30.0, 30.0, 10.0], centre + np.array([x, 0, 0])) for x in (-30.0, 30.0))
    right[0, sd.COLOUR_SLOT] = 2
    _, surface = render(one_object(np.concatenate([left, right]), centre, 80.0, 4), CAMERA)
    v, u = round(CAMERA.cy), round(CAMERA.cx)
    assert surface[v, u - 5] == 4
    assert surface[v, u + 5] == 6


def test_translated_equals_building_the_scene_elsewhere() -> None:
    rng = np.random.default_rng(5)
    shift = np.array([25.7, -3.0, 4.0])
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = q * np.linalg.det(q)

    def build(origin: Array) -> SceneGeometry:
        normal = np.array([0.1, -0.6, -0.79])
        normal /= np.linalg.norm(normal)
        triangle = np.zeros(PRIMITIVE_ROW)
        corners = np.array([[-60.0, -50, 320], [-10, -60, 300], [-40, 10, 350]]) + origin
        triangle[PRIMITIVE_KIND], triangle[1], triangle[2:11] = TRIANGLE, 5, corners.ravel()
        primitives = [
            round_cone_row(1, np.array([-40.0, 20, 300]) + origin, np.array([10.0, 50, 340]) + origin, 12, 18),
            local_row(BOX, 2, np.array([70.0, 0, 420]) + origin, rotation, (20, 30, 40)),
            local_row(ELLIPSOID, 3, np.array([30.0, -60, 380]) + origin, rotation, (20, 30, 40)),
            plane_row(4, normal, float(normal @ (np.array([0.0, 0, 700]) + origin))),
            triangle,
        ]
        centre = np.array([20.0, 10, 280]) + origin
        scene = one_object(component(sd.TORUS, [25.0, 8.0], centre, rotation), centre, 34.0, 6)
        return replace(scene, primitives=np.stack(primitives))

    depth, surface = render(build(np.zeros(3)).translated(shift), CAMERA)
    expected, expected_surface = render(build(shift), CAMERA)
    np.testing.assert_array_equal(surface, expected_surface)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    assert set(np.unique(surface)) >= {1, 2, 3, 4, 5, 6}
