"""Procedural foregrounds: exact alpha, the same for everybody, and the written set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_colour
from graspcut.matting.data import DrawnMattes, open_foregrounds, open_images
from graspcut.matting.images import read_alpha, read_trimap
from graspcut.matting.procedural.canvas import SAMPLES, Canvas
from graspcut.matting.procedural.dataset import generate_mattes
from graspcut.matting.procedural.hands import hand_view
from graspcut.matting.procedural.kinds import DRAWN_KINDS
from graspcut.matting.procedural.source import KINDS, ProceduralMattes


def test_coverage_is_the_mean_of_the_samples() -> None:
    canvas = Canvas(16, 20)
    red = np.array([1.0, 0.2, 0.0])
    canvas.fill(np.array([[3.0, 2.0], [15.0, 4.0], [8.0, 13.0]]), red)
    found = canvas.cutout("triangle")
    for y, x in ((8, 8), (3, 7), (2, 4), (12, 8)):
        block = canvas.cover[y * SAMPLES : (y + 1) * SAMPLES, x * SAMPLES : (x + 1) * SAMPLES] / 255.0
        assert found.alpha[y, x] == pytest.approx(block.mean(), abs=1e-6)
        np.testing.assert_allclose(found.premultiplied[y, x], red * block.mean(), atol=4e-3)
    assert ((found.alpha > 0) & (found.alpha < 1)).sum() > 10


@pytest.mark.parametrize("kind", list(DRAWN_KINDS))
def test_every_kind_is_premultiplied_and_soft(kind: str) -> None:
    found = KINDS[kind](np.random.default_rng(3), 96, 112)
    assert found.alpha.shape == (96, 112) and found.kind == kind
    assert found.alpha.dtype == found.premultiplied.dtype == np.float32
    assert found.alpha.min() >= 0 and found.alpha.max() <= 1 and found.alpha.max() > 0.3
    assert (found.premultiplied <= found.alpha[..., None] + 5e-3).all()
    assert ((found.alpha > 0.02) & (found.alpha < 0.98)).sum() > 20


def test_hands_have_antialiased_edges_and_a_depth_frame() -> None:
    view = hand_view(np.random.default_rng(0), 60, 80)
    soft = (view.alpha > 0) & (view.alpha < 1)
    assert 10 < soft.sum() < 0.2 * soft.size and 0.01 < view.alpha.mean() < 0.7
    assert set(np.round(view.alpha[soft] * SAMPLES**2, 3).tolist()) <= set(range(1, SAMPLES**2))
    frame = view.frame
    assert frame.depth_mm.shape == (60, 80) and frame.colour is not None
    opaque = view.alpha == 1
    np.testing.assert_allclose(view.colour[opaque] / 255.0, view.premultiplied[opaque], atol=4e-3)
    assert (frame.depth_mm[opaque] > 0).mean() > 0.7


def test_number_and_seed_decide_the_picture() -> None:
    first, again = (ProceduralMattes(64, 48, seed=5).foreground(2) for _ in range(2))
    other = ProceduralMattes(64, 48, seed=6).foreground(2)
    assert first.colours.tobytes() == again.colours.tobytes() and first.alpha.tobytes() == again.alpha.tobytes()
    assert first.alpha.tobytes() != other.alpha.tobytes()
    source = ProceduralMattes(64, 48, seed=5)
    assert source.background(1).shape == (48, 64, 3)
    assert source.background(1).tobytes() != source.background(2).tobytes()
    colours, alpha = DrawnMattes(source).foreground(2)
    assert colours.tobytes() == first.colours.tobytes() and alpha.shape == (48, 64)


def test_command_writes_a_set_that_fits_together_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "set"
    for count in (1, 3):
        with pytest.raises(SystemExit) as end:
            main(["synth", "matting", "--count", str(count), "--out", str(out), "--size", "64x48", "--workers", "1"])
        assert not end.value.code
    assert len(open_images(out)) == 3
    for entry in open_images(out):
        assert entry.alpha is not None
        alpha, trimap, image = read_alpha(entry.alpha), read_trimap(entry.trimap), read_colour(entry.image)
        assert image.shape == (48, 64, 3)
        assert (alpha[trimap == 255] == 1).all() and (alpha[trimap == 0] == 0).all()
        foreground = read_colour(out / "foreground" / entry.image.name)
        background = read_colour(out / "background" / entry.image.name)
        composed = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
        assert np.abs(composed - image).max() <= 0.51
    before = (out / "image" / "000001.png").read_bytes()
    (out / "image" / "000001.png").unlink()
    generate_mattes(ProceduralMattes(64, 48), count=3, out=out, workers=1)
    assert (out / "image" / "000001.png").read_bytes() == before
    with pytest.raises(FrameError, match="another seed"):
        generate_mattes(ProceduralMattes(64, 48, seed=1), count=1, out=out, workers=1)
    foregrounds, backgrounds = open_foregrounds(out)
    assert len(foregrounds) == 3 and backgrounds is not None and len(backgrounds) == 3
