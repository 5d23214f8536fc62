"""Image files: exact round trips, damage found, nothing half written."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image, read_colour, read_image, read_single_channel, write_image_atomically
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.readers.decoding import decode_image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_single_channel_png_round_trip(tmp_path: Path, dtype: type[np.uint8] | type[np.uint16]) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (31, 47)).astype(dtype)
    write_image_atomically(tmp_path / "a.png", image)
    back = read_image(tmp_path / "a.png")
    assert back.dtype == dtype
    assert np.array_equal(back, image)


def test_colour_is_rgb_in_memory_and_bgr_for_opencv(tmp_path: Path) -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    write_image_atomically(tmp_path / "red.png", image)
    assert np.array_equal(read_colour(tmp_path / "red.png"), image)
    stored = cv2.imread(str(tmp_path / "red.png"))
    assert stored is not None
    assert stored[0, 0].tolist() == [0, 0, 200]


def test_alpha_is_dropped_and_grey_repeated(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((2, 2, 4), (10, 20, 30, 40), np.uint8))
    assert read_colour(tmp_path / "alpha.png")[0, 0].tolist() == [30, 20, 10]
    write_image_atomically(tmp_path / "grey.png", np.full((2, 2), 7, np.uint8))
    assert read_colour(tmp_path / "grey.png")[1, 1].tolist() == [7, 7, 7]


def test_equal_images_give_equal_bytes() -> None:
    image = np.random.default_rng(3).integers(0, 900, (48, 64)).astype(np.uint16)
    assert encode_image(image, ".png") == encode_image(image[:, ::-1][:, ::-1], ".png")


def png() -> bytes:
    return encode_image(np.random.default_rng(0).integers(0, 900, (48, 64)).astype(np.uint16), ".png")


@pytest.mark.parametrize("kept", [9, 20, 40, 1000, -13, -12, -4, -1])
def test_png_cut_anywhere_is_refused(kept: int) -> None:
    with pytest.raises(FrameError, match=r"cut\.png is damaged: it ends after"):
        decode_image(png()[:kept], "cut.png")


@pytest.mark.parametrize("place", [17, 60, 2000, -20])
def test_png_with_one_changed_byte_is_refused(place: int) -> None:
    data = bytearray(png())
    data[place] ^= 4
    with pytest.raises(FrameError, match=r"checksum of its part .* is wrong"):
        decode_image(bytes(data), "flip.png")


def test_png_of_right_checksums_and_wrong_content_is_refused() -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"no zlib stream") + chunk(b"IEND", b"")
    with pytest.raises(FrameError, match=r"lie\.png"):
        decode_image(data, "lie.png")


def test_missing_empty_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="does not exist"):
        read_image(tmp_path / "none.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(FrameError, match=r"empty \(0 bytes\)"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello, this is no image")
    with pytest.raises(FrameError, match="not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(FrameError, match="cannot be read"):
        read_image(tmp_path)


def test_label_maps_and_colour_are_not_confused(tmp_path: Path) -> None:
    write_image_atomically(tmp_path / "colour.png", np.zeros((2, 2, 3), np.uint8))
    write_image_atomically(tmp_path / "depth.png", np.zeros((2, 2), np.uint16))
    with pytest.raises(FrameError, match=r"3 channel\(s\) of uint8; expected a label map"):
        read_single_channel(tmp_path / "colour.png", what="label map")
    with pytest.raises(FrameError, match=r"1 channel\(s\) of uint16"):
        read_single_channel(tmp_path / "depth.png", what="label map")
    with pytest.raises(FrameError, match="probably the depth image"):
        read_colour(tmp_path / "depth.png")


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        (np.zeros((2, 2), np.float32), ".png"),
        (np.zeros((2, 2), np.uint16), ".jpg"),
        (np.zeros((2, 2, 3), np.uint16), ".png"),
        (np.zeros((2, 2, 2), np.uint8), ".png"),
        (np.zeros((0, 2), np.uint8), ".png"),
        (np.zeros((2, 2), np.uint8), ".bmp"),
    ],
)
def test_arrays_that_a_file_cannot_hold_are_refused(image: np.ndarray, suffix: str) -> None:
    with pytest.raises(FrameError, match="cannot be written as"):
        encode_image(image, suffix)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    write_bytes_atomically(path, b"old")

    def refuse(source: object, target: object) -> None:
        raise OSError("disk is gone")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk is gone"):
        write_bytes_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_json_is_deterministic_and_errors_name_the_file(tmp_path: Path) -> None:
    write_json_atomically(tmp_path / "a.json", {"b": 1, "a": [0.1]})
    write_json_atomically(tmp_path / "b.json", {"a": [0.1], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [0.1], "b": 1}
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(FrameError, match=r"cut.json cannot be read as JSON"):
        read_json(tmp_path / "cut.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(FrameError, match="JSON list"):
        read_json(tmp_path / "list.json")
