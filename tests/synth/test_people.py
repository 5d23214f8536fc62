"""People at a table: arms that fit together, hands on the table and not in it, things about that are nobody's."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.labels import HAND, OBJECT
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.objects.building_blocks import ball, box
from graspcut.synth.objects.settling import fall_mm
from graspcut.synth.scenes.builder import SceneBuilder
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.scenes.people import add_arm, hand_rotation, reach, sample_person
from graspcut.synth.scenes.scene import sample_scene
from graspcut.synth.scenes.world import UP, Viewpoint, World, cross, unit

CAMERA = Camera.from_focal_length(160, 120, 120.0)
PEOPLE = SceneConfig(room=0.0, people_at_table=1.0)


def test_cross_is_numpys() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(cross(a, b), np.cross(a, b), rtol=1e-12)


def test_an_arm_reaches_its_wrist_with_bones_of_their_length() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        shoulder, wish, pole = rng.normal(size=(3, 3)) * 250
        elbow, wrist = reach(shoulder, wish, 295.0, 280.0, pole)
        assert np.linalg.norm(elbow - shoulder) == pytest.approx(295.0)
        assert np.linalg.norm(elbow - wrist) == pytest.approx(280.0)
        distance = np.linalg.norm(wish - shoulder)
        if 16.0 < distance < 0.98 * 575:
            np.testing.assert_allclose(wrist, wish, atol=1e-6)
            # The elbow is on the pole's side of the line from shoulder to wrist.
            axis = unit(wrist - shoulder)
            assert (elbow - shoulder) @ (pole - axis * (pole @ axis)) >= 0


@pytest.mark.parametrize("right", [False, True])
def test_a_hand_is_turned_to_its_forearm_and_mirrored_for_the_right(right: bool) -> None:
    rng = np.random.default_rng(2)
    arm_in_hand, arm, back = unit(rng.normal(size=3)), unit(rng.normal(size=3)), unit(rng.normal(size=3))
    matrix = hand_rotation(arm_in_hand, np.array([0.0, 0.0, 1.0]), arm, back, right)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(-1.0 if right else 1.0)
    np.testing.assert_allclose(matrix @ arm_in_hand, arm, atol=1e-12)
    # Of all such turns none brings the back of the hand nearer to where it should face.
    turned = matrix @ np.array([0.0, 0.0, 1.0])
    across = unit(back - arm * (back @ arm))
    assert turned @ across == pytest.approx(np.sqrt(1 - (turned @ arm) ** 2))


@pytest.mark.parametrize("normal", [[0.0, 0.0, 1.0], [0.6, -0.8, 0.0], [1.0, 0.0, 0.0]])
def test_an_object_falls_until_it_touches(normal: list[float]) -> None:
    n = np.array(normal)
    for rows, bottom in (([ball(30.0)], 30.0), ([ball(10.0, (25.0, 0.0, 0.0)), ball(10.0)], None)):
        table = np.array(rows, np.float64)
        bound = 60.0
        centre = np.array([5.0, -3.0, 400.0])
        table[:, 11:14] += centre
        lowest = bottom if bottom is not None else max(10.0, 10.0 - 25.0 * float(n[0]))
        # Points are a sixth of the bound apart: a ball's lowest point may lie between them.
        assert fall_mm(table, centre, bound, n) == pytest.approx(bound - lowest, abs=2.5)
    block = np.array([box(40.0, 20.0, 40.0)], np.float64)
    assert fall_mm(block, np.zeros(3), 60.0, np.array([0.0, 1.0, 0.0])) == pytest.approx(40.0, abs=0.6)


def test_resting_hands_touch_the_table_and_no_hand_goes_through_it() -> None:
    rested = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        builder = SceneBuilder(rng, PEOPLE, CAMERA)
        view = Viewpoint.looking_at(np.array([0.0, -1200.0, -300.0]), np.zeros(3))
        world = World(builder, view)
        person = sample_person(rng, np.zeros(3), np.pi)
        activity = ("rest", "hover", "point", "hold")[seed % 4]
        if not add_arm(world, person, 0, 1.0, np.array([150.0, 40.0, 250.0]), activity):
            continue
        hand = builder.hands[0]
        assert not hand.right  # side 1 is the left arm
        points = hand.joints_mm @ view.rotation + view.position
        lowest = float((points @ UP - hand.radii_mm).min())
        assert lowest > -1.0
        if activity == "rest":
            rested += lowest < 3.0 or float(points[0] @ UP) < 80.0
    assert rested >= 5


def test_all_hands_are_in_the_table_and_things_about_are_background() -> None:
    hands = objects = things = 0
    for seed in range(30):
        scene = sample_scene(np.random.default_rng(seed), CAMERA, PEOPLE)
        labels = [instance.label for instance in scene.surfaces.instances]
        hands += labels.count(HAND)
        objects += labels.count(OBJECT)
        assert len(scene.hands) == labels.count(HAND)
        things += len(scene.geometry.objects) - labels.count(OBJECT)
    assert hands >= 40 and objects >= 8
    assert things >= 0.7 * objects  # things lie around as often as they are held


def test_frames_of_people_show_hands() -> None:
    generator = FrameGenerator(SynthConfig(width=80, height=60, sensor="ideal", colour=False, scene=PEOPLE), 3)
    seen = sum(bool((generator[i].labels == HAND).sum() > 10) for i in range(20))
    assert seen >= 14
