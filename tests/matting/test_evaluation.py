"""`graspcut evaluate matting` and what stands below it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.matting.evaluation import evaluate_mattes
from graspcut.matting.images import encode_rgba, read_alpha, read_trimap
from graspcut.matting.metrics import matting_scores


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two images: predictions, alpha, trimap."""
    found = tmp_path / "predictions", tmp_path / "alpha", tmp_path / "trimap"
    rng = np.random.default_rng(0)
    for folder in found:
        folder.mkdir()
    for name, written in (("a", "a"), ("b", "b_alpha")):
        alpha = rng.integers(0, 256, (20, 16), np.uint8)
        write_image_atomically(found[0] / f"{written}.png", alpha // 2)
        write_image_atomically(found[1] / f"{name}.png", alpha)
        write_image_atomically(found[2] / f"{name}.png", np.where(alpha > 40, np.uint8(128), np.uint8(0)))
    return found


def test_scores_per_image_and_means(folders: tuple[Path, Path, Path]) -> None:
    report = evaluate_mattes(*folders)
    assert [name for name, _ in report.images] == ["a", "b"]
    for name, written in (("a", "a"), ("b", "b_alpha")):
        expected = matting_scores(
            read_alpha(folders[0] / f"{written}.png"),
            read_alpha(folders[1] / f"{name}.png"),
            read_trimap(folders[2] / f"{name}.png"),
        )
        assert dict(report.images)[name] == expected
    assert report.mean.sad == pytest.approx(sum(scores.sad for _, scores in report.images) / 2)


def test_command_prints_and_saves(folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    saved = folders[0].parent / "scores.json"
    options = ["--predictions", str(folders[0]), "--alpha", str(folders[1]), "--trimap", str(folders[2])]
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "matting", *options, "--save", str(saved)])
    assert not end.value.code
    mean = evaluate_mattes(*folders).mean
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mean"))
    assert [float(value) for value in line.split()[1:]] == pytest.approx(
        [mean.sad, mean.mse, mean.grad, mean.conn], abs=1e-5
    )
    assert json.loads(saved.read_text())["mean"]["sad"] == pytest.approx(mean.sad)


def test_missing_and_wrong_files_are_named(folders: tuple[Path, Path, Path]) -> None:
    write_image_atomically(folders[2] / "b.png", np.full((20, 16), 127, np.uint8))
    with pytest.raises(FrameError, match="127"):
        evaluate_mattes(*folders)
    write_image_atomically(folders[2] / "b.png", np.full((10, 16), 128, np.uint8))
    with pytest.raises(FrameError, match="one size"):
        evaluate_mattes(*folders)
    (folders[0] / "a.png").unlink()
    with pytest.raises(FrameError, match="a or a_alpha"):
        evaluate_mattes(*folders)


def test_twenty_composites_of_one_matte(folders: tuple[Path, Path, Path]) -> None:
    for number in (0, 1):
        for folder in (folders[0], folders[2]):
            (folder / f"a_{number}.png").write_bytes((folder / "a.png").read_bytes())
    assert [name for name, _ in evaluate_mattes(*folders).images] == ["a", "a_0", "a_1", "b"]


def test_mattes_of_other_kinds_of_files(tmp_path: Path) -> None:
    alpha = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    (tmp_path / "rgba.png").write_bytes(encode_rgba(np.zeros((8, 8, 3), np.uint8), alpha))
    write_image_atomically(tmp_path / "grey.png", np.repeat(alpha[..., None], 3, axis=2))
    cv2.imwrite(str(tmp_path / "deep.png"), alpha.astype(np.uint16) * 257)
    for name in ("rgba", "grey", "deep"):
        np.testing.assert_allclose(read_alpha(tmp_path / f"{name}.png"), alpha / 255.0, atol=1e-6)
    write_image_atomically(tmp_path / "colour.png", np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    with pytest.raises(FrameError, match="colour image"):
        read_alpha(tmp_path / "colour.png")
