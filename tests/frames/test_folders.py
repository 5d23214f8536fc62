"""Which files of a folder are depth, in which order, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graspcut.frames.errors import FrameError
from graspcut.frames.folders import natural_order
from graspcut.frames.sources import DepthFiles, find_frames, open_source

DEPTH = (np.arange(48 * 64).reshape(48, 64) // 64 * 5 + 500).astype(np.uint16)
COLOUR = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
GREY = COLOUR[..., 0]


def fill(folder: Path, **files: Any) -> Path:
    """Writes arrays and bytes under names in which __ stands for a dot and _in_ for a folder."""
    for name, content in files.items():
        path = folder / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".npy":
            np.save(path, content)
        else:
            cv2.imwrite(str(path), content)
    return folder


def depth_files(folder: Path) -> DepthFiles:
    source = open_source(folder, depth_unit_mm=1)
    assert isinstance(source, DepthFiles)
    return source


@pytest.mark.parametrize(
    ("files", "names", "left_out"),
    [
        ({"a__png": DEPTH, "a__jpg": COLOUR}, ["a"], "1 colour picture"),
        ({"0_depth__png": DEPTH, "0_depth_viz__png": COLOUR}, ["0_depth"], "1 colour picture"),
        ({"depth_1__png": DEPTH, "depth_1_preview__png": GREY}, ["depth_1"], "1 8-bit picture"),
        ({"d_1__png": DEPTH, "ir_1__png": DEPTH, "conf_1__png": DEPTH}, ["d_1"], "2 infrared or other pictures"),
        ({"1_infrared__tiff": DEPTH, "1_z__tiff": DEPTH.astype(np.float32)}, ["1_z"], "1 infrared or other picture"),
        ({"pcd01d__tiff": DEPTH, "pcd01r__png": COLOUR}, ["pcd01d"], "1 colour picture paired"),
        ({"cam_depth__npy": DEPTH, "cam_color__png": COLOUR}, ["cam_depth"], "1 colour picture paired"),
        ({"0__npy": DEPTH, "K__npy": np.eye(3), "pose__npy": np.eye(4)}, ["0"], "2 arrays without pixels"),
        ({"10__png": DEPTH, "9__png": DEPTH, "1__png": DEPTH}, ["1", "9", "10"], ""),
        ({"x__png": DEPTH, "x__pgm": DEPTH}, ["x.pgm", "x"], ""),
        ({"x__png": DEPTH, "notes__txt": b"1"}, ["x"], ""),
        ({"depth16_1__png": DEPTH, "depth8_1__png": GREY}, ["depth16_1"], "1 8-bit picture"),
        ({"hand_pose_depth_1__png": DEPTH}, ["hand_pose_depth_1"], ""),
    ],
)
def test_depth_is_told_from_the_rest(tmp_path: Path, files: dict[str, Any], names: list[str], left_out: str) -> None:
    (tmp_path / "._x.png").write_bytes(b"side file")
    source = depth_files(fill(tmp_path, **files))
    assert sorted(source.names, key=natural_order) == sorted(names, key=natural_order)
    assert (left_out in source.left_out) if left_out else source.left_out == ""
    for frame in source:
        assert frame.depth_mm[0, 0] == 500


def test_names_stay_when_files_come(tmp_path: Path) -> None:
    """The file that had the plain name keeps it; another of the same stem gets its whole name."""
    fill(tmp_path, x__png=DEPTH)
    assert list(depth_files(tmp_path).names) == ["x"]
    fill(tmp_path, x__tiff=DEPTH)
    source = depth_files(tmp_path)
    assert dict(zip(source.names, (path.name for path in source.files), strict=True)) == {
        "x": "x.png",
        "x.tiff": "x.tiff",
    }


@pytest.mark.parametrize("colour_folder", ["rgb", "color", "colour"])
def test_folders_of_other_data_sets(tmp_path: Path, colour_folder: str) -> None:
    fill(tmp_path, depth_in_0000__png=DEPTH, meta_in_0000__pkl=b"x", label_in_0000__png=GREY, label_in_1__png=GREY)
    fill(tmp_path, **{f"{colour_folder}_in_0000__jpg": COLOUR, "dataset__json": b'{"name": "ours"}'})
    source = depth_files(tmp_path)
    assert list(source.names) == ["0000"]
    assert source[0].colour is not None and source[0].colour.shape == COLOUR.shape


def test_frames_of_a_stopped_writer_are_still_refused(tmp_path: Path) -> None:
    fill(tmp_path, depth_in_000000__png=DEPTH, meta_in_000000__json=b"{}")
    with pytest.raises(FrameError, match="its writer was stopped"):
        open_source(tmp_path, depth_unit_mm=1)


def test_packed_depth_in_a_folder(tmp_path: Path) -> None:
    packed = np.dstack([DEPTH & 255, DEPTH >> 8, DEPTH * 0]).astype(np.uint8)
    fill(tmp_path, depth_1__png=packed, synthdepth_1__png=packed, rgb_1__png=COLOUR)
    assert [frame.depth_mm[0, 0] for frame in depth_files(tmp_path)] == [500, 500]


def test_unreadable_files_are_failures(tmp_path: Path) -> None:
    fill(tmp_path, **{"0__png": DEPTH, "1__png": b"\x89PNG\r\n\x1a\n cut", "2__png": b""})
    (tmp_path / "3.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "4.png")
    faults = []
    for entry in find_frames([tmp_path], depth_unit_mm=1):
        try:
            entry.load()
        except FrameError as error:
            faults.append(str(error))
    assert len(faults) == 4
    for name, word, fault in zip("1234", ("", "empty", "link", "pipe"), faults, strict=True):
        assert f"{name}.png" in fault and word in fault


def test_colour_of_another_size_is_left_out_and_said(tmp_path: Path) -> None:
    fill(tmp_path, a_depth__png=DEPTH, a_color__png=np.repeat(COLOUR, 2, axis=1))
    frame = depth_files(tmp_path)[0]
    assert frame.colour is None
    assert [note.kind for note in frame.notes or ()] == ["colour"]


def test_names_of_any_legal_length(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".png", "b" * 250 + ".tiff"):
        cv2.imwrite(str(tmp_path / "short.png"), DEPTH)
        cv2.imwrite(str(tmp_path / "short.tiff"), DEPTH)
        os.rename(tmp_path / f"short{Path(name).suffix}", tmp_path / name)
    (tmp_path / "short.png").unlink()
    names = [entry.name for entry in find_frames([tmp_path, tmp_path / ("a" * 251 + ".png")], depth_unit_mm=1)]
    assert len(set(names)) == 3
    assert all(len(os.fsencode(f"{name}.png")) <= 255 for name in names)


def test_infrared_alone_is_not_depth(tmp_path: Path) -> None:
    fill(tmp_path, IR_0001__png=DEPTH, IR_0002__png=DEPTH)
    with pytest.raises(FrameError, match=r"holds no depth images.*2 infrared or other pictures.*give the files"):
        open_source(tmp_path, depth_unit_mm=1)
    assert len(find_frames(sorted(tmp_path.iterdir()), depth_unit_mm=1)) == 2


def test_several_folders_of_depth_are_named(tmp_path: Path) -> None:
    fill(tmp_path, depth_left_in_0__png=DEPTH, depth_right_in_0__png=DEPTH)
    with pytest.raises(FrameError, match="several folders of depth"):
        open_source(tmp_path, depth_unit_mm=1)
