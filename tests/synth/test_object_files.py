"""Objects from mesh files: drawn like the closed forms, grasped by boxes that fill them, never mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader
from graspcut.labels import OBJECT
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.objects.files import ObjectFile, drawn_anew, read_object
from graspcut.synth.objects.meshes import Mesh
from graspcut.synth.objects.signed_distance import ROW, object_distance
from graspcut.synth.rendering.culling import OBJECT_COLUMNS
from graspcut.synth.rendering.primitives import PRIMITIVE_ROW, plane_row, round_cone_row
from graspcut.synth.rendering.ray_casting import SceneGeometry, render
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.scenes.scene import sample_scene

CAMERA = Camera.from_focal_length(120, 90, 110.0)
NOTHING = np.zeros((0, PRIMITIVE_ROW)), np.zeros((0, ROW)), np.zeros((0, OBJECT_COLUMNS))
SEEN = SceneConfig(
    room=0.0, people_at_table=0.0, hand_only=0.0, object_only=0.0, nothing=0.0, own_objects=1.0, background_none=1.0
)


def mesh_of(body: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(body.vertices), np.asarray(body.faces, np.int32), np.zeros(len(body.faces), np.int32))


def bracket() -> trimesh.Trimesh:
    """An L with a left and a right: a long bar with a short one to one side of its end and one upwards."""
    bar = trimesh.creation.box((12.0, 70.0, 8.0))
    arm = trimesh.creation.box((30.0, 12.0, 8.0))
    arm.apply_translation((15.0, 29.0, 0.0))
    joined = trimesh.util.concatenate([bar, arm])
    assert isinstance(joined, trimesh.Trimesh)
    return joined


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    bracket().export(folder / "bracket.stl")
    trimesh.creation.cylinder(0.03, 0.1, sections=48).export(folder / "can.glb")
    trimesh.creation.icosphere(subdivisions=3, radius=36.0).export(folder / "ball.obj")
    return folder


def test_a_ball_of_triangles_looks_like_a_ball() -> None:
    centre = np.array([20.0, -10.0, 300.0])
    ball = mesh_of(trimesh.creation.icosphere(subdivisions=5, radius=40.0)).transformed(np.eye(3), centre, 3)
    depth, surface = render(SceneGeometry(*NOTHING, (ball,)), CAMERA)
    exact = round_cone_row(3, centre, centre, 40.0, 39.9)[None]
    expected, expected_surface = render(SceneGeometry(exact, *NOTHING[1:]), CAMERA)
    both = (surface == 3) & (expected_surface == 3)
    assert both.sum() > 500 and (surface != expected_surface).sum() <= 0.02 * both.sum()
    assert np.abs(depth - expected)[both].mean() < 0.05
    moved, _ = render(SceneGeometry(*NOTHING, (ball,)).translated(np.array([5.0, 0.0, 10.0])), CAMERA)
    ball_moved = ball.transformed(np.eye(3), np.array([5.0, 0.0, 10.0]))
    np.testing.assert_array_equal(moved, render(SceneGeometry(*NOTHING, (ball_moved,)), CAMERA)[0])


def test_meshes_hide_and_are_hidden_and_have_no_cracks() -> None:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    cube = mesh_of(trimesh.creation.box((60.0, 60.0, 60.0))).transformed(q, np.array([0.0, 0.0, 320.0]), 2)
    wall = plane_row(1, np.array([0.0, 0.0, -1.0]), -320.0)[None]
    depth, surface = render(SceneGeometry(wall, *NOTHING[1:], (cube,)), CAMERA)
    assert set(np.unique(surface)) == {1, 2}
    assert np.all(depth[surface == 2] <= 320.0) and np.all(depth[surface == 1] == 320.0)
    alone = render(SceneGeometry(*NOTHING, (cube,)), CAMERA)[0] > 0
    filled = alone.copy()
    for v in range(alone.shape[0]):
        columns = np.flatnonzero(alone[v])
        if columns.size:
            filled[v, columns[0] : columns[-1] + 1] = True
    np.testing.assert_array_equal(alone, filled)  # a cube's outline is convex
    behind = cube.transformed(np.eye(3), np.array([0.0, 0.0, -700.0]))
    assert not render(SceneGeometry(*NOTHING, (behind,)), CAMERA)[0].any()


def test_boxes_fill_the_mesh_to_a_few_millimetres(files: Path) -> None:
    can = read_object(ObjectFile(str(files / "can.glb")))  # metres, as the format says
    assert can.mesh is not None and len(can.rows) <= 240
    assert np.ptp(can.mesh.vertices, axis=0)[1] == pytest.approx(100.0)
    rng = np.random.default_rng(1)
    for point in rng.uniform(-60, 60, (300, 3)):
        radial = np.hypot(point[0], point[2]) - 30.0
        along = abs(point[1]) - 50.0
        exact = min(max(radial, along), 0.0) + np.hypot(max(radial, 0.0), max(along, 0.0))
        if abs(exact) > 5.0:
            found = object_distance(can.rows, *point)
            assert abs(found - exact) < 4.5 if exact > 0 else found < 3.0
    bar = read_object(ObjectFile(str(files / "bracket.stl"), 1.0))
    assert np.ptp(bar.mesh.vertices, axis=0)[1] > np.ptp(bar.mesh.vertices, axis=0)[2]  # type: ignore[union-attr]
    assert bar.flat and bar.kind == "bracket"


def test_mirrored_objects_are_mirrored_whole(files: Path) -> None:
    held = read_object(ObjectFile(str(files / "bracket.stl"), 1.0))
    mirrored = drawn_anew(held, np.random.default_rng(0), mirrored=True)
    assert mirrored.mesh is not None and held.mesh is not None and mirrored.mirrored
    np.testing.assert_allclose(mirrored.mesh.vertices, held.mesh.vertices * [-1, 1, 1])
    for point in np.random.default_rng(1).uniform(-40, 40, (40, 3)):
        there = object_distance(held.rows, *point)
        assert object_distance(mirrored.rows, -point[0], point[1], point[2]) == pytest.approx(there)


def test_what_a_hand_shows_is_the_object_and_not_its_mirror_image(files: Path) -> None:
    own = (read_object(ObjectFile(str(files / "bracket.stl"), 1.0)),)
    original = own[0].mesh
    assert original is not None
    rights = 0
    for seed in range(12):
        scene = sample_scene(np.random.default_rng(seed), CAMERA, SEEN, own_objects=own)
        for mesh, hand in zip(scene.geometry.meshes, scene.hands, strict=False):
            rights += hand.right
            # The rotation that maps the file's vertices to the scene's is proper.
            a = original.vertices - original.vertices.mean(axis=0)
            b = mesh.vertices - mesh.vertices.mean(axis=0)
            found, *_ = np.linalg.lstsq(a, b, rcond=None)
            np.testing.assert_allclose(a @ found, b, atol=1e-6)
            assert np.linalg.det(found) == pytest.approx(1.0)
    assert rights >= 2


def test_frames_show_the_users_object_held(files: Path) -> None:
    config = SynthConfig(
        width=80,
        height=60,
        sensor="ideal",
        colour=False,
        scene=SEEN,
        objects=(ObjectFile(str(files / "can.glb")), ObjectFile(str(files / "ball.obj"), 1.0)),
    )
    generator = FrameGenerator(config, 2)
    names: set[str] = set()
    pixels = 0
    for index in range(10):
        frame = generator[index]
        names |= {instance.name for instance in frame.instance_table if instance.label == OBJECT}
        pixels += int((frame.labels == OBJECT).sum())
    assert names == {"can", "ball"} and pixels > 300


def test_the_command_takes_meshes(files: Path, tmp_path: Path) -> None:
    command = f"synth --count 2 --size 64x48 --workers 1 --out {tmp_path / 'set'} --object {files / 'can.glb'}"
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--object", str(files / "bracket.stl"), "--object-unit-mm", "1"])
    # The can would be 0.1 mm long in millimetres.
    assert end.value.code
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert not end.value.code and len(DatasetReader(tmp_path / "set")) == 2


def test_errors_say_what_came_and_how_to_mend_it(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not state its unit, and the object is 7"):
        read_object(ObjectFile(str(files / "bracket.stl")))
    with pytest.raises(ValueError, match="would be 70000 mm long"):
        read_object(ObjectFile(str(files / "bracket.stl"), 1000.0))
    with pytest.raises(ValueError, match="expected a mesh"):
        read_object(ObjectFile("thing.step", 1.0))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_object(ObjectFile(str(tmp_path / "gone.stl"), 1.0))
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"no mesh")
    with pytest.raises(ValueError, match="cannot be read as a mesh"):
        read_object(ObjectFile(str(broken)))
    with pytest.raises(ValueError, match="v1 knows no objects"):
        SynthConfig(profile="v1", objects=(ObjectFile("a.stl", 1.0),))
