"""What a run over files says about them: units that are doubtful, no data, focal lengths, what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.cli.segment import _what_was_seen
from graspcut.frames.camera import Camera
from graspcut.frames.camera_files import find_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.segmentation.batch import segment_folder
from graspcut.segmentation.predictor import _depth_and_camera


class Labels:
    """What a segmenter returns."""

    def __init__(self, labels: NDArray[np.uint8]) -> None:
        self.labels = labels


class Near:
    """Calls everything nearer than 600 mm a hand, and keeps the cameras."""

    def __init__(self) -> None:
        self.cameras: list[Camera | None] = []

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
        self.cameras.append(camera)
        return Labels(((depth_mm > 0) & (depth_mm < 600)).astype(np.uint8))


def depth(scale: float = 1.0) -> NDArray[np.float64]:
    """424x512, the size of a Kinect v2: a wall, and something at arm's length."""
    image = np.full((424, 512), 1200.0)
    image[100:200, 100:200] = 500
    return image * scale


def run(inputs: Path, out: Path, **options: Any) -> Any:
    return segment_folder([inputs], out, options.pop("segmenter", Near()), model_name="near", **options)


def test_notes_are_said_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        values = depth()
        values[:number, 0] = np.nan
        np.save(folder / f"{number}.npy", values.astype(np.float32))
    write_image_atomically(folder / "view.png", np.zeros((424, 512, 3), np.uint8))
    report = run(folder, tmp_path / "out")
    text = "\n".join(report.notes)
    assert report.failures == ()
    assert text.startswith("left out: 1 colour picture")
    assert "taken as millimetres (the first of 3 frames" in text
    assert "1 pixel (0.0%) with NaN or infinity counted as no data (the first of 2 frames" in text
    assert "0.745 times the width, 381 pixels" in text and "kinect_v2 (365)" not in text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["notes"] == list(report.notes)
    row = summary["frames"][1]
    assert (row["nearest_mm"], row["farthest_mm"], row["focal_px"]) == (500, 1200, 381.44)
    assert row["focal_is_assumed"] is True
    assert summary["inputs"]["1"]["file"] == str((folder / "1.npy").resolve())
    assert run(folder, tmp_path / "out").notes == report.notes
    assert _what_was_seen(report.rows) == "depth 0.50 .. 1.20 m; 3 of 3 frames with a hand, 0 with an object"


def test_a_doubtful_unit_is_a_note_and_an_impossible_one_a_failure(tmp_path: Path) -> None:
    write_image_atomically(tmp_path / "far.png", depth(5).astype(np.uint16))
    doubtful = run(tmp_path / "far.png", tmp_path / "a", depth_unit_mm=1.0)
    assert doubtful.done == 1 and "no hand camera sees that" in doubtful.notes[0]
    assert "right unit may be 0.2" in doubtful.notes[0]
    refused = run(tmp_path / "far.png", tmp_path / "b", depth_unit_mm=1000.0)
    assert refused.done == 0 and "far.png: depth is" in refused.failures[0][1]


def test_a_given_camera_is_used_and_part_of_the_settings(tmp_path: Path) -> None:
    write_image_atomically(tmp_path / "d.png", depth().astype(np.uint16))
    (tmp_path / "K.txt").write_text("365 0 256\n0 366 212\n0 0 1\n")
    segmenter = Near()
    for name, camera in (("file", find_camera(str(tmp_path / "K.txt"))), ("preset", find_camera("kinect_v2"))):
        report = run(tmp_path / "d.png", tmp_path / name, depth_unit_mm=1.0, camera=camera, segmenter=segmenter)
        assert report.notes == ()
    first, second = segmenter.cameras
    assert first == Camera(365, 366, 256, 212, 512, 424) and second == Camera.kinect_v2()
    with pytest.raises(FrameError, match="made with"):
        run(tmp_path / "d.png", tmp_path / "file", depth_unit_mm=1.0, camera=(300, 300, 256, 212))
    with pytest.raises(ValueError, match="no such file, and no camera of this name"):
        find_camera("kinect_v9")


def test_inputs_replaced_in_a_folder_are_segmented_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        write_image_atomically(folder / f"{number}.png", depth().astype(np.uint16))
    run(folder, tmp_path / "out", depth_unit_mm=1.0)
    write_image_atomically(folder / "1.png", (depth() + 10).astype(np.uint16))
    report = run(folder, tmp_path / "out", depth_unit_mm=1.0)
    assert (report.done, report.skipped, report.renewed) == (1, 1, 1)


def test_a_frame_whose_assumed_camera_is_absurd_is_a_failure(tmp_path: Path) -> None:
    write_image_atomically(tmp_path / "line.png", np.full((2000, 1), 500, np.uint16))
    for focal_px in (0.5, None):
        with pytest.raises(FrameError, match="field of view"):
            values = np.full((2000, 1), 500, np.float32)
            _depth_and_camera(values, None if focal_px is None else Camera.from_focal_length(1, 2000, focal_px))


def test_units_of_arrays_are_doubted_and_metres_refused() -> None:
    assert _depth_and_camera(depth(), None)[2] == []
    (doubt,) = _depth_and_camera(depth(5), None)[2]
    assert "no hand camera sees that" in doubt and "0.2" in doubt
    with pytest.raises(FrameError, match="looks like metres"):
        _depth_and_camera(depth(0.001), None)
    matrix = np.array([[365.0, 0, 256], [0, 366, 212], [0, 0, 1]])
    for camera in ((365, 366, 256, 212), matrix):
        assert _depth_and_camera(depth(), camera)[1] == Camera(365, 366, 256, 212, 512, 424)
