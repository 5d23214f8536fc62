"""Colour to depth: the identity, worked occlusion strips, and scenes whose visibility is known from geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.alignment import align_colour_to_depth, registered
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame

RED, GREEN = (220, 30, 30), (30, 200, 40)


def random_colour(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)


def paint_planes(camera: Camera, edge_mm: float, near_mm: float) -> NDArray[np.uint8]:
    """What a colour camera sees of a red half plane (x < edge_mm, at near_mm) in front of a green plane."""
    ray = (np.arange(camera.width) - camera.cx) / camera.fx
    # The red plane at z = near_mm - t_z of this camera ends at x = edge_mm + t_x.
    red = ray * (near_mm + camera.translation_mm[2]) < edge_mm + camera.translation_mm[0]
    row = np.where(red[:, None], np.array(RED), np.array(GREEN)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row, (camera.height, camera.width, 3)))


def test_equal_cameras_give_the_input_bit_for_bit() -> None:
    camera = Camera.sr300(distorted=True)
    depth = np.random.default_rng(1).uniform(300, 310, (480, 640)).astype(np.float32)
    depth[100:120] = 0
    colour = random_colour(480, 640)
    aligned = align_colour_to_depth(Frame(depth, camera, colour, camera))
    assert np.array_equal(aligned.visible, depth > 0)
    assert np.array_equal(aligned.colour[depth > 0], colour[depth > 0])
    assert (aligned.colour[depth == 0] == 0).all()


@pytest.mark.parametrize(
    ("near", "far", "baseline"), [(400, 450, 25.7), (300, 600, 25.7), (350, 500, 60.0), (300, 700, -30)]
)
@pytest.mark.parametrize("enlargement", [1.0, 0.97, 3.0])
def test_hidden_strip_between_two_planes(near: float, far: float, baseline: float, enlargement: float) -> None:
    """Trap 4: the strip beside a nearer plane is f b (1/z1 - 1/z2) wide, and lies on one side only."""
    focal, edge = 476.0, 250
    depth_camera = Camera(focal, focal, 319.5, 59.5, 640, 120)
    depth = np.full((120, 640), far, np.float32)
    # The near plane hides the far one from the colour camera on the side away from it.
    near_side = slice(0, edge) if baseline < 0 else slice(edge, 640)
    depth[:, near_side] = near
    # A colour camera at +b to the right sees points moved to the left.
    wide = Camera(focal, focal, 319.5, 59.5, 640, 120, translation_mm=(-baseline, 0, 0))
    colour_camera = wide.resized(round(640 * enlargement), round(120 * enlargement))
    colour = random_colour(colour_camera.height, colour_camera.width)
    frame = Frame(depth, depth_camera, colour, colour_camera)
    visible = align_colour_to_depth(frame).visible
    u = np.arange(640) + focal * (-baseline) / depth[60]
    in_view = (u > 1) & (u < 638)
    hidden = ~visible & in_view
    width = focal * abs(baseline) * (1 / near - 1 / far)
    rows = hidden[5:-5].sum(axis=1)
    assert np.abs(rows - width).max() <= 1.0 + (enlargement != 1.0) * 0.5
    columns = np.flatnonzero(hidden[60])
    expected_side = columns >= edge if baseline < 0 else columns < edge
    assert expected_side.all()
    assert np.abs(columns - edge).max() <= width + 2


def test_strip_width_of_the_reference() -> None:
    """Worked values: 3.3 px at f = 462 and 9.9 px at f = 1387 between 400 and 450 mm."""
    assert pytest.approx(3.3, abs=0.05) == 462 * 25.7 * (1 / 400 - 1 / 450)
    assert pytest.approx(9.9, abs=0.05) == 1387 * 25.7 * (1 / 400 - 1 / 450)


def test_no_colour_of_the_front_is_painted_on_what_lies_behind() -> None:
    depth_camera = Camera.sr300()
    colour_camera = Camera(1386.69, 1386.69, 945.51, 545.70, 1920, 1080, translation_mm=(25.70, 0.57, 3.96))
    near, far = 350.0, 520.0
    red_side = np.arange(640) < 300
    depth = np.broadcast_to(np.where(red_side, near, far).astype(np.float32), (480, 640)).copy()
    edge_mm = (299.5 - depth_camera.cx) / depth_camera.fx * near
    frame = Frame(depth, depth_camera, paint_planes(colour_camera, edge_mm, near), colour_camera)
    aligned = align_colour_to_depth(frame)
    is_red = aligned.colour[..., 0] > 100
    behind = ~red_side[None, :]
    # Without the test of visibility a band of the green plane would be red: the trap is real in this scene.
    band = (is_red & behind).sum(axis=1)[200:280]
    assert band.min() >= 10
    painted = is_red & behind & aligned.visible
    # One column at the edge may mix, since a colour pixel lies across it.
    assert painted.sum(axis=1).max() <= 1
    # The colour camera sees less above and below than the depth camera.
    assert aligned.visible[100:380, 330:600].all()
    after = registered(frame)
    assert after.colour is not None
    assert after.colour_camera is None
    assert (after.colour[~aligned.visible] == 0).all()
    assert np.array_equal(after.colour[aligned.visible], aligned.colour[aligned.visible])


@pytest.mark.parametrize("tilt_deg", [0, 30, 60, 75])
@pytest.mark.parametrize("width", [640, 1920])
def test_a_plane_hides_nothing_of_itself(tilt_deg: float, width: int) -> None:
    """No speckles: neither gaps nor steps of the z-buffer may hide parts of one smooth surface."""
    depth_camera = Camera.sr300(distorted=True)
    colour_camera = Camera(1386.69, 1386.69, 945.51, 545.70, 1920, 1080, translation_mm=(25.70, 0.57, 3.96))
    colour_camera = colour_camera.resized(width, width * 9 // 16)
    rays = depth_camera.rays()
    slope = np.tan(np.radians(tilt_deg))
    with np.errstate(divide="ignore"):
        depth = 500 / (1 - rays[..., 0] * slope)
    depth[(depth < 250) | (depth > 900)] = 0
    frame = Frame(depth.astype(np.float32), depth_camera, random_colour(width * 9 // 16, width), colour_camera)
    visible = align_colour_to_depth(frame).visible
    pixels = colour_camera.project(colour_camera.from_reference(depth_camera.deproject(depth)))
    covered = (pixels >= 0).all(axis=-1) & (pixels[..., 0] <= width - 1) & (pixels[..., 1] <= width * 9 // 16 - 1)
    covered &= depth > 0
    assert covered.sum() > 50_000
    assert visible[covered].mean() == 1.0
    assert not visible[~covered].any()


def test_sampling_equals_a_slow_version_pixel_by_pixel() -> None:
    generator = np.random.default_rng(2)
    depth_camera = Camera(40, 41, 15.2, 11.7, 32, 24, (0.1437, 0.0462, 0.00426, 0.00561, 0.1072))
    angle = np.radians(3)
    rotation = (np.cos(angle), 0, np.sin(angle), 0, 1, 0, -np.sin(angle), 0, np.cos(angle))
    colour_camera = Camera(55, 56, 22.3, 17.1, 44, 33, (0, 0, 0, 0, 0), rotation, (8.0, 1.0, 2.0))
    depth = generator.uniform(390, 400, (24, 32)).astype(np.float32)
    depth[generator.random((24, 32)) < 0.1] = 0
    colour = random_colour(33, 44)
    aligned = align_colour_to_depth(Frame(depth, depth_camera, colour, colour_camera), tolerance_mm=50)
    k1, k2, k3, k4, k5 = depth_camera.distortion
    checked = 0
    for v in range(24):
        for u in range(32):
            z = float(depth[v, u])
            x, y = (u - 15.2) / 40, (v - 11.7) / 41
            r2 = x * x + y * y
            f = 1 + k1 * r2 + k2 * r2**2 + k5 * r2**3
            ray = (x * f + 2 * k3 * x * y + k4 * (r2 + 2 * x * x), y * f + 2 * k4 * x * y + k3 * (r2 + 2 * y * y), 1)
            point = np.array(rotation).reshape(3, 3) @ (z * np.array(ray)) + (8, 1, 2)
            u_c, v_c = 55 * point[0] / point[2] + 22.3, 56 * point[1] / point[2] + 17.1
            if z == 0 or not (0 <= u_c <= 43 and 0 <= v_c <= 32):
                assert not aligned.visible[v, u]
                assert (aligned.colour[v, u] == 0).all()
                continue
            left, top = min(int(u_c), 42), min(int(v_c), 31)
            a, b = u_c - left, v_c - top
            block = colour[top : top + 2, left : left + 2].astype(float)
            expected = (1 - b) * ((1 - a) * block[0, 0] + a * block[0, 1]) + b * (
                (1 - a) * block[1, 0] + a * block[1, 1]
            )
            # OpenCV samples at thirty-seconds of a pixel.
            assert np.abs(aligned.colour[v, u] - expected).max() <= 255 / 32 + 1
            assert aligned.visible[v, u]
            checked += 1
    assert checked > 400


def test_floating_rectangles_against_rays_cast_by_hand() -> None:
    """Random fronto-parallel rectangles: a point is hidden when its line to the colour camera crosses a nearer one."""
    generator = np.random.default_rng(7)
    camera = Camera(240, 240, 159.5, 119.5, 320, 240)
    colour_camera = replace(camera, translation_mm=(-30.0, 6.0, 0.0))
    rectangles = [(900.0, -9e3, 9e3, -9e3, 9e3)]
    for _ in range(14):
        x, y, z = generator.uniform(-120, 120), generator.uniform(-80, 80), generator.uniform(300, 700)
        rectangles.append((z, x, x + generator.uniform(25, 90), y, y + generator.uniform(25, 90)))
    rays = camera.rays()
    depth = np.full((240, 320), np.inf)
    for z, x0, x1, y0, y1 in rectangles:
        point = rays * z
        hit = (point[..., 0] > x0) & (point[..., 0] < x1) & (point[..., 1] > y0) & (point[..., 1] < y1)
        depth = np.where(hit & (z < depth), z, depth)
    points = rays * depth[..., None]
    eye = np.array([30.0, -6.0, 0.0])
    hidden = np.zeros(depth.shape, bool)
    for z, x0, x1, y0, y1 in rectangles:
        share = z / depth
        crossing = eye + (points - eye) * share[..., None]
        inside = (crossing[..., 0] > x0) & (crossing[..., 0] < x1) & (crossing[..., 1] > y0) & (crossing[..., 1] < y1)
        hidden |= inside & (z < depth - 10)
    frame = Frame(depth.astype(np.float32), camera, random_colour(240, 320), colour_camera)
    visible = align_colour_to_depth(frame).visible
    pixels = colour_camera.project(colour_camera.from_reference(points))
    covered = ((pixels >= 0) & (pixels <= (319, 239))).all(axis=-1)
    assert hidden[covered].sum() > 1200
    # The z-buffer knows only what the depth camera sees, so a rectangle hidden from that one can hide nothing here.
    wrong_hidden = covered & ~hidden & ~visible
    assert wrong_hidden.sum() < 0.15 * hidden[covered].sum()
    found = (covered & hidden & ~visible).sum() / (covered & hidden).sum()
    assert found > 0.85


def test_registered_colour_is_returned_as_it_is() -> None:
    depth = np.array([[0, 500]], np.float32)
    colour = random_colour(1, 2)
    aligned = align_colour_to_depth(Frame(depth, colour=colour))
    assert aligned.colour is colour
    assert aligned.visible.tolist() == [[False, True]]


def test_missing_colour_and_calibration_are_named() -> None:
    depth = np.full((2, 2), 500, np.float32)
    with pytest.raises(FrameError, match="no colour"):
        align_colour_to_depth(Frame(depth))
    with pytest.raises(FrameError, match="no depth camera"):
        align_colour_to_depth(Frame(depth, None, random_colour(2, 2), Camera(1, 1, 0, 0, 2, 2)))
