"""Dataset layouts and the stream of composites."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.matting.augmentation import MattingAugmentation
from graspcut.matting.data import (
    BackgroundFolder,
    CompositeView,
    FixedComposites,
    open_foregrounds,
    open_images,
)
from graspcut.matting.foreground import estimate_foreground

DATA = Path(os.environ.get("GRASPCUT_DATA", Path(__file__).parents[3] / "shared" / "data"))


def write(path: Path, picture: NDArray[np.uint8]) -> None:
    """A PNG file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image_atomically(path, picture)


@pytest.fixture
def training_set(tmp_path: Path) -> Path:
    """AIM's layout: two foregrounds, and a folder of backgrounds."""
    rng = np.random.default_rng(0)
    for name in ("girl", "tree"):
        write(tmp_path / "Training_set" / "fg" / f"{name}.png", rng.integers(0, 256, (60, 70, 3), np.uint8))
        alpha = np.zeros((60, 70), np.uint8)
        alpha[10:50, 20:55] = rng.integers(0, 256, (40, 35))
        alpha[20:40, 25:45] = 255
        write(tmp_path / "Training_set" / "alpha" / f"{name}.png", alpha)
    for number in range(3):
        write(tmp_path / "coco" / f"{number}.png", np.full((50, 40, 3), 80 * number, np.uint8))
    return tmp_path


def test_training_layout_and_refinement(training_set: Path) -> None:
    plain, backgrounds = open_foregrounds(training_set)
    assert plain.names == ("girl", "tree") and backgrounds is None
    colours, alpha = plain.foreground(1)
    refined, _ = open_foregrounds(training_set, "rf")[0].foreground(1)
    np.testing.assert_allclose(refined, np.clip(estimate_foreground(colours, alpha), 0, 1), atol=1e-6)
    (training_set / "Training_set" / "alpha" / "tree.png").unlink()
    with pytest.raises(FrameError, match="no matte for tree"):
        open_foregrounds(training_set)
    with pytest.raises(FrameError, match="no foregrounds"):
        open_foregrounds(training_set / "coco")


def test_batches_depend_on_their_number_alone(training_set: Path) -> None:
    foregrounds, _ = open_foregrounds(training_set)
    views = [
        CompositeView(foregrounds, BackgroundFolder(training_set / "coco"), MattingAugmentation(size=32), 3)
        for _ in range(2)
    ]
    first = views[0].batch(6, seed=1)
    views[1].batch(0, seed=1)
    again, other = views[1].batch(6, seed=1), views[0].batch(9, seed=1)
    assert first.image.shape == (3, 3, 32, 32) and first.trimap.shape == first.alpha.shape == (3, 1, 32, 32)
    assert first.image.tobytes() == again.image.tobytes() and first.image.tobytes() != other.image.tobytes()
    values = set(np.unique(first.trimap * 255).round(4).tolist())
    assert values <= {0.0, 128.0, 255.0} and 128.0 in values
    known = first.trimap != np.float32(128 / 255)
    np.testing.assert_array_equal(first.alpha[known], first.trimap[known])
    assert "girl" not in str(views[0].describe()) and "alpha" in str(views[0].describe())


def test_twenty_composites_of_one_matte(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "merged" / f"girl_{number}.png", np.zeros((20, 20, 3), np.uint8))
        write(tmp_path / "trimaps" / f"girl_{number}.png", np.full((20, 20), 128, np.uint8))
    write(tmp_path / "alpha" / "girl.png", np.zeros((20, 20), np.uint8))
    found = open_images(tmp_path)
    assert [entry.name for entry in found] == ["girl_0", "girl_1"]
    assert all(entry.alpha is not None and entry.alpha.name == "girl.png" for entry in found)
    (tmp_path / "trimaps" / "girl_1.png").unlink()
    with pytest.raises(FrameError, match="girl_1"):
        open_images(tmp_path)


def test_validation_square_holds_the_unknown_pixels(tmp_path: Path) -> None:
    trimap = np.zeros((100, 90), np.uint8)
    trimap[70:80, 60:70] = 128
    write(tmp_path / "image" / "a.png", np.zeros((100, 90, 3), np.uint8))
    write(tmp_path / "trimap" / "a.png", trimap)
    write(tmp_path / "alpha" / "a.png", (trimap > 0).astype(np.uint8) * 255)
    part = FixedComposites(tuple(open_images(tmp_path)), 32)
    item = part.item(0)
    assert part.count == 1 and item.image.shape == (3, 32, 32)
    assert (item.trimap == np.float32(128 / 255)).sum() == 100


@pytest.mark.skipif(not (DATA / "matting" / "alphamatting").is_dir(), reason="needs shared/data")
def test_alphamatting_images() -> None:
    found = open_images(DATA / "matting" / "alphamatting")
    assert len(found) == 14 and found[0].name == "GT01"
    item = FixedComposites(tuple(found[:1]), 128).item(0)
    assert item.image.shape == (3, 128, 128) and 0 < item.alpha.mean() < 1
