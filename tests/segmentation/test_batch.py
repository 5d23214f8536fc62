"""Segmenting a folder: resume, bad files, names, refusals. The segmenter here is a threshold, so results are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_image, write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.segmentation.batch import BatchReport, segment_folder


@dataclass
class Labels:
    """A result."""

    labels: NDArray[np.uint8]


class Threshold:
    """Labels valid pixels nearer than 0.5 m hand, nearer than 0.6 m object; remembers the cameras it was given."""

    def __init__(self) -> None:
        self.cameras: list[Camera | None] = []

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
        self.cameras.append(camera)
        near = (depth_mm > 0) & (depth_mm < 600)
        return Labels((near * np.where(depth_mm < 500, 1, 2)).astype(np.uint8))


def write_depth(path: Path, base_mm: int, shape: tuple[int, int] = (9, 13)) -> NDArray[np.uint16]:
    """A slope over all three labels, with a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = (base_mm + 20 * np.arange(shape[0] * shape[1]).reshape(shape)).astype(np.uint16)
    depth[0, :4] = 0
    write_image_atomically(path, depth)
    return depth


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    """Three frames of two sizes."""
    for number, shape in enumerate([(9, 13), (9, 13), (7, 8)]):
        write_depth(tmp_path / "in" / f"{number:04d}.png", 300 + 50 * number, shape)
    return tmp_path / "in"


def run(
    inputs: list[Path],
    out: Path,
    segmenter: Threshold,
    *,
    model_name: str = "threshold",
    unit: float | None = 1,
    focal_px: float | None = None,
    overlay: bool = False,
) -> BatchReport:
    """Calls the function under test."""
    return segment_folder(
        inputs, out, segmenter, model_name=model_name, depth_unit_mm=unit, focal_px=focal_px, overlay=overlay
    )


def test_label_maps_and_summary(depth_folder: Path, tmp_path: Path) -> None:
    report = run([depth_folder], tmp_path / "out", Threshold())
    assert (report.segmented, report.skipped, report.failures) == (3, 0, ())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["complete"] is True
    assert [row["name"] for row in summary["frames"]] == ["0000", "0001", "0002"]
    for row in summary["frames"]:
        labels = read_image(tmp_path / "out" / f"{row['name']}.png")
        depth = read_image(depth_folder / f"{row['name']}.png")
        assert labels.dtype == np.uint8 and labels.shape == depth.shape == (row["height"], row["width"])
        np.testing.assert_array_equal(labels == 1, (depth > 0) & (depth < 500))
        np.testing.assert_array_equal(labels == 2, (depth >= 500) & (depth < 600))
        assert row["hand_pixels"] == np.count_nonzero(labels == 1) > 0
        assert row["object_pixels"] == np.count_nonzero(labels == 2) > 0
        assert row["milliseconds"] >= 0


def test_continues_where_it_stopped(depth_folder: Path, tmp_path: Path) -> None:
    class Killed(Threshold):
        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            if len(self.cameras) == 2:
                raise KeyboardInterrupt
            return super().__call__(depth_mm, camera)

    with pytest.raises(KeyboardInterrupt):
        run([depth_folder], tmp_path / "out", Killed())
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"] is False
    second = Threshold()
    report = run([depth_folder], tmp_path / "out", second)
    assert (report.segmented, report.skipped) == (1, 2)
    assert len(second.cameras) == 1
    again = run([depth_folder], tmp_path / "whole", Threshold())
    assert again.segmented == 3
    continued, whole = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("out", "whole"))
    for row in (*continued["frames"], *whole["frames"]):
        del row["milliseconds"]
    assert continued == whole


def test_bad_files_are_reported_and_the_others_done(depth_folder: Path, tmp_path: Path) -> None:
    whole = (depth_folder / "0001.png").read_bytes()
    (depth_folder / "0001.png").write_bytes(whole[:-30])
    write_image_atomically(depth_folder / "0003.png", np.zeros((5, 5, 3), dtype=np.uint8))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    report = run([tmp_path / "broken.npz", depth_folder, tmp_path / "missing"], tmp_path / "out", Threshold())
    assert report.segmented == 2
    # An input that is not there is named by its path, a bad frame by its name.
    assert {name for name, _ in report.failures} == {"broken", str(tmp_path / "missing"), "0001", "0003"}
    assert all(message for _, message in report.failures)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["complete"] is False
    assert [entry["name"] for entry in summary["failures"]] == [name for name, _ in report.failures]
    (depth_folder / "0001.png").write_bytes(whole)
    (depth_folder / "0003.png").unlink()
    assert run([depth_folder], tmp_path / "out", Threshold()).segmented == 1


def test_nothing_usable_raises(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="missing"):
        run([tmp_path / "missing"], tmp_path / "out", Threshold())
    assert not (tmp_path / "out").exists()


def test_unknown_unit_is_reported_with_the_option(depth_folder: Path, tmp_path: Path) -> None:
    report = run([depth_folder], tmp_path / "out", Threshold(), unit=None)
    assert report.segmented == 0 and len(report.failures) == 3
    assert "--depth-unit-mm" in report.failures[0][1]


def test_overlays_are_added_later(depth_folder: Path, tmp_path: Path) -> None:
    run([depth_folder], tmp_path / "out", Threshold())
    report = run([depth_folder], tmp_path / "out", Threshold(), overlay=True)
    assert report.segmented == 3
    assert read_image(tmp_path / "out" / "overlay" / "0002.png").shape == (7, 8, 3)
    assert run([depth_folder], tmp_path / "out", Threshold(), overlay=True).skipped == 3


def test_focal_length_is_for_frames_without_camera(depth_folder: Path, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", Camera.sr300(13, 9), 1.0) as writer:
        writer.append(np.full((9, 13), 450, dtype=np.uint16), None, 0.0)
    segmenter = Threshold()
    run([depth_folder, tmp_path / "rec"], tmp_path / "out", segmenter, focal_px=11.5)
    cameras = [camera for camera in segmenter.cameras if camera is not None]
    assert [(camera.fx, camera.width, camera.height) for camera in cameras[:3]] == [
        (11.5, 13, 9), (11.5, 13, 9), (11.5, 8, 7),
    ]  # fmt: skip
    assert cameras[3] == Camera.sr300(13, 9)
    without = Threshold()
    run([depth_folder], tmp_path / "plain", without)
    assert without.cameras == [None, None, None]
    with pytest.raises(FrameError, match="focal"):
        run([depth_folder], tmp_path / "x", Threshold(), focal_px=0)


def test_equal_names_of_two_folders_stay_apart(depth_folder: Path, tmp_path: Path) -> None:
    write_depth(tmp_path / "other" / "0000.png", 400)
    run([depth_folder, tmp_path / "other"], tmp_path / "out", Threshold())
    first, second = (read_image(tmp_path / "out" / f"{name}_0000.png") for name in ("in", "other"))
    assert np.count_nonzero(first == 1) > np.count_nonzero(second == 1) > 0


def test_results_of_different_runs_are_not_mixed(depth_folder: Path, tmp_path: Path) -> None:
    run([depth_folder], tmp_path / "out", Threshold())
    with pytest.raises(FrameError, match="model threshold"):
        run([depth_folder], tmp_path / "out", Threshold(), model_name="another")
    with pytest.raises(FrameError, match=r"depth_unit_mm 1"):
        run([depth_folder], tmp_path / "out", Threshold(), unit=0.125)
    write_depth(tmp_path / "other" / "0000.png", 480)
    with pytest.raises(FrameError, match="other"):
        run([tmp_path / "other"], tmp_path / "out", Threshold())
    write_depth(depth_folder / "0009.png", 400)
    assert run([depth_folder], tmp_path / "out", Threshold()).segmented == 1


def test_inputs_are_never_overwritten(depth_folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in depth_folder.iterdir()}
    for inputs, out in (
        ([depth_folder], depth_folder),
        ([depth_folder / "0000.png"], depth_folder),
    ):
        with pytest.raises(FrameError, match="--out"):
            run(inputs, out, Threshold())
    (tmp_path / "results").mkdir()
    write_image_atomically(tmp_path / "results" / "0001.png", np.zeros((3, 3), dtype=np.uint8))
    with pytest.raises(FrameError, match=r"summary\.json"):
        run([depth_folder], tmp_path / "results", Threshold())
    assert before == {path.name: path.read_bytes() for path in depth_folder.iterdir()}


def test_settings_of_a_call_without_results_bind_nobody(depth_folder: Path, tmp_path: Path) -> None:
    failed = segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold")
    assert failed.segmented == 0 and len(failed.failures) == 3
    report = segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold", depth_unit_mm=1.0)
    assert (report.segmented, report.failures) == (3, ())
    with pytest.raises(FrameError, match="holds results made with depth_unit_mm"):
        segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold", depth_unit_mm=2.0)
