"""`graspcut info` on every kind of thing, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.recording import RecordingWriter
from graspcut.runtime.model_folder import save_model_folder


def info(path: Path, *options: str) -> int:
    """Exit code of `graspcut info`."""
    with pytest.raises(SystemExit) as end:
        main(["info", str(path), *options])
    return int(end.value.code or 0)


def depth_image() -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """16x12 raw steps: 4000 to 4011 by row, no data in the first column."""
    depth = np.repeat(np.arange(4000, 4012, dtype=np.uint16)[:, None], 16, axis=1)
    depth[:, 0] = 0
    return depth


def test_depth_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    write_image_atomically(path, depth_image())
    assert info(path) == 0
    raw = capsys.readouterr().out
    assert "16x12" in raw and "4000 .. 4011" in raw and "--depth-unit-mm" in raw and "93.8%" in raw
    assert info(path, "--depth-unit-mm", "0.125") == 0
    assert "500 .. 501 mm" in capsys.readouterr().out


def test_picture_is_called_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image_atomically(tmp_path / "a.png", np.zeros((4, 5, 3), dtype=np.uint8))
    assert info(tmp_path / "a.png") == 0
    assert "not a depth image" in capsys.readouterr().out


def test_folder_with_a_cut_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        write_image_atomically(tmp_path / f"{name}.png", depth_image())
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    assert info(tmp_path, "--depth-unit-mm", "0.125") == 1
    shown = capsys.readouterr()
    assert "1 fault(s)" in shown.err and "b.png" in shown.err and "a.png" not in shown.err


def test_recording_whole_and_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingWriter(tmp_path / "r", Camera.sr300(16, 12), 0.125) as writer:
        for number in range(3):
            writer.append(depth_image(), None, number / 30)
    assert info(tmp_path / "r") == 0
    shown = capsys.readouterr().out
    assert "recording" in shown and "0.125 mm" in shown and "30.0 frames/s" in shown
    (tmp_path / "r" / "depth" / "000001.png").unlink()
    assert info(tmp_path / "r") == 1
    assert "000001" in capsys.readouterr().err


def test_dataset_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = DatasetWriter(tmp_path / "d", depth_unit_mm=0.125, description={"seed": 3})
    depth = depth_image().astype(np.float32) * np.float32(0.125)
    labels = np.zeros(depth.shape, dtype=np.uint8)
    for index in range(2):
        writer.write(index, LabelledFrame(Frame(depth, Camera.sr300(16, 12)), labels))
    writer.finish(2)
    assert info(tmp_path / "d") == 0
    shown = capsys.readouterr().out
    assert "dataset folder" in shown and "seed" in shown and "16x12" in shown
    write_image_atomically(tmp_path / "d" / "label" / "000001.png", np.full((12, 16), 7, dtype=np.uint8))
    assert info(tmp_path / "d") == 1
    assert "[7]" in capsys.readouterr().err


def test_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"a": np.zeros((3, 4), dtype=np.float32), "b": np.ones(5, dtype=np.float32)}
    save_model_folder(tmp_path / "m", {"task": "segmentation", "model": {"name": "tiny"}}, weights, "# card")
    assert info(tmp_path / "m") == 0
    shown = capsys.readouterr().out
    assert "model folder" in shown and "tiny" in shown and "17" in shown
    (tmp_path / "m" / "model.safetensors").write_bytes(b"no")
    assert info(tmp_path / "m") == 1


def test_distances_below_zero_are_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", -(depth_image() / 4000).astype(np.float32))
    assert info(tmp_path / "a.npy") == 0
    text = capsys.readouterr().out
    assert "93.8%" in text and "likely: 1000, metres" in text and "negative" in text
