"""Rendered hands in real frames of a place: depth test, own noise kept, all of the place background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.labels import BACKGROUND, HAND, OBJECT
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.place import PlaceConfig, open_place
from graspcut.synth.scenes.config import SceneConfig

SIZE = (96, 72)
HANDS = SceneConfig(nothing=0.0, object_only=0.0, nearest_mm=350.0, farthest_mm=500.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a noisy wall at 0.9 m with a post at 0.2 m in its left part and a hole in its right one."""
    folder = tmp_path_factory.mktemp("place") / "empty"
    rng = np.random.default_rng(0)
    with RecordingWriter(folder, Camera.from_focal_length(*SIZE, 80.0), 1.0) as writer:
        for _ in range(3):
            depth = 900 + rng.integers(-4, 5, SIZE[::-1])
            depth[:, 20:34] = 200
            depth[:, 80:] = 0
            writer.append(depth.astype(np.uint16))
    return folder


@pytest.mark.parametrize("sensor", ["ideal", "stereo"])
def test_the_place_keeps_its_pixels_and_hides_what_is_behind(place: Path, sensor: str) -> None:
    config = SynthConfig(*SIZE, sensor=sensor, scene=HANDS, place=PlaceConfig(str(place)))  # type: ignore[arg-type]
    own = open_place(PlaceConfig(str(place)))
    assert len(own) == 3
    recorded = np.stack([own[i].depth_mm for i in range(3)])
    hands = objects = kept = lost = 0
    for index in range(12):
        frame = FrameGenerator(config, 1)[index]
        depth, labels = frame.frame.depth_mm, frame.labels
        assert frame.frame.camera == Camera.from_focal_length(*SIZE, 80.0) and frame.frame.colour is None
        behind = (labels == BACKGROUND) & (depth > 0)
        source = recorded[np.argmax([(r == depth).mean() for r in recorded])]
        exact = depth == source
        # Background has the depth that was recorded; beside outlines a sensor may show its neighbour's.
        assert exact[behind].mean() > (0.999 if sensor == "ideal" else 0.97)
        rendered = (labels == HAND) | (labels == OBJECT)
        inside = np.zeros_like(rendered)
        inside[:, 22:32] = True  # the post
        assert np.all(depth[rendered & (depth > 0) & inside] < 201)
        assert np.all(depth[rendered & (depth > 0)] < 910)
        hands, objects = hands + int((labels == HAND).sum()), objects + int((labels == OBJECT).sum())
        kept += int(exact.sum())
        lost += int(((depth == 0) & (source > 0) & ~rendered).sum())
    assert hands > 2000 and objects > 100 and kept > 30000
    assert (lost == 0) == (sensor == "ideal")  # a hand throws a shadow on the place, but not with an ideal sensor


def test_an_empty_place_without_hands_comes_out_as_it_was(place: Path) -> None:
    scene = SceneConfig(nothing=1.0)
    config = SynthConfig(*SIZE, sensor="tof", scene=scene, place=PlaceConfig(str(place)))
    own = open_place(config.place or PlaceConfig(""))
    for index in range(4):
        frame = FrameGenerator(config, 2)[index]
        assert any(np.array_equal(frame.frame.depth_mm, own[i].depth_mm) for i in range(3))
        assert not frame.labels.any()


def test_windows_and_other_sizes_are_cut_from_the_place(place: Path) -> None:
    config = SynthConfig(48, 36, sensor="ideal", scene=HANDS, place=PlaceConfig(str(place)), window=(32, 24))
    for index in range(4):
        frame = FrameGenerator(config, 3)[index].frame
        assert frame.depth_mm.shape == (24, 32) and frame.camera is not None
        assert frame.camera.fx == pytest.approx(40.0)
        values = set(np.unique(frame.depth_mm)) - {0.0}
        assert values & set(range(890, 911)) or 200.0 in values or not values


def test_the_command_takes_a_folder_with_a_unit_and_the_frames_own_size(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for index in range(2):
        depth = open_place(PlaceConfig(str(place)))[index].depth_mm
        write_image_atomically(folder / f"{index}.png", (depth * 10).astype(np.uint16))
    with pytest.raises(SystemExit) as end:
        main(
            f"synth --count 2 --out {tmp_path / 'set'} --scene {folder} --depth-unit-mm 0.1 --focal-px 80 "
            "--sensor stereo --workers 1".split()
        )
    assert not end.value.code
    frames = DatasetReader(tmp_path / "set")
    assert frames[0].frame.depth_mm.shape == (72, 96)
    assert frames[0].frame.camera is not None and frames[0].frame.camera.fx == pytest.approx(80.0)


def test_errors_say_what_is_wrong(tmp_path: Path, place: Path) -> None:
    with pytest.raises(FrameError, match="does not exist"):
        FrameGenerator(SynthConfig(place=PlaceConfig(str(tmp_path / "nowhere"))))[0]
    with pytest.raises(ValueError, match="v1 knows no places"):
        SynthConfig(profile="v1", place=PlaceConfig(str(place)))
    empty = tmp_path / "empty.npy"
    np.save(empty, np.zeros((40, 40), np.float32))
    with pytest.raises(FrameError, match="hardly any depth"):
        FrameGenerator(SynthConfig(place=PlaceConfig(str(empty), 1.0)))[0]
