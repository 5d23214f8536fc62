"""The hand: bone lengths, limits, left and right, overlaps, and the flesh that is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.labels import JOINT_NAMES
from graspcut.synth.hands import flesh as hand_flesh
from graspcut.synth.hands.flesh import SLEEVE, hand_primitives
from graspcut.synth.hands.free_pose import sample_free_pose
from graspcut.synth.hands.kinematics import (
    LOWER_LIMIT,
    POSE_SIZE,
    SHAPE_LENGTH,
    SHAPE_MCP,
    SHAPE_RADIUS,
    SHAPE_THUMB,
    UPPER_LIMIT,
    HandPose,
    forward_kinematics,
    sample_shape,
)
from graspcut.synth.hands.overlap import closest_parameters, self_penetration
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.ray_casting import SceneGeometry, render
from graspcut.synth.scenes.scene import SceneConfig, sample_scene

Array = NDArray[np.float64]

CAMERA = Camera.from_focal_length(120, 120, 120.0)
# Hand frame to camera: fingers up, the palm towards the camera.
PALM_TO_CAMERA = np.array([[-1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])


def open_hand(rng: np.random.Generator) -> HandPose:
    shape, pose = sample_shape(rng), np.zeros(POSE_SIZE)
    pose[16:20] = (35, 45, 5, 5)
    return HandPose(shape, pose, forward_kinematics(shape, pose))


def view(hand: HandPose, matrix: Array, place: Array, sleeve: float = 2.0) -> tuple[Any, Any]:
    """Depth and part image; parts as surfaces 1..21 and the sleeve 22."""
    primitives = hand_primitives(hand.shape, hand.pose, hand.joints_mm, 0, sleeve, 6.0)
    for first in (2, 5, 8):
        rows = slice(None) if first < 8 else primitives[:, 0] == 1.0  # only triangles have a third point
        primitives[rows, first : first + 3] = primitives[rows, first : first + 3] @ matrix.T + place
    return render(SceneGeometry(primitives, np.zeros((0, 22)), np.zeros((0, OBJECT_COLUMNS))), CAMERA)


def test_bones_keep_their_lengths_in_any_pose() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = sample_shape(rng)
        joints = forward_kinematics(shape, rng.uniform(LOWER_LIMIT, UPPER_LIMIT))
        bones = np.linalg.norm(np.diff(joints[1:].reshape(5, 4, 3), axis=1), axis=2)
        np.testing.assert_allclose(bones[0], shape[SHAPE_THUMB + 3 : SHAPE_THUMB + 6], atol=1e-9)
        np.testing.assert_allclose(bones[1:].ravel(), shape[SHAPE_LENGTH : SHAPE_LENGTH + 12], atol=1e-9)
        np.testing.assert_array_equal(joints[0], 0)
        np.testing.assert_array_equal(joints[5::4].ravel(), shape[SHAPE_MCP : SHAPE_MCP + 12])


def test_fingers_bend_by_their_flexions_towards_the_palm() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        pose = rng.uniform(LOWER_LIMIT, UPPER_LIMIT)
        joints = forward_kinematics(sample_shape(rng), pose)
        bones = np.diff(joints[1:].reshape(5, 4, 3), axis=1)
        bones /= np.linalg.norm(bones, axis=2, keepdims=True)
        for finger in range(1, 5):
            flexion = pose[4 * (finger - 1) + 1 : 4 * finger]
            for k in (0, 1):
                angle = np.degrees(np.arccos(np.clip(bones[finger, k] @ bones[finger, k + 1], -1, 1)))
                assert angle == pytest.approx(flexion[k + 1], abs=1e-5)
            assert -bones[finger, 0, 2] == pytest.approx(np.sin(np.radians(flexion[0])), abs=1e-9)


def test_free_poses_stay_within_their_limits_and_vary() -> None:
    rng = np.random.default_rng(2)
    poses = np.array([sample_free_pose(rng, sample_shape(rng)).pose for _ in range(200)])
    assert np.all(poses >= LOWER_LIMIT) and np.all(poses <= UPPER_LIMIT)
    reach = (poses.max(0) - poses.min(0)) / (UPPER_LIMIT - LOWER_LIMIT)
    assert np.all(reach[[1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]] > 0.6)


def balls(flesh: Array, i: int, count: int) -> tuple[Array, Array]:
    """Many balls whose union is (nearly) an element: along its axis, or over its triangle."""
    if flesh[i, hand_flesh.CORNERS] == 2:
        t = np.linspace(0, 1, count)[:, None]
        weights = np.concatenate([1 - t, t, 0 * t], axis=1)
    else:
        steps = int(np.sqrt(2 * count))
        pairs = [(a, b) for a in range(steps + 1) for b in range(steps + 1 - a)]
        weights = np.array([(a, b, steps - a - b) for a, b in pairs]) / steps
    return weights @ flesh[i, :9].reshape(3, 3), weights @ flesh[i, 9:12]


def slow_overlap(flesh: Array, i: int, j: int) -> float:
    (p, r), (q, s) = balls(flesh, i, 60), balls(flesh, j, 60 if j < 15 else 250)
    return float((r[:, None] + s - np.linalg.norm(p[:, None] - q, axis=2)).max())


def overlapping_pairs() -> list[tuple[int, int]]:
    """Elements that must not go into each other: (bone, bone of a lower digit) and (bone, wedge of the palm)."""
    pairs = []
    for digit in range(5):
        for bone in range(3):
            if digit == 0 and bone == 0:
                continue
            for other in range(digit):
                pairs += [(3 * digit + bone, 3 * other + k) for k in range(3) if k > 0 or (bone > 0 and other > 0)]
            if bone == 2 or (bone == 1 and digit > 0):
                own = (23, 26, 27) if digit == 0 else ()
                pairs += [(3 * digit + bone, wedge) for wedge in range(19, 28) if wedge not in own]
    return pairs


def test_free_poses_go_into_themselves_by_at_most_2_mm() -> None:
    rng = np.random.default_rng(3)
    pairs = overlapping_pairs()
    deepest = []
    for _ in range(15):
        hand = sample_free_pose(rng, sample_shape(rng))
        flesh = hand_flesh.hand_flesh(hand.shape, hand.pose, hand.joints_mm)
        slow = max(slow_overlap(flesh, i, j) for i, j in pairs)
        assert slow <= 2.0 + 0.15
        deepest.append(slow)
    assert max(deepest) > 0.0  # fingers do touch each other


def test_self_penetration_equals_a_dense_search() -> None:
    rng = np.random.default_rng(4)
    pairs = overlapping_pairs()
    for _ in range(12):
        shape = sample_shape(rng)
        pose = rng.uniform(LOWER_LIMIT, UPPER_LIMIT)
        flesh = hand_flesh.hand_flesh(shape, pose, forward_kinematics(shape, pose))
        slow = max(0.0, max(slow_overlap(flesh, i, j) for i, j in pairs))
        assert self_penetration(flesh, 0, 5) == pytest.approx(slow, abs=0.4)


def test_closest_points_of_segments() -> None:
    rng = np.random.default_rng(5)
    fractions = np.linspace(0, 1, 201)
    for kind in range(60):
        p, q, a, b = rng.normal(size=(4, 3)) * 40
        if kind % 4 == 1:
            b = a + (q - p) * rng.uniform(-1, 1)  # parallel
        elif kind % 4 == 2:
            b = a.copy()  # a point

        x, y = fractions[:, None, None], fractions[None, :, None]
        best = np.linalg.norm(p + x * (q - p) - a - y * (b - a), axis=2).min()
        s, t, distance = closest_parameters(*p, *q, *a, *b)
        assert 0 <= s <= 1 and 0 <= t <= 1
        assert distance == pytest.approx(float(np.linalg.norm(p + s * (q - p) - a - t * (b - a))), abs=1e-9)
        assert best - 0.5 < distance < best + 1e-9


def test_a_left_hand_shows_its_thumb_on_the_left_when_its_palm_faces_the_camera() -> None:
    # Hold up your left hand and look at its palm.
    rng = np.random.default_rng(6)
    mirror = np.diag([-1.0, 1.0, 1.0])
    for matrix, side in ((PALM_TO_CAMERA, -1), (PALM_TO_CAMERA @ mirror, 1)):
        hand = open_hand(rng)
        _, parts = view(hand, matrix, np.array([0.0, 60, 400]))
        columns = np.arange(CAMERA.width)[None, :] * np.ones((CAMERA.height, 1))
        thumb, palm, little = (columns[m].mean() for m in ((parts >= 1) & (parts <= 3), parts == 20, parts == 19))
        assert side * (thumb - palm) > 5
        assert side * (little - palm) < -5


def test_hands_of_scenes_are_named_after_their_side() -> None:
    found = set()
    for seed in range(40):
        scene = sample_scene(
            np.random.default_rng(seed), CAMERA, SceneConfig(two_hands=0.5, nothing=0, object_only=0), "v1"
        )
        names = {instance.id: instance.name for instance in scene.surfaces.instances}
        for hand in scene.hands:
            joints = dict(zip(JOINT_NAMES, hand.joints_mm - hand.joints_mm[0], strict=True))
            # Out of a left hand's back: thumb side x fingers, in a right-handed frame; the thumb sits on the other
            # side.
            back = np.cross(joints["index_mcp"] - joints["little_mcp"], joints["middle_mcp"])
            is_left = bool(back @ joints["thumb_cmc"] < 0)
            assert names[hand.instance] == ("left hand" if is_left else "right hand")
            found.add(is_left)
    assert found == {True, False}


def test_mirroring_and_turning_a_hand_mirrors_and_turns_its_picture() -> None:
    hand = sample_free_pose(np.random.default_rng(7), sample_shape(np.random.default_rng(8)))
    place = np.array([10.0, 40, 420])
    depth, parts = view(hand, PALM_TO_CAMERA, place)
    assert len(np.unique(parts)) > 8
    mirrored_depth, mirrored_parts = view(hand, np.diag([-1.0, 1, 1]) @ PALM_TO_CAMERA, place * [-1, 1, 1])
    np.testing.assert_allclose(mirrored_depth[:, ::-1], depth, atol=1e-3)
    assert np.mean(mirrored_parts[:, ::-1] != parts) < 1e-3
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about the optical axis: x to y, right to down
    turned_depth, turned_parts = view(hand, quarter @ PALM_TO_CAMERA, quarter @ place)
    np.testing.assert_allclose(np.rot90(depth, -1), turned_depth, atol=1e-3)
    assert np.mean(np.rot90(parts, -1) != turned_parts) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_what_is_drawn_is_the_hull_of_the_flesh(seed: int) -> None:
    """No slit shows the inside: every ray ends where the nearest of many balls filling the elements begins."""
    rng = np.random.default_rng(20 + seed)
    hand = open_hand(rng) if seed == 0 else sample_free_pose(rng, sample_shape(rng))
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix, place = q, np.array([0.0, 0, 300]) - q @ (0.6 * hand.joints_mm[9])
    depth, parts = view(hand, matrix, place)
    flesh = hand_flesh.hand_flesh(hand.shape, hand.pose, hand.joints_mm)
    filled = [balls(flesh, i, 60 if i < 15 else 700) for i in range(len(flesh))]
    owner = np.concatenate([np.full(len(r), flesh[i, hand_flesh.PART]) for i, (_, r) in enumerate(filled)])
    centres = np.concatenate([c for c, _ in filled]) @ matrix.T + place
    radii = np.concatenate([r for _, r in filled])
    drawn = np.argwhere(depth > 0)[:, ::-1]
    pixels = np.concatenate([rng.integers(0, 120, (400, 2)), drawn[rng.integers(len(drawn), size=400)]])
    rays = np.stack([(pixels[:, 0] - CAMERA.cx) / CAMERA.fx, (pixels[:, 1] - CAMERA.cy) / CAMERA.fy, np.ones(800)], 1)
    scale = np.linalg.norm(rays, axis=1, keepdims=True)
    along = (rays / scale) @ centres.T
    h = along**2 - (centres**2).sum(1) + radii**2
    entry = np.where(h > 0, along - np.sqrt(np.maximum(h, 0)), np.inf)
    nearest = entry.argmin(axis=1)
    expected = entry.min(axis=1) / scale[:, 0]
    found = depth[pixels[:, 1], pixels[:, 0]].astype(np.float64)
    both = np.isfinite(expected) & (found > 0)
    assert both.sum() > 400
    assert np.mean(np.isfinite(expected) != (found > 0)) < 0.01
    difference = (found - expected)[both]
    assert difference.min() > -1.5  # nothing is drawn outside the flesh
    assert np.mean(difference > 1.0) < 0.01  # a ray through a slit would end far behind
    same_part = parts[pixels[:, 1], pixels[:, 0]][both] == owner[nearest][both]
    assert same_part.mean() > 0.9


def test_parts_cover_exactly_what_is_drawn_and_a_sleeve_hides_the_arm() -> None:
    hand = open_hand(np.random.default_rng(9))
    place = np.array([0.0, 0, 500])
    depth, bare = view(hand, PALM_TO_CAMERA, place)
    np.testing.assert_array_equal(depth > 0, bare > 0)
    assert set(np.unique(bare)) == set(range(22))
    covered_depth, covered = view(hand, PALM_TO_CAMERA, place, sleeve=0.0)
    assert not np.any(covered[60:] == 21) or np.mean(covered == 21) < 0.2 * np.mean(bare == 21)
    assert np.all(
        covered_depth[covered == SLEEVE][depth[covered == SLEEVE] > 0] <= depth[(covered == SLEEVE) & (depth > 0)]
    )
    assert np.mean(covered == SLEEVE) > np.mean(bare == 21)


def test_shapes_vary_around_an_anatomical_hand() -> None:
    rng = np.random.default_rng(10)
    shapes = np.array([sample_shape(rng) for _ in range(400)])
    lengths = shapes[:, SHAPE_MCP + 4] + shapes[:, SHAPE_LENGTH + 3 : SHAPE_LENGTH + 6].sum(1)
    tips = shapes[:, SHAPE_RADIUS + 11]
    assert 175 < np.mean(lengths + tips) < 205  # wrist to the middle finger's tip
    assert 0.05 < np.std(lengths) / np.mean(lengths) < 0.15
    # Fractions of hand length of Buchholz et al. (1992): proximal, middle, distal of the middle finger.
    fractions = shapes[:, SHAPE_LENGTH + 3 : SHAPE_LENGTH + 6].mean(0) / np.mean(lengths + tips)
    np.testing.assert_allclose(fractions, [0.266, 0.170, 0.108], atol=0.02)
