"""Overlays on colour, cut-outs, masks, contact sheets and animations."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.cli import main
from graspcut.draw import cut_out, overlay, overlay_on_colour
from graspcut.frames.animation import write_animation
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_image
from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.demo import demo_recording_folder
from tests.mini_network import save_mini_folder
from tests.own.made import run, write_dataset


def test_an_overlay_keeps_the_colour_where_nothing_is_and_shows_depth_where_no_colour_is() -> None:
    depth = np.full((20, 30), 500, np.float32)
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 5:12], labels[5:15, 12:25] = HAND, OBJECT
    colour = np.full((20, 30, 3), (10, 200, 30), np.uint8)
    colour[:, 28:] = 0
    picture = overlay_on_colour(depth, colour, labels)
    assert (picture[:5, :28] == (10, 200, 30)).all()
    np.testing.assert_array_equal(picture[:, 28:], overlay(depth, labels)[:, 28:])
    assert len({tuple(picture[10, x]) for x in (8, 18, 0)}) == 3
    with pytest.raises(FrameError, match="same size"):
        overlay_on_colour(depth, colour[:10], labels)


def test_a_cut_out_is_opaque_inside_alone() -> None:
    inside = np.zeros((4, 6), bool)
    inside[1:3, 2:4] = True
    cut = cut_out(np.full((4, 6, 3), 77, np.uint8), inside)
    np.testing.assert_array_equal(cut[..., 3] == 255, inside)
    assert (cut[inside][:, :3] == 77).all() and not cut[~inside].any()


def test_everything_is_written_and_a_second_call_adds_what_is_new(tmp_path: Path) -> None:
    data, model = write_dataset(tmp_path / "d", colour=True), save_mini_folder(tmp_path / "mini")
    command = ("segment", data, "--model", model, "--out", tmp_path / "out")
    assert run(*command, "--overlay") == 0
    assert run(*command, "--overlay", "--cutout", "--masks", "--contact-sheet", "--animation", "gif") == 0
    out = tmp_path / "out"
    names = sorted(path.name for path in out.glob("0*.png"))
    assert len(names) == 4
    for name in names:
        labels = read_image(out / name)
        cut = read_image(out / "cutout" / name)
        assert cut.shape == (48, 64, 4)
        np.testing.assert_array_equal(cut[..., 3] == 255, labels > 0)
        for label, kind in ((HAND, "hand"), (OBJECT, "object")):
            mask = read_image(out / "masks" / kind / name)
            np.testing.assert_array_equal(mask, np.where(labels == label, 255, 0))
        shown = read_image(out / "overlay" / name)
        background = labels == 0
        # The colour of the background is that of the camera, not grey depth.
        assert (shown[background] == (40, 90, 40)).all(axis=-1).mean() > 0.5
    assert read_image(out / "contact-sheet.png").shape[1] > 4 * 64
    done, animation = cv2.imreadanimation(str(out / "animation.gif"))
    assert done and len(animation.frames) == 4 and animation.frames[0].shape[:2] == (48, 64)


def test_pictures_of_a_recording_without_colour_show_depth(tmp_path: Path) -> None:
    model = save_mini_folder(tmp_path / "mini")
    options = ("--model", model, "--cutout", "--animation", "mp4", "--animation-fps", 10)
    assert run("segment", demo_recording_folder(), *options, "--out", tmp_path / "out") == 0
    first = sorted((tmp_path / "out" / "cutout").glob("*.png"))[0]
    assert read_image(first).shape[2] == 4
    capture = cv2.VideoCapture(str(tmp_path / "out" / "animation.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(list((tmp_path / "out").glob("0*.png")))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)


def test_an_mp4_without_its_library_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SystemExit):
        main(["segment", str(demo_recording_folder()), "--out", str(tmp_path / "out"), "--animation", "mp4"])
    assert "[import]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_animations_say_what_they_cannot_be_made_of(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for path, images, rate, said in (
        ("a.avi", [image], 5.0, "expected .gif or .mp4"),
        ("a.gif", [], 5.0, "expected some"),
        ("a.gif", [image, image[:2]], 5.0, "of one size"),
        ("a.gif", [image], 0.0, "more than 0"),
    ):
        with pytest.raises(FrameError, match=said):
            write_animation(tmp_path / path, images, rate)
