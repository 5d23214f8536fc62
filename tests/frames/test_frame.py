"""What counts as depth, and what a frame refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.frames.labelled import Instance, LabelledFrame


def test_sr300_steps_become_millimetres() -> None:
    """Trap 1: raw SR300 numbers are eighths of a millimetre."""
    depth = check_depth(np.full((2, 3), 4000, dtype=np.uint16), 0.1249866)
    assert depth.dtype == np.float32
    assert depth == pytest.approx(np.full((2, 3), 499.9464), abs=0.01)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.uint32, np.int64])
def test_whole_numbers_of_any_width_keep_their_value(dtype: type[Any]) -> None:
    values = np.array([[0, 1, 523], [1999, 32766, 7]], dtype=dtype)
    assert np.array_equal(check_depth(values, 1.0), values.astype(np.float32))


def test_float_depth_passes_without_a_copy() -> None:
    depth = np.full((2, 2), 500.0, dtype=np.float32)
    assert check_depth(depth, None) is depth


def test_metres_with_their_unit_become_millimetres() -> None:
    assert check_depth(np.full((2, 2), 0.5), 1000.0) == pytest.approx(np.full((2, 2), 500.0))


def bad(values: Any, unit_mm: float | None, *words: str) -> Any:
    return pytest.param(values, unit_mm, words, id=words[0])


@pytest.mark.parametrize(
    ("values", "unit_mm", "words"),
    [
        bad(np.zeros((4, 4), np.uint8), 1.0, "uint8", "16-bit", "raw"),
        bad(np.zeros((4, 4, 3), np.uint8), 1.0, "colour image", "(4, 4, 3)", "16-bit depth file"),
        bad(np.zeros((4, 4, 4), np.uint16), 1.0, "colour image came as depth (shape (4, 4, 4)"),
        bad(np.zeros((4, 4, 1), np.uint16), 1.0, "(4, 4, 1)", "(height, width)", "squeeze"),
        bad(np.zeros(7, np.uint16), 1.0, "shape (7,)", "(height, width)"),
        bad(np.zeros((0, 4), np.uint16), 1.0, "shape (0, 4)"),
        bad(np.zeros((4, 4), np.uint16), None, "without a unit", "--depth-unit-mm", "0.1249866"),
        bad(np.zeros((4, 4), np.uint16), 0.0, "unit is 0", "above 0"),
        bad(np.zeros((4, 4), np.uint16), float("nan"), "unit is nan"),
        bad(np.array([[500, -1]], np.int16), 1.0, "1 negative", "lowest -1", "uint16"),
        bad(np.array([[500.0, -3.0]]), None, "1 negative pixel(s), lowest -3"),
        bad(np.array([[0.4, 0.9]]), None, "looks like metres", "--depth-unit-mm 1000"),
        bad(np.full((4, 4), 600, np.uint16), 1000.0, "600 m on average", "too large"),
        bad(np.ones((4, 4), bool), 1.0, "came as bool"),
        bad(np.ones((4, 4), complex), 1.0, "complex128"),
        bad([[1, 2]], 1.0, "list", "numpy array"),
    ],
)
def test_what_is_no_depth_is_refused(values: Any, unit_mm: float | None, words: tuple[str, ...]) -> None:
    with pytest.raises(FrameError) as caught:
        check_depth(values, unit_mm)
    for word in words:
        assert word in str(caught.value)


def test_a_frame_of_no_data_is_a_frame() -> None:
    assert Frame(np.zeros((3, 4), np.float32)).depth_mm.max() == 0


def test_frame_refuses_raw_integers_and_names_itself() -> None:
    with pytest.raises(FrameError, match="frame 0027: depth came as uint16 without a unit"):
        Frame(np.zeros((3, 4), np.uint16), name="0027")


def test_frame_refuses_a_camera_of_another_size() -> None:
    with pytest.raises(FrameError, match=r"\(240, 320\) but its camera is 640x480"):
        Frame(np.zeros((240, 320), np.float32), Camera.sr300())


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        (np.zeros((3, 4), np.uint8), r"\(3, 4\) uint8"),
        (np.zeros((3, 4, 3), np.uint16), "uint16"),
        (np.zeros((4, 3, 3), np.uint8), "3x4 pixels; expected 4x3"),
    ],
)
def test_frame_refuses_what_is_no_registered_colour(colour: Any, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        Frame(np.zeros((3, 4), np.float32), colour=colour)


def test_colour_of_its_own_camera_has_that_size() -> None:
    depth, camera = np.zeros((3, 4), np.float32), Camera(5, 5, 3, 2, 8, 6)
    Frame(depth, colour=np.zeros((6, 8, 3), np.uint8), colour_camera=camera)
    with pytest.raises(FrameError, match="expected 8x6"):
        Frame(depth, colour=np.zeros((3, 4, 3), np.uint8), colour_camera=camera)


def test_points_need_a_camera() -> None:
    frame = Frame(np.full((480, 640), 500.0, np.float32), Camera.sr300())
    assert frame.points_mm()[0, 0] == pytest.approx((-321.29 * 500 / 475.96, -245.87 * 500 / 475.96, 500), abs=1e-6)
    with pytest.raises(FrameError, match="no camera"):
        Frame(frame.depth_mm).points_mm()


TABLE = (Instance(1, 1, "left hand"), Instance(2, 2, "mug"), Instance(3, 1, "right hand"))


def labelled(**changes: Any) -> LabelledFrame:
    values: dict[str, Any] = {
        "labels": np.array([[0, 1], [2, 255]], np.uint8),
        "instances": np.array([[0, 1], [2, 3]], np.uint8),
        "parts": np.array([[0, 20], [0, 21]], np.uint8),
        "joints_mm": np.zeros((2, 21, 3), np.float32),
        "joints_visible": np.zeros((2, 21), bool),
        "instance_table": TABLE,
    }
    return LabelledFrame(Frame(np.full((2, 2), 500, np.float32)), **(values | changes))


def test_hands_are_those_of_the_table_in_order() -> None:
    assert [hand.name for hand in labelled().hands] == ["left hand", "right hand"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.full((2, 2), 3, np.uint8)}, r"value\(s\) \[3\]"),
        ({"labels": np.zeros((2, 3), np.uint8)}, r"\(2, 3\) uint8"),
        ({"labels": np.zeros((2, 2), np.int64)}, "int64"),
        ({"instances": np.full((2, 2), 9, np.uint8)}, r"id\(s\) \[9\] that are not in the table"),
        ({"parts": np.full((2, 2), 22, np.uint8)}, "up to 22"),
        ({"joints_mm": np.zeros((1, 21, 3), np.float32)}, r"for 2 hand\(s\)"),
        ({"joints_mm": np.zeros((2, 21, 3))}, "float64"),
        ({"joints_mm": np.full((2, 21, 3), np.nan, np.float32)}, "NaN"),
        ({"instance_table": (*TABLE, Instance(1, 2, "cup"))}, "each id once"),
    ],
)
def test_wrong_ground_truth_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FrameError, match=words):
        labelled(**changes)


@pytest.mark.parametrize(("number", "label"), [(0, 1), (256, 1), (1, 0), (1, 255)])
def test_wrong_instances_are_refused(number: int, label: int) -> None:
    with pytest.raises(FrameError, match=r"expected an id of 1\.\.255"):
        Instance(number, label, "x")
