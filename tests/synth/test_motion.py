"""Clips: hands and what they hold move together and smoothly, the rest stands still, ids stay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.rendering.culling import BOUND_CENTRE
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.scenes.motion import Path, moved, sample_paths
from graspcut.synth.scenes.scene import sample_scene

HELD = SceneConfig(room=0.0, people_at_table=0.0, hand_only=0.0, nothing=0.0, object_only=0.0, two_hands=1.0)
CAMERA = Camera.from_focal_length(80, 60, 70.0)


def test_a_path_begins_where_it_was_and_has_no_jumps() -> None:
    for seed in range(10):
        path = Path.sample(np.random.default_rng(seed))
        rotation, translation = path.at(0.0)
        np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(translation, 0.0, atol=1e-9)
        places = np.array([path.at(k / 30)[1] for k in range(90)])
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 60.0
        turned = path.at(1.3)[0]
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turned) == pytest.approx(1.0)


def test_a_hand_moves_with_what_it_holds_and_nothing_else_does() -> None:
    several = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng, CAMERA, HELD)
        later = moved(scene, sample_paths(rng, scene), 0.7)
        several += len(scene.bodies) > 1
        still_primitives = np.ones(len(scene.geometry.primitives), bool)
        still_objects = np.ones(len(scene.geometry.objects), bool)
        for number, body in enumerate(scene.bodies):
            still_primitives[body.primitives], still_objects[body.objects] = False, False
            a, b = scene.hands[number].joints_mm, later.hands[number].joints_mm
            if body.objects.stop > body.objects.start:
                columns = slice(BOUND_CENTRE, BOUND_CENTRE + 3)
                a = np.concatenate([a, scene.geometry.objects[body.objects, columns]])
                b = np.concatenate([b, later.geometry.objects[body.objects, columns]])
            distance = np.linalg.norm(a[:, None] - a[None], axis=2)
            np.testing.assert_allclose(np.linalg.norm(b[:, None] - b[None], axis=2), distance, atol=1e-6)
            assert np.linalg.norm(a - b, axis=1).max() > 0.5
        np.testing.assert_array_equal(
            later.geometry.primitives[still_primitives], scene.geometry.primitives[still_primitives]
        )
        np.testing.assert_array_equal(later.geometry.objects[still_objects], scene.geometry.objects[still_objects])
    assert several >= 1


def test_frames_of_a_clip_keep_ids_and_follow_time() -> None:
    config = SynthConfig(width=80, height=60, sensor="sr300", colour=False, scene=HELD, clip_frames=4)
    frames = [FrameGenerator(config, 3)[index] for index in range(8)]
    first, second = frames[:4], frames[4:]
    for clip in (first, second):
        assert all(frame.instance_table == clip[0].instance_table for frame in clip)
        assert all(frame.frame.camera == clip[0].frame.camera for frame in clip)
        steps = [np.abs(b.joints_mm - a.joints_mm).max() for a, b in itertools.pairwise(clip)]
        assert min(steps) > 0.0 and max(steps) < 80.0
        assert not np.array_equal(clip[0].frame.depth_mm, clip[1].frame.depth_mm)
    assert first[0].instance_table != second[0].instance_table or first[0].joints_mm.shape != second[0].joints_mm.shape
    times = [frame.frame.timestamp_s for frame in frames]
    assert times == pytest.approx([k / 30 for k in range(8)])
    with pytest.raises(ValueError, match="1 for profile v1"):
        SynthConfig(profile="v1", clip_frames=5)
