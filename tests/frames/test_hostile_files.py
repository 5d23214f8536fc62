"""Files from elsewhere: nothing outside is read, nothing is waited for, nothing large is allocated, and errors name the
file and the field.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import JsonObject, read_json
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.limits import ENVIRONMENT_VARIABLE, set_largest_picture
from graspcut.frames.opening import inside, read_bytes
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.recording import Recording, RecordingWriter

DEPTH = np.arange(400, 412, dtype=np.uint16).reshape(3, 4)
NESTED = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    with RecordingWriter(folder, Camera(4, 4, 2, 1, 4, 3), 0.5) as recorder:
        for number in range(3):
            recorder.append(DEPTH + number, timestamp_s=number / 30)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    writer = DatasetWriter(folder, depth_unit_mm=0.5, description={})
    for index in range(2):
        frame = Frame((DEPTH * 0.5).astype(np.float32), Camera(4, 4, 2, 1, 4, 3))
        writer.write(index, LabelledFrame(frame, np.zeros((3, 4), np.uint8)))
    writer.finish(2)
    return folder


def change_line(folder: Path, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "frames.jsonl"
    lines = path.read_text().splitlines()
    entry = json.loads(lines[number])
    change(entry)
    lines[number] = json.dumps(entry)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["relative", "absolute", "link to a file", "link to a folder"])
def test_a_recording_reads_nothing_outside_itself(recording: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = (recording / "depth" / "000001.png").read_bytes()
    (outside / "x.png").write_bytes(data)
    name = {"relative": "../outside/x.png", "absolute": str(outside / "x.png"), "link to a file": "depth/x.png"}.get(
        kind, "door/x.png"
    )
    if kind == "link to a file":
        (recording / "depth" / "x.png").symlink_to(outside / "x.png")
    elif kind == "link to a folder":
        (recording / "door").symlink_to(outside)
    stored = {"file": name, "bytes": len(data), "crc32": zlib.crc32(data)}
    change_line(recording, 1, lambda entry: entry.update(depth=stored))
    source = Recording(recording)
    assert source[0].depth_mm[0, 0] == 200
    with pytest.raises(FrameError, match=r"frames\.jsonl, line 2.* lies outside .*expected a file inside"):
        source[1]
    assert str(len(data)) not in str(source.check())


def test_a_recording_may_itself_lie_behind_a_link(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(recording)
    assert len(Recording(tmp_path / "link")[:]) == 3


def test_devices_and_pipes_are_not_opened(recording: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(FrameError, match="cannot be read: it is a"):
            read_bytes(path)
    os.unlink(recording / "depth" / "000001.png")
    os.mkfifo(recording / "depth" / "000001.png")
    with pytest.raises(FrameError, match="pipe"):
        Recording(recording)[1]
    with pytest.raises(FrameError, match="outside"):
        inside(tmp_path, "/dev/zero", named_by="x")


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FrameError, match=r"a\.png is a link to .*gone\.png, which does not exist"):
        read_bytes(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["recording.json", "frames.jsonl"])
def test_deep_nesting_in_a_recording_is_one_line(recording: Path, name: str) -> None:
    (recording / name).write_text(NESTED + "\n")
    with pytest.raises(FrameError, match=rf"{name}.*\(nested too deeply|{name}.* line 1.*nested too deeply") as caught:
        Recording(recording)[0]
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["dataset.json", "meta/000001.json"])
def test_deep_nesting_in_a_dataset_is_one_line(dataset: Path, name: str) -> None:
    (dataset / name).write_text(NESTED)
    with pytest.raises(FrameError, match=rf"{name}.*\(nested too deeply"):
        DatasetReader(dataset)[1]


@pytest.mark.parametrize("count", [10**12, 1e308, 1.5, "3", None, [], -1, True, 10**400])
def test_a_count_is_checked_before_names_are_listed(dataset: Path, count: Any) -> None:
    index = read_json(dataset / "dataset.json")
    (dataset / "dataset.json").write_text(json.dumps(index | {"count": count}))
    with pytest.raises(FrameError, match=r"dataset\.json") as caught:
        DatasetReader(dataset)
    assert "count" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp_s", "noon"),
        ("timestamp_s", 10**400),
        ("timestamp_s", [1]),
        ("depth", "depth/000001.png"),
        ("depth", {"file": 7, "bytes": 1, "crc32": 1}),
        ("depth", {"file": "depth/000001.png", "bytes": "many", "crc32": 1}),
        ("depth", {"file": "depth/000001.png", "bytes": 10**400, "crc32": 1}),
        ("colour", 3),
    ],
)
def test_lines_of_other_types_name_line_and_field(recording: Path, field: str, value: Any) -> None:
    change_line(recording, 1, lambda entry: entry.update({field: value}))
    source = Recording(recording)
    assert (source[0].depth_mm[0, 0], source[2].depth_mm[0, 0]) == (200, 201)
    with pytest.raises(FrameError, match=r"frames\.jsonl, line 2") as caught:
        source[1]
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("camera", 7),
        ("camera", {"fx": "wide"}),
        ("camera", {"fx": 10**400, "fy": 1, "cx": 0, "cy": 0, "width": 4, "height": 3}),
        ("timestamp_s", {}),
        ("name", 3),
        ("files", {"depth": 1}),
        ("joints_mm", [[1, 2], [3]]),
        ("joints_visible", "all"),
        ("instances", [{"id": "one", "label": 1, "name": "hand"}]),
        ("instances", [3]),
    ],
)
def test_meta_of_other_types_names_file_and_field(dataset: Path, field: str, value: Any) -> None:
    meta = dataset / "meta" / "000001.json"
    meta.write_text(json.dumps(read_json(meta) | {field: value}))
    reader = DatasetReader(dataset)
    assert len(reader[0].labels) == 3
    with pytest.raises(FrameError, match=r"000001\.json") as caught:
        reader[1]
    assert field in str(caught.value)


def test_fields_are_checked_where_they_are_asked_for() -> None:
    json_object = JsonObject({"a": 1, "b": [1], "c": {"d": "x"}}, "f.json")
    assert (json_object.number("a"), json_object.whole("a"), json_object.array("b")) == (1.0, 1, [1])
    assert json_object.nested("c").text("d") == "x"
    assert json_object.number("none", None) is None
    with pytest.raises(FrameError, match=r"f\.json, field 'c': the field 'd' is 'x'; expected a finite number"):
        json_object.nested("c").number("d")
    with pytest.raises(FrameError, match=r"f\.json lacks the field 'e'"):
        json_object.number("e")
    with pytest.raises(FrameError, match=r"above 2"):
        json_object.number("a", above=2)


def png_bomb(width: int, height: int) -> bytes:
    """A PNG file of black 16-bit pixels: a thousand times smaller than what it unpacks to."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 2 * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_too_large_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png_bomb(2000, 1200)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "2")
    with pytest.raises(FrameError, match=r"bomb\.png would unpack to 2000x1200 pixels.*at most 2 million.*--max-megap"):
        decode_image(data, "bomb.png")
    set_largest_picture(3)
    assert decode_image(data, "bomb.png").shape == (1200, 2000)
    with pytest.raises(FrameError, match="above 0"):
        set_largest_picture(float("nan"))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "many")
    with pytest.raises(FrameError, match=ENVIRONMENT_VARIABLE):
        decode_image(data, "bomb.png")


def test_a_header_that_promises_400_megapixels_is_refused_by_default() -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 16, 0, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    with pytest.raises(FrameError, match="20000x20000"):
        decode_image(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + checksum + end, "a.png")
