"""Pictures: what is in them, measured on their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspcut.draw import (
    contact_sheet,
    depth_to_colour,
    draw_joints,
    overlay,
    overlay_parts,
    shaded_depth,
    write_point_cloud,
)
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.labels import PART_COLOURS


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A wall with a nearer square of hand and one of object, and a hole without data."""
    depth = np.full((60, 80), 800, np.float32)
    labels = np.zeros((60, 80), np.uint8)
    depth[10:30, 10:30], labels[10:30, 10:30] = 500, 1
    depth[10:30, 40:60], labels[10:30, 40:60] = 500, 2
    depth[40:50, 10:30] = 0
    return depth, labels


def test_overlay_is_warm_on_the_hand_cool_on_the_object_and_grey_elsewhere() -> None:
    depth, labels = scene()
    picture = overlay(depth, labels).astype(int)
    assert picture.shape == (60, 80, 3)
    red, green, blue = picture[20, 20]
    assert red > green > blue
    assert red > blue + 60
    red, green, blue = picture[20, 50]
    assert blue > green > red
    wall = picture[35, 70]
    assert wall.max() - wall.min() <= 1
    assert wall.max() > 40
    assert picture[45, 20].max() < 30


def test_contour_is_one_pixel_inside_the_edge_and_optional() -> None:
    depth, labels = scene()
    outlined, plain = overlay(depth, labels), overlay(depth, labels, contours=False)
    changed = (outlined != plain).any(axis=-1)
    expected = np.zeros_like(changed)
    for left in (10, 40):
        expected[10:30, left : left + 20] = True
        expected[11:29, left + 1 : left + 19] = False
    assert np.array_equal(changed, expected)
    assert outlined[10, 20].astype(int).sum() > plain[10, 20].astype(int).sum()


def test_a_hand_cut_by_the_border_has_no_line_there() -> None:
    depth, labels = np.full((20, 20), 500, np.float32), np.ones((20, 20), np.uint8)
    assert np.array_equal(overlay(depth, labels), overlay(depth, labels, contours=False))


def test_unknown_pixels_are_neither_hand_nor_object() -> None:
    depth, labels = scene()
    labels[labels == 1] = 255
    unknown, known = overlay(depth, labels)[20, 20].astype(int), overlay(*scene())[20, 20].astype(int)
    assert unknown[2] > unknown[1]
    assert np.abs(unknown - known).max() > 40


def test_shading_follows_the_light_from_the_upper_left() -> None:
    rows, columns = np.mgrid[:61, :81]
    dome = (700 - 0.1 * (40**2 - (columns - 40.0) ** 2) - 0.1 * (30**2 - (rows - 30.0) ** 2)).astype(np.float32)
    shade = shaded_depth(dome)
    assert shade[15, 20] > shade[45, 60] + 0.1
    assert shade.min() >= 0
    assert shade.max() <= 1


def test_shading_ignores_missing_data() -> None:
    depth = np.full((20, 20), 500, np.float32)
    whole = shaded_depth(depth)
    depth[:, :5] = 0
    with_hole = shaded_depth(depth)
    assert (with_hole[:, :5] == 0).all()
    assert with_hole[:, 5:] == pytest.approx(whole[:, 5:], abs=1e-5)
    assert (shaded_depth(np.zeros((4, 4), np.float32)) == 0).all()


def test_depth_colours_run_from_red_near_to_blue_far_with_black_for_no_data() -> None:
    depth = np.linspace(400, 900, 100, dtype=np.float32)[None].repeat(10, axis=0)
    depth[0] = 0
    picture = depth_to_colour(depth, 400, 900).astype(int)
    assert picture[5, 2, 0] > picture[5, 2, 2]
    assert picture[5, 97, 2] > picture[5, 97, 0]
    assert (picture[0] == 0).all()
    assert picture[1:].sum(axis=-1).min() > 60
    assert (depth_to_colour(np.zeros((3, 3), np.float32)) == 0).all()


def test_one_flying_pixel_does_not_move_the_colours() -> None:
    depth = np.linspace(400, 900, 10_000, dtype=np.float32).reshape(100, 100)
    before = depth_to_colour(depth).astype(int)
    depth[50, 50] = 50
    difference = np.abs(depth_to_colour(depth).astype(int) - before).max(axis=-1)
    difference[50, 50] = 0
    assert difference.max() <= 8


def test_parts_have_the_hue_of_their_table() -> None:
    depth = np.full((22, 30), 500, np.float32)
    parts = np.arange(22, dtype=np.uint8)[:, None].repeat(30, axis=1)
    picture = overlay_parts(depth, parts).astype(float)
    for value in range(1, 22):
        shown, wanted = picture[value, 15], PART_COLOURS[value].astype(float)
        assert shown / np.linalg.norm(shown) == pytest.approx(wanted / np.linalg.norm(wanted), abs=0.08)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(FrameError, match="same shape"):
        overlay(np.ones((3, 4), np.float32), np.ones((4, 3), np.uint8))


def test_joints_are_drawn_where_they_are() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    joints = np.full((21, 2), np.nan)
    joints[0], joints[1], joints[5] = (100, 150), (60, 120), (100, 60)
    picture = draw_joints(image, joints)
    for x, y in ((100, 150), (60, 120), (100, 60), (80, 135)):
        assert picture[y, x].max() > 60
    assert (image == 0).all()
    # Wrist to index knuckle is a bone, thumb to index knuckle is none.
    assert picture[105, 100].max() > 60
    assert picture[90, 80].max() == 0


def test_contact_sheet_holds_every_picture_whole() -> None:
    images = [np.full((20 + number, 30, 3), 10 * number + 5, np.uint8) for number in range(5)]
    sheet = contact_sheet(images, 3, [f"frame {number}" for number in range(5)])
    for image in images:
        rows, columns = np.nonzero((sheet == image[0, 0]).all(axis=-1))
        assert len(rows) >= image.shape[0] * 30
        assert rows.max() - rows.min() + 1 >= image.shape[0]
        assert columns.max() - columns.min() + 1 >= 30
    grey = contact_sheet([np.full((9, 9), 77, np.uint8)], 4)
    assert (grey == 77).all(axis=-1).sum() == 81


def test_titles_are_drawn_and_long_ones_cut() -> None:
    image = np.zeros((40, 90, 3), np.uint8)
    empty, short = contact_sheet([image], 1, [""]), contact_sheet([image], 1, ["hand"])
    assert (empty != short).any()
    long = contact_sheet([image], 1, ["an endless title " * 20])
    assert long.shape == short.shape
    # Nothing is drawn in the margin on the right.
    assert np.array_equal(long[:, -6:], empty[:, -6:])


@pytest.mark.parametrize(("count", "columns", "titles"), [(0, 2, None), (2, 0, None), (2, 2, ["one"])])
def test_impossible_sheets_are_refused(count: int, columns: int, titles: list[str] | None) -> None:
    with pytest.raises(FrameError, match="pictures with"):
        contact_sheet([np.zeros((2, 2, 3), np.uint8)] * count, columns, titles)


def read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    data = path.read_bytes()
    header, _, body = data.partition(b"end_header\n")
    lines = header.decode().splitlines()
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    return lines, np.frombuffer(body, dtype=fields)


def test_point_cloud_is_a_binary_ply_of_the_valid_points(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(0, 300, (5, 7, 3))
    points[2, 3] = 0
    points[1, 1, 0] = np.nan
    colours = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_point_cloud(tmp_path / "a.ply", points, colours)
    lines, vertices = read_ply(tmp_path / "a.ply")
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "element vertex 33" in lines
    keep = np.ones((5, 7), bool)
    keep[2, 3] = keep[1, 1] = False
    assert np.stack([vertices[name] for name in "xyz"], axis=1) == pytest.approx(points[keep], rel=1e-6)
    assert np.array_equal(np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1), colours[keep])
    write_point_cloud(tmp_path / "b.ply", points)
    assert read_ply(tmp_path / "b.ply")[1].dtype.names == ("x", "y", "z")
    with pytest.raises(FrameError, match="same shape for colours"):
        write_point_cloud(tmp_path / "c.ply", points, colours[:2])


def test_overlay_of_a_real_frame_separates_hand_and_object(real_data: Path) -> None:
    entry = DatasetReader(real_data / "hand-object" / "bar_red", depth_unit_mm=1.0)[0]
    picture = overlay(entry.frame.depth_mm, entry.labels, contours=False).astype(int)
    hand, held = picture[entry.labels == 1], picture[entry.labels == 2]
    assert (hand[:, 0] > hand[:, 2]).all()
    assert (held[:, 2] > held[:, 0]).all()
    # Shading shows: the palm is not one flat colour.
    assert hand[:, 0].std() > 8
