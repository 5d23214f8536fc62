"""Hands as flesh: filled creases, pads and rings that stay close to the bone, people of all sizes, scaled objects."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.labels import FOREARM_PART
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.hands.details import finger_details, palm_details, rings, watch
from graspcut.synth.hands.flesh import SLEEVE, hand_primitives
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.grasp import sample_grasp
from graspcut.synth.hands.kinematics import SHAPE_LENGTH, sample_shape, sample_varied_shape
from graspcut.synth.objects.catalogue import KINDS, build_object, scaled
from graspcut.synth.objects.signed_distance import ROW, object_distance
from graspcut.synth.rendering.creases import fill_creases
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.primitives import (
    PRIMITIVE_ROW,
    SURFACE,
    Float64Array,
    plane_row,
    round_cone_row,
    transform_flesh,
)
from graspcut.synth.rendering.ray_casting import RenderedView, SceneGeometry, render
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.scenes.scene import sample_scene

CAMERA = Camera.from_focal_length(160, 120, 160.0)


def rendered(primitives: Float64Array) -> RenderedView:
    assert primitives.shape[1] == PRIMITIVE_ROW
    return render(SceneGeometry(primitives, np.zeros((0, ROW)), np.zeros((0, OBJECT_COLUMNS))), CAMERA)


def balls(*xs: float) -> Float64Array:
    centres = [np.array([x, 0.0, 300.0]) for x in xs]
    return np.stack([round_cone_row(1, c, c + 0.001, 20.0, 20.0) for c in centres])


def test_convex_and_flat_surfaces_stay_as_they_are() -> None:
    tilted = np.stack([plane_row(1, np.array([0.5, 0.3, -0.81]) / np.linalg.norm([0.5, 0.3, -0.81]), -280.0)])
    for primitives in (balls(0.0), tilted):
        view = rendered(primitives)
        before = view.depth_mm.copy()
        fill_creases(view, np.array([0, 1], np.uint8), CAMERA.fx)
        # In perspective the middle between two neighbours of a plane lies a little off it.
        assert np.abs(view.depth_mm - before).max() < 0.2


def test_a_seam_between_two_balls_is_filled_and_only_on_flesh() -> None:
    apart = 16.0
    view = rendered(balls(-apart, apart))
    before = view.depth_mm.copy()
    hard = RenderedView(before.copy(), view.surface)
    fill_creases(hard, np.array([0, 0], np.uint8), CAMERA.fx)
    np.testing.assert_array_equal(hard.depth_mm, before)
    fill_creases(view, np.array([0, 1], np.uint8), CAMERA.fx)
    change = before - view.depth_mm
    assert change.min() >= 0.0
    middle = change[60, 76:84].max()
    assert middle > 0.5 and change[60, 55] < 0.05
    # A gap to something behind stays open.
    far = np.concatenate([balls(-apart), np.stack([plane_row(1, np.array([0.0, 0.0, -1.0]), -400.0)])])
    view = rendered(far)
    before = view.depth_mm.copy()
    fill_creases(view, np.array([0, 1], np.uint8), CAMERA.fx)
    assert np.abs(view.depth_mm - before).max() < 0.2


@pytest.mark.parametrize("turned", [False, True])
def test_details_stand_a_few_millimetres_out_of_the_flesh(turned: bool) -> None:
    matrix = np.diag([1.0, -1.0, -1.0]) if turned else np.diag([1.0, 1.0, 1.0])
    place = np.array([0.0, 60.0 if turned else -60.0, 420.0])
    for seed in range(8):
        rng = np.random.default_rng(seed)
        shape = sample_shape(rng)
        pose = sample_free_pose(rng, shape)
        flesh = hand_primitives(pose.shape, pose.pose, pose.joints_mm, 0, 2.0, 0.0)
        rows = np.stack(finger_details(pose, 0) + palm_details(pose, 0))
        bare = rendered(transform_flesh(flesh, matrix, place))
        full = rendered(transform_flesh(np.concatenate([flesh, rows]), matrix, place))
        both = (bare.depth_mm > 0) & (full.depth_mm > 0)
        out = (bare.depth_mm - full.depth_mm)[both]
        assert out.min() > -1e-3 and np.percentile(out, 90) < 5.0
        assert out.max() > 0.2  # they are seen
        grown = (full.depth_mm > 0).sum() / (bare.depth_mm > 0).sum()
        assert 1.0 <= grown < 1.15


def test_rings_and_watches_belong_to_the_part_they_are_on() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        pose = sample_free_pose(rng, sample_shape(rng))
        assert {int(row[SURFACE]) for row in rings(rng, pose, 100)} <= {105, 109, 113, 117}
        assert {int(row[SURFACE]) for row in watch(rng, pose, 100)} == {100 + FOREARM_PART}


def test_people_come_in_all_sizes_and_can_still_grasp() -> None:
    rng = np.random.default_rng(0)
    shapes = [sample_varied_shape(rng, 3.0 if i % 5 == 0 else 0.0) for i in range(200)]
    lengths = np.array([shape[SHAPE_LENGTH + 3] for shape in shapes])  # the middle finger's first bone
    assert lengths.min() < 36 and lengths.max() > 55
    found = sum(sample_grasp(rng, shape, build_object("can", rng), flush=0.3) is not None for shape in shapes[:40])
    assert found >= 30


@pytest.mark.parametrize("kind", sorted(KINDS)[::7])
def test_scaling_an_object_scales_its_distances(kind: str) -> None:
    rng = np.random.default_rng(1)
    held = build_object(kind, rng)
    for factor in (0.4, 2.2):
        larger = scaled(held, factor)
        assert larger.bound_mm == pytest.approx(held.bound_mm * factor)
        union = held.rows[:, 1] < 3  # a smooth union blends over 4 mm at any size
        if not union.all():
            continue
        for point in rng.normal(size=(30, 3)) * held.bound_mm:
            expected = factor * object_distance(held.rows, *point)
            assert object_distance(larger.rows, *(factor * point)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_skin_takes_up_stripes_more_weakly_than_cloth() -> None:
    scene = SceneConfig(room=0.0, people_at_table=0.0, hand_only=1.0, object_only=0.0, nothing=0.0)
    config = SynthConfig(width=64, height=48, colour=False, scene=scene)
    striped, bare = 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        stripes = sample_scene(rng, config.camera(), scene).surfaces.columns()[4]
        skin, sleeve = stripes[1], stripes[SLEEVE]
        striped += bool(skin > 0)
        bare += bool(0 < skin < 0.36 * sleeve)
        assert skin <= sleeve  # equal for gloves
        first = sample_scene(np.random.default_rng(seed), config.camera(), scene, "v1").surfaces.columns()[4]
        assert first[1] == 0
    assert 2 <= striped <= 10
    assert bare > striped / 2
    assert FrameGenerator(config, 0)[0].hands
