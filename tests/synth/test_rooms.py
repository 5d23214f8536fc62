"""Rooms without a hand: nothing labelled, at every distance, seen from where the viewpoint says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.rendering.ray_casting import render
from graspcut.synth.scenes.builder import SceneBuilder
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.scenes.furniture import ON_A_TABLE, ON_THE_FLOOR
from graspcut.synth.scenes.world import UP, Piece, Viewpoint, World

CAMERA = Camera.from_focal_length(80, 60, 60.0)
ROOMS = SynthConfig(width=80, height=60, sensor="ideal", colour=False, scene=SceneConfig(room=1.0))


def test_a_room_has_no_hand_and_no_label_and_reaches_from_near_to_far() -> None:
    generator = FrameGenerator(ROOMS, 1)
    nearest = []
    for index in range(40):
        frame = generator[index]
        assert not frame.labels.any() and frame.instances is not None and not frame.instances.any()
        assert frame.instance_table == () and frame.joints_mm.shape == (0, 21, 3)
        depth = frame.frame.depth_mm[frame.frame.depth_mm > 0]
        nearest.append(float(np.median(depth)) if depth.size else np.inf)
    assert min(nearest) < 700 and sum(2000 < z < np.inf for z in nearest) >= 4
    assert sum(np.isfinite(nearest)) >= 38  # hardly any room is empty


def test_a_share_of_all_frames_are_rooms_and_the_first_version_has_none() -> None:
    config = SynthConfig(width=32, height=24, sensor="ideal", colour=False)
    generator = FrameGenerator(config, 2)
    without = sum(not generator[i].hands for i in range(80))
    # A quarter, and the few close-ups without a hand: four standard deviations are 0.2.
    assert 0.1 * 80 < without < 0.5 * 80


@pytest.mark.parametrize("pitch", [0.0, 0.6, np.pi / 2])
def test_a_floor_lies_where_the_viewpoint_says(pitch: float) -> None:
    builder = SceneBuilder(np.random.default_rng(0), SceneConfig(), CAMERA)
    view = Viewpoint.at_height(900.0, pitch, 0.1)
    World(builder, view).level(1, 0.0)
    depth, surface = render(builder.finish().geometry, CAMERA)
    seen = 0
    for v, u in ((5, 7), (30, 40), (55, 70)):
        point = view.on_level(CAMERA, u, v, 0.0)
        z = view.to_camera(point)[2] if point is not None else 0.0
        assert (depth[v, u] > 0) == (z > 0)
        if z > 0:
            seen += 1
            assert point is not None and abs(float(point @ UP)) < 1e-6
            assert depth[v, u] == pytest.approx(z, rel=1e-5) and surface[v, u] == 1
    assert seen >= 1


@pytest.mark.parametrize("build", list(dict.fromkeys(ON_THE_FLOOR + ON_A_TABLE)))
def test_every_piece_stands_on_its_support_and_is_seen_from_all_sides(build: Callable[[Piece], None]) -> None:
    for seed in range(3):
        shares = []
        for yaw in (0.0, 2.0, 4.0):
            builder = SceneBuilder(np.random.default_rng(seed), SceneConfig(), CAMERA)
            view = Viewpoint.looking_at(np.array([0.0, -900.0, -1800.0]), np.array([0.0, -200.0, 0.0]))
            world = World(builder, view)
            build(world.piece(np.zeros(3), yaw))
            depth, _ = render(builder.finish().geometry, CAMERA)
            points = CAMERA.deproject(depth)[depth > 0] @ view.rotation + view.position
            shares.append(float((depth > 0).mean()))
            # Nothing far below the support, except round ends of rods that stand on it.
            assert len(points) and (points @ UP).min() > -120.0
        assert min(shares) > 0.001
