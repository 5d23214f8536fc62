"""Every kind of input opens as the same thing, and wrong ones are named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.recording import RecordingWriter
from graspcut.frames.sources import find_frames, open_source

DEPTH = np.arange(400, 412, dtype=np.uint16).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
CAMERA = Camera(4, 4, 2, 1, 4, 3)


def make(folder: Path, kind: str) -> Path:
    """One or two frames of raw depth DEPTH and DEPTH + 1, unit half a millimetre where the format states one."""
    if kind == "png":
        write_image_atomically(folder / "a.png", DEPTH)
        return folder / "a.png"
    if kind == "tiff":
        import cv2

        cv2.imwrite(str(folder / "a.tiff"), DEPTH)
        return folder / "a.tiff"
    if kind == "npy":
        np.save(folder / "a.npy", DEPTH)
        return folder / "a.npy"
    if kind == "npy stack":
        # Wider than four columns, which would be a colour image.
        np.save(folder / "s.npy", np.stack([np.tile(DEPTH, 2), np.tile(DEPTH, 2) + 1]))
        return folder / "s.npy"
    if kind == "npz":
        np.savez(folder / "a.npz", depth=DEPTH, depth_unit_mm=0.5, colour=COLOUR)
        return folder / "a.npz"
    if kind == "npz mm":
        np.savez(folder / "a.npz", depth_mm=DEPTH * 0.5)
        return folder / "a.npz"
    if kind == "folder":
        write_image_atomically(folder / "1.png", DEPTH + 1)
        write_image_atomically(folder / "0.png", DEPTH)
        (folder / "notes.txt").write_text("no frame")
        return folder
    if kind == "recording":
        with RecordingWriter(folder, CAMERA, 0.5) as recorder:
            recorder.append(DEPTH)
            recorder.append(DEPTH + 1)
        return folder
    writer = DatasetWriter(folder, depth_unit_mm=0.5, description={})
    for index in range(2):
        frame = Frame(((DEPTH + index) * 0.5).astype(np.float32), CAMERA)
        writer.write(index, LabelledFrame(frame, np.zeros((3, 4), np.uint8)))
    writer.finish(2)
    return folder


@pytest.mark.parametrize(
    ("kind", "unit", "names"),
    [
        ("png", 0.5, ["a"]),
        ("tiff", 0.5, ["a"]),
        ("npy", 0.5, ["a"]),
        ("npy stack", 0.5, ["s_000000", "s_000001"]),
        ("npz", None, ["a"]),
        ("npz mm", None, ["a"]),
        ("folder", 0.5, ["0", "1"]),
        ("recording", None, ["000000", "000001"]),
        ("dataset", None, ["000000", "000001"]),
    ],
)
def test_every_kind_gives_the_same_millimetres(tmp_path: Path, kind: str, unit: float | None, names: list[str]) -> None:
    source = open_source(make(tmp_path, kind), depth_unit_mm=unit)
    assert list(source.names) == names
    assert len(source) == len(names)
    for index, frame in enumerate(source):
        assert frame.name == names[index]
        assert np.array_equal(frame.depth_mm[:, :4], ((DEPTH + index) * 0.5).astype(np.float32))
    with pytest.raises(IndexError):
        source[len(names)]


@pytest.mark.parametrize("kind", ["png", "tiff", "npy", "npy stack", "folder"])
def test_whole_numbers_without_a_unit_name_the_option(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FrameError, match="--depth-unit-mm") as caught:
        open_source(make(tmp_path, kind))[0]
    assert str(tmp_path) in str(caught.value)


def test_camera_is_given_where_the_source_has_none(tmp_path: Path) -> None:
    assert open_source(make(tmp_path, "png"), depth_unit_mm=1, camera=CAMERA)[0].camera == CAMERA
    other = Camera(9, 9, 2, 1, 4, 3)
    for kind in ("recording", "dataset"):
        (tmp_path / kind).mkdir()
        assert open_source(make(tmp_path / kind, kind), camera=other)[0].camera == CAMERA
    with RecordingWriter(tmp_path / "uncalibrated", None, 0.5) as recorder:
        recorder.append(DEPTH)
    assert open_source(tmp_path / "uncalibrated")[0].camera is None
    assert open_source(tmp_path / "uncalibrated", camera=other)[0].camera == other


@pytest.mark.parametrize("kind", ["recording", "dataset"])
def test_a_unit_that_contradicts_the_stored_one_is_refused(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    assert len(open_source(tmp_path, depth_unit_mm=0.5)) == 2
    with pytest.raises(FrameError, match="Leave the unit"):
        open_source(tmp_path, depth_unit_mm=1.0)


def test_colour_beside_depth_is_paired_by_name(tmp_path: Path) -> None:
    for number in (0, 2):
        write_image_atomically(tmp_path / f"frame_{number}_depth.png", DEPTH + number)
    write_image_atomically(tmp_path / "frame_0_color.png", COLOUR)
    source = open_source(tmp_path, depth_unit_mm=1)
    assert list(source.names) == ["frame_0_depth", "frame_2_depth"]
    assert np.array_equal(source[0].colour, COLOUR)  # type: ignore[arg-type]
    assert source[1].colour is None


def test_npz_colour_is_read(tmp_path: Path) -> None:
    frame = open_source(make(tmp_path, "npz"))[0]
    assert np.array_equal(frame.colour, COLOUR)  # type: ignore[arg-type]


def test_decimals_in_metres_are_not_taken_as_millimetres(tmp_path: Path) -> None:
    np.save(tmp_path / "metres.npy", np.full((3, 8), 0.5, np.float32))
    with pytest.raises(FrameError, match=r"metres\.npy: .*looks like metres"):
        open_source(tmp_path / "metres.npy")[0]
    assert open_source(tmp_path / "metres.npy", depth_unit_mm=1000)[0].depth_mm[0, 0] == 500


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickled_arrays_are_refused_and_never_run(tmp_path: Path, suffix: str) -> None:
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    path = tmp_path / f"evil{suffix}"
    if suffix == ".npy":
        np.save(path, trap, allow_pickle=True)
    else:
        np.savez(path, depth_mm=trap)
    with pytest.raises(FrameError, match="evil"):
        open_source(path)
    assert not (tmp_path / "sprung").exists()


def test_whole_millimetres_in_an_archive_need_no_unit(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", depth_mm=DEPTH)
    assert np.array_equal(open_source(tmp_path / "whole.npz")[0].depth_mm, DEPTH.astype(np.float32))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png"])
def test_cut_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path, suffix[1:])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FrameError, match=rf"a\{suffix}"):
        open_source(path, depth_unit_mm=1)[0]


def test_wrong_inputs_are_told_apart(tmp_path: Path) -> None:
    cases: list[tuple[str, Any, str]] = [
        ("none.png", None, "does not exist"),
        ("none.npy", None, "does not exist"),
        ("film.mp4", b"x", "ends in .mp4"),
        ("plain", b"x", "ends in nothing"),
    ]
    for name, content, words in cases:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(FrameError, match=words):
            open_source(tmp_path / name, depth_unit_mm=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match="holds no depth images"):
        open_source(tmp_path / "empty", depth_unit_mm=1)
    np.savez(tmp_path / "other.npz", picture=DEPTH)
    with pytest.raises(FrameError, match="holds picture; expected an array 'depth_mm'"):
        open_source(tmp_path / "other.npz")
    np.save(tmp_path / "colour.npy", COLOUR)
    with pytest.raises(FrameError, match="colour image"):
        open_source(tmp_path / "colour.npy", depth_unit_mm=1)[0]


def test_found_frames_have_unique_names_and_go_on_past_a_bad_one(tmp_path: Path) -> None:
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder, "folder")
    write_image_atomically(tmp_path / "left" / "2.png", np.zeros((3, 4), np.uint8))
    make(tmp_path, "npy")
    (tmp_path / "b.npy").write_bytes(b"no numpy file")
    inputs = [
        tmp_path / "left",
        tmp_path / "right",
        tmp_path / "a.npy",
        tmp_path / "b.npy",
        tmp_path / "right" / "0.png",
    ]
    found = find_frames(inputs, depth_unit_mm=1.0)
    names = [frame.name for frame in found]
    assert names == ["left_0", "left_1", "2", "right_0", "right_1", "a", "b", "right_0_2"]
    good, bad = [], []
    for frame in found:
        try:
            good.append(frame.load().depth_mm[0, 0])
        except FrameError as error:
            bad.append(str(error))
    assert good == [400, 401, 400, 401, 400, 400]
    assert len(bad) == 2
    assert "2.png" in bad[0]
    assert "8-bit" in bad[0]
    assert "b.npy cannot be read" in bad[1]
    with pytest.raises(FrameError, match="does not exist"):
        find_frames([tmp_path / "a.npy", tmp_path / "none.npy"])


def test_no_frames_at_all_is_an_error() -> None:
    with pytest.raises(FrameError, match="no frames came"):
        find_frames([])


def test_real_folders_open_as_they_are(real_data: Path) -> None:
    table = open_source(real_data / "table-scene", depth_unit_mm=1.0)
    assert len(table) == 36
    assert table[0].colour is not None
    assert table[0].colour.shape == (480, 640, 3)
    hand = open_source(real_data / "hand-object" / "bar_red", depth_unit_mm=1.0)
    assert len(hand) == 419
    alone = open_source(real_data / "hand-object" / "bar_red" / "depth", depth_unit_mm=1.0)
    assert np.array_equal(hand[7].depth_mm, alone[7].depth_mm)
    # Trap 1 on a real frame of an SR300-class camera: the hand is at arm's length only in the right unit.
    close = open_source(real_data / "sr305" / "20210326-230536", depth_unit_mm=0.125)[0].depth_mm
    assert 200 < close[close > 0].min() < 700
