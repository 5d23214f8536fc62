"""What numbers of depth files mean: no data, units, and what no camera measures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.depth_values import ExaminedDepth, examine_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_image
from graspcut.frames.notes import DOUBT


def scene(near: float = 525.0, far: float = 1236.0) -> NDArray[np.float32]:
    """160x120 mm: a slightly tilted wall, something near in front of it, a border without data."""
    depth = np.tile(np.linspace(far, far * 1.04, 160, dtype=np.float32), (120, 1))
    depth[40:80, 50:90] = near
    depth[:, :5] = 0
    return depth


def kinds(examined: ExaminedDepth) -> list[str]:
    return [note.kind for note in examined.notes]


def test_a_usual_frame_has_nothing_to_say() -> None:
    depth = scene()
    examined = examine_depth(depth, 1.0)
    assert examined.notes == () and examined.depth_mm is depth
    assert examine_depth(depth.astype(np.uint16), 1.0).notes == ()
    assert examine_depth(depth / np.float32(1000), 1000.0).notes == ()


@pytest.mark.parametrize(
    ("values", "unit_mm", "words"),
    [
        (scene() / 1000, 1.0, "looks like metres. Give unit_mm=1000"),
        (scene() / 1000, None, "looks like metres"),
        ((scene() / 1000).astype(np.float64), 1.0, "looks like metres"),
        (scene(0.3, 9.0), 1.0, "too small|looks like metres"),
        (scene() / 10, 0.1249866, "The right unit may be 1"),
        (scene().astype(np.uint16), 0.001, "right unit may be 1 .millimetres"),
        (scene().astype(np.uint16), 1000.0, "1.2 m|1236 m|too large.*right unit may be 1 "),
        ((scene() * 50).astype(np.uint16), 1.0, "too large"),
        (scene() * 1000, None, "0.001 .micrometres"),
    ],
)
def test_units_that_no_camera_has_are_refused(values: NDArray[Any], unit_mm: float | None, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        examine_depth(values, unit_mm)


def test_metres_are_refused_by_every_way_in() -> None:
    metres = (scene() / 1000).astype(np.float32)
    with pytest.raises(FrameError, match=r"frame x: depth has hardly .* looks like metres"):
        Frame(metres, name="x")
    assert Frame(scene(), name="x").notes == ()


@pytest.mark.parametrize(
    ("values", "unit_mm", "unit"),
    [
        ((scene() * 5).astype(np.uint16), 1.0, "0.2 "),
        ((scene(350, 900) * 8).astype(np.uint16), 1.0, "0.1249866 "),
        (scene().astype(np.uint16), 0.1249866, "1 "),
        ((scene() * 4).astype(np.uint16), 1.0, "0.2|0.25"),
    ],
)
def test_units_that_a_hand_camera_hardly_has_are_doubted(values: NDArray[Any], unit_mm: float, unit: str) -> None:
    examined = examine_depth(values, unit_mm)
    assert kinds(examined) == [DOUBT]
    assert "hardly a camera" in examined.notes[0].text or "no hand camera" in examined.notes[0].text
    assert re.search(f"right unit may be ({unit})", examined.notes[0].text)


@pytest.mark.parametrize(
    ("values", "unit_mm"),
    [
        (np.where(scene() > 0, scene(), np.nan), 1.0),
        (np.where(scene() > 0, scene(), np.inf), 1.0),
        (np.where(scene() > 0, scene(), -np.inf), 1.0),
        (np.where(scene() > 0, scene(), 65535), 1.0),
        (np.where(scene() > 0, scene(), 65535).astype(np.uint16), 1.0),
        (np.where(scene() > 0, scene(), 65535).astype(np.int32), 1.0),
        (np.where(scene() > 0, scene(), 32767).astype(np.int16), 1.0),
        (np.where(scene() > 0, scene() / 1000, 1e10), 1000.0),
        (np.where(scene() > 0, scene() / 1000, np.finfo(np.float32).max), 1000.0),
        (np.where(scene() > 0, scene(), 65504).astype(np.float16), 1.0),
        (np.where(scene() > 0, scene(), 32001).astype(np.uint16), 1.0),
        (np.where(scene() > 0, scene(), 20000).astype(np.uint16), 1.0),
    ],
    ids=[
        "nan",
        "inf",
        "-inf",
        "65535.0",
        "65535",
        "int32",
        "int16",
        "1e10",
        "float max",
        "float16 max",
        "32001",
        "20 m",
    ],
)
def test_what_means_no_data_is_counted_and_becomes_zero(values: NDArray[Any], unit_mm: float) -> None:
    examined = examine_depth(values, unit_mm)
    missing = int((scene() == 0).sum())
    assert kinds(examined) == ["no data"] and f"{missing} pixels (3.1%)" in examined.notes[0].text
    assert np.array_equal(examined.depth_mm == 0, scene() == 0)
    assert examined.depth_mm == pytest.approx(scene(), abs=1.0)


def test_metres_with_nan_and_without_a_unit_look_like_metres() -> None:
    with pytest.raises(FrameError, match="looks like metres"):
        examine_depth(np.where(scene() > 0, scene() / 1000, np.nan), None)


def test_the_highest_value_of_a_header_is_no_data() -> None:
    values = np.where(scene() > 0, scene(), 4095).astype(np.uint16)
    examined = examine_depth(values, 1.0, no_data_from=4095)
    assert kinds(examined) == ["no data"] and np.array_equal(examined.depth_mm == 0, scene() == 0)


def test_decimals_without_a_unit_are_said_to_be_taken_as_millimetres() -> None:
    examined = examine_depth(scene(), None)
    assert kinds(examined) == ["unit"] and "millimetres" in examined.notes[0].text


def test_an_axis_that_runs_backwards_is_turned() -> None:
    examined = examine_depth(-scene() / 1000, 1000.0)
    assert kinds(examined) == ["turned"]
    assert examined.depth_mm == pytest.approx(scene(), rel=1e-6)
    with pytest.raises(FrameError, match="negative"):
        examine_depth(np.where(scene() > 0, scene(), -1), 1.0)


def test_pictures_and_inverse_depth_are_no_distances() -> None:
    inverse = np.where(scene() > 0, 1 / np.maximum(scene(), 1), 0)
    inverse = (inverse - inverse[scene() > 0].min()).clip(0)
    stretched = (inverse / inverse.max() * 65535).astype(np.uint16)
    with pytest.raises(FrameError, match="inverse depth"):
        examine_depth(stretched, 1.0)
    noise = np.random.default_rng(0).integers(1, 65535, (120, 160)).astype(np.uint16)
    with pytest.raises(FrameError, match=r"byte order|too large"):
        examine_depth(noise, 1.0)
    eight_bits = examine_depth((scene() / 1400 * 255).astype(np.uint16), 1.0)
    assert any("8-bit picture" in note.text for note in eight_bits.notes)
    disparity = np.where(scene() > 0, scene() * 0.7, 2047).astype(np.uint16)
    assert any("11 bits" in note.text for note in examine_depth(disparity, 1.0).notes)


def test_a_frame_without_data_says_so() -> None:
    assert kinds(examine_depth(np.zeros((4, 5), np.uint16), 1.0)) == ["no data"]


def test_real_frames_are_not_doubted(real_data: Path) -> None:
    """Hands near the camera in their own unit: nothing to say. Rooms without a hand neither: they begin at a metre."""
    cases = [
        (real_data / "hand-object" / "bar_red" / "depth" / "0223.png", 1.0),
        (real_data / "hand-object" / "cube_white" / "depth" / "0224.png", 1.0),
        (real_data / "table-scene" / "frame_000024_depth.png", 1.0),
        (real_data / "sr300" / "org_depth_img_init.png", 0.125),
        (real_data / "no-hand" / "desk_1.png", 1.0),
        (real_data / "no-hand" / "room_1.png", 1.0),
    ]
    for path, unit in cases:
        assert examine_depth(read_image(path), unit).notes == (), path
    raw = read_image(real_data / "sr300" / "org_depth_img_init.png")
    assert "0.1249866" in examine_depth(raw, 1.0).notes[0].text


@pytest.mark.parametrize("unit_mm", [None, 1.0])
def test_a_picture_normalised_to_one_has_no_unit(unit_mm: float | None) -> None:
    normalised = (scene() / scene().max()).astype(np.float32)
    with pytest.raises(FrameError, match=r"normalised to 0\.\.1 or a network's relative depth"):
        examine_depth(normalised, unit_mm)
    examined = examine_depth(normalised, 1000.0)
    assert any("exactly 1" in note.text for note in examined.notes if note.kind == "doubt")
    assert examine_depth((scene() / 1000).astype(np.float32), 1000.0).notes == ()
