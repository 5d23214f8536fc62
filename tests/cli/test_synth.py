"""`graspcut synth`: a whole dataset folder, the same bytes for any number of workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader


def synth(out: Path, *options: str) -> int:
    """Exit code of a small `graspcut synth`."""
    with pytest.raises(SystemExit) as end:
        main(["synth", "--count", "3", "--size", "64x48", "--seed", "5", "--out", str(out), *options])
    return int(end.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    assert synth(tmp_path / "one", "--workers", "1") == 0
    assert synth(tmp_path / "two", "--workers", "2") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    reader = DatasetReader(tmp_path / "one")
    assert len(reader) == 3
    assert reader[0].frame.depth_mm.shape == (48, 64)
    assert reader[0].frame.colour is not None
    assert reader.check() == []


def test_options_reach_the_renderer(tmp_path: Path) -> None:
    assert (
        synth(
            tmp_path / "plain", "--no-colour", "--profile", "v1", "--sensor", "kinect", "--held-out", "--workers", "1"
        )
        == 0
    )
    frame = DatasetReader(tmp_path / "plain")[0].frame
    assert frame.colour is None
    assert frame.camera is not None and frame.camera.fx == pytest.approx(588.03 / 10)
