"""What Rerun is given: written into a file and read back by Rerun itself; and the points it draws."""

# ruff: noqa: E402  (what follows a skip)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

rr = pytest.importorskip("rerun", reason="the extra view is not installed")

from graspcut.app.rerun_view import RerunView, coloured_points
from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.labels import HAND, LABEL_COLOURS, OBJECT
from graspcut.segmentation.live import LiveSegmentation
from tests.segmentation.live_material import Nearest, Ticking


def test_points_lie_where_the_camera_says_in_the_colours_of_the_labels() -> None:
    camera = Camera(400.0, 410.0, 300.0, 240.0, 640, 480)
    depth = np.full((480, 640), 800.0, np.float32)
    depth[:, :100] = 0.0
    depth[100:200, 200:300] = 500.0
    labels = np.zeros((480, 640), np.uint8)
    labels[100:200, 200:300] = HAND
    labels[300:400, 400:500] = OBJECT
    points, colours = coloured_points(Frame(depth, camera), labels, camera)
    assert points.dtype == np.float32 and 0.8 * 80_000 * 540 / 640 < len(points) <= 80_000
    assert len(points) == len(colours) and np.unique(points[:, 2]) == pytest.approx([0.5, 0.8])
    hand = (colours == LABEL_COLOURS[HAND]).all(axis=1)
    assert np.allclose(points[hand, 2], 0.5) and (points[:, 2] == np.float32(0.5)).sum() == hand.sum()
    columns = points[hand, 0] / points[hand, 2] * camera.fx + camera.cx
    rows = points[hand, 1] / points[hand, 2] * camera.fy + camera.cy
    assert columns.min() >= 199 and columns.max() <= 300 and rows.min() >= 99 and rows.max() <= 200
    rest = colours[~hand & ~(colours == LABEL_COLOURS[OBJECT]).all(axis=1)]
    assert (rest[:, 0] == rest[:, 1]).all() and (rest[:, 1] == rest[:, 2]).all()


def test_a_registered_picture_colours_the_points_and_nothing_gives_none() -> None:
    camera = Camera.from_focal_length(8, 6, 6.0)
    colour = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    depth = np.full((6, 8), 700.0, np.float32)
    _, colours = coloured_points(Frame(depth, camera, colour), np.zeros((6, 8), np.uint8), camera)
    assert np.array_equal(colours, colour.reshape(-1, 3))
    points, colours = coloured_points(Frame(np.zeros((6, 8), np.float32)), np.zeros((6, 8), np.uint8), camera)
    assert points.shape == (0, 3) and colours.shape == (0, 3)


def test_every_frame_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "live.rrd"
    live = LiveSegmentation(Ticking(5, every_s=0.2), Nearest(), independent=True)
    view = RerunView(viewer=False, file=path)
    live.add_screen(view.show)
    with live:
        assert live.wait(20)
    view.close()
    assert live.error is None
    # The file's own reader counts what was given; 48x32 frames have 1536 points each.
    entities = entities_of(path)
    for name in ("/camera/depth", "/camera/labels", "/points", "/camera"):
        assert name in entities, entities


def entities_of(path: Path) -> set[str]:
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", str(path)], capture_output=True, text=True, check=True
    ).stdout
    return {word.strip("`,") for word in said.split() if word.startswith("/") or word.startswith("`/")}


def test_a_file_that_cannot_be_written_is_refused_before_any_frame(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        RerunView(viewer=False, file=tmp_path / "missing" / "live.rrd")
