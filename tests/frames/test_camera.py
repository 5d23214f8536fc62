"""Cameras against formulas written out pixel by pixel."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError

SR300_DISTORTION = (0.1437, 0.0462, 0.00426, 0.00561, 0.1072)


def slow_ray(camera: Camera, u: float, v: float) -> tuple[float, float]:
    """Reference 3.2, term by term: the polynomial applied from image to ray."""
    k1, k2, k3, k4, k5 = camera.distortion
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    r2 = x**2 + y**2
    f = 1 + k1 * r2 + k2 * r2**2 + k5 * r2**3
    return x * f + 2 * k3 * x * y + k4 * (r2 + 2 * x**2), y * f + 2 * k4 * x * y + k3 * (r2 + 2 * y**2)


def pixel_grid(camera: Camera) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).astype(float)


def test_sr300_preset_has_the_published_calibration() -> None:
    camera = Camera.sr300(distorted=True)
    assert (camera.fx, camera.fy) == (475.96, 475.96)
    assert camera.cx == pytest.approx(321.29)
    assert camera.cy == pytest.approx(245.87)
    assert camera.distortion == SR300_DISTORTION
    assert not Camera.sr300().is_distorted


def test_preset_at_half_size_equals_the_resized_camera() -> None:
    half, resized = Camera.sr300(320, 240), Camera.sr300().resized(320, 240)
    for name in ("fx", "fy", "cx", "cy"):
        assert getattr(half, name) == pytest.approx(getattr(resized, name))


def test_preset_of_another_aspect_keeps_square_pixels_and_the_middle_row() -> None:
    wide = Camera.kinect(640, 360)
    assert (wide.fx, wide.fy) == (588.03, 587.07)
    assert wide.cy == pytest.approx(240.0 - 60.0)


def test_deproject_follows_the_inverse_polynomial() -> None:
    camera = Camera.sr300(distorted=True)
    depth = np.random.default_rng(1).uniform(200, 900, (480, 640))
    points = camera.deproject(depth)
    for u, v in ((0, 0), (639, 0), (0, 479), (639, 479), (321, 246), (100, 400)):
        x, y = slow_ray(camera, u, v)
        assert points[v, u] == pytest.approx((x * depth[v, u], y * depth[v, u], depth[v, u]), abs=1e-9)


def test_distortion_moves_the_corner_outwards_by_several_pixels() -> None:
    """Guards against a polynomial that is read but never used."""
    straight, bent = Camera.sr300(), Camera.sr300(distorted=True)
    assert np.abs(straight.rays()[0, 0] - bent.rays()[0, 0]).max() * straight.fx > 10


def test_project_inverts_deproject_on_every_pixel() -> None:
    """Trap 5: the polynomial used the wrong way round misses by pixels at the corner."""
    camera = Camera.sr300(distorted=True)
    back = camera.project(camera.deproject(np.full((480, 640), 431.0)))
    assert np.abs(back - pixel_grid(camera)).max() < 1e-3


def test_applying_the_polynomial_forward_would_miss() -> None:
    camera = Camera.sr300(distorted=True)
    x, y = slow_ray(camera, 0, 0)
    wrong_u = slow_ray(Camera(1, 1, 0, 0, 1, 1, camera.distortion), x, y)[0] * camera.fx + camera.cx
    assert abs(wrong_u) > 1.0


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(-0.15, 0.2)] * 2, *[st.floats(-0.01, 0.01)] * 2, st.floats(-0.1, 0.15)),
    st.floats(0, 319),
    st.floats(0, 239),
    st.floats(100, 3000),
)
def test_project_inverts_deproject_for_any_mild_lens(
    distortion: tuple[float, ...], u: float, v: float, depth: float
) -> None:
    camera = Camera(240.0, 238.0, 160.3, 118.9, 320, 240, distortion)
    assert camera.project(camera.deproject_pixels([u, v], depth)) == pytest.approx([u, v], abs=1e-3)


def test_project_gives_nan_behind_the_camera_and_beyond_the_lens() -> None:
    camera = Camera.sr300()
    assert np.isnan(camera.project([[0.0, 0.0, 0.0], [1.0, 2.0, -5.0]])).all()
    # This lens folds over: its rays never get steeper than about x = 0.72.
    folding = Camera(300, 300, 160, 120, 320, 240, (-0.7, 0.0, 0.0, 0.0, 0.0))
    assert np.isnan(folding.project([900.0, 0.0, 300.0])).all()


def test_resized_camera_sees_the_same_rays_at_the_same_place_of_the_image() -> None:
    camera = Camera.sr300(distorted=True)
    small = camera.resized(320, 160)
    # The centre of the first 2 x 3 block of large pixels is the centre of the first small pixel.
    block = camera.deproject_pixels([0.5, 1.0], 1.0)
    assert small.deproject_pixels([0, 0], 1.0) == pytest.approx(block, abs=1e-12)


def test_cropped_camera_sees_the_same_rays() -> None:
    camera = Camera.sr300(distorted=True)
    window = camera.cropped(100, 50, 64, 32)
    assert np.array_equal(window.rays().shape, (32, 64, 3))
    assert window.rays() == pytest.approx(camera.rays()[50:82, 100:164], abs=1e-12)


def test_extrinsics_follow_r_x_plus_t_and_back() -> None:
    angle = math.radians(20)
    rotation = (math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0, 0, 0, 1)
    camera = Camera(400, 400, 160, 120, 320, 240, rotation=rotation, translation_mm=(25.7, 0.57, 3.96))
    x, y, z = 30.0, -12.0, 500.0
    expected = (
        x * math.cos(angle) - y * math.sin(angle) + 25.7,
        x * math.sin(angle) + y * math.cos(angle) + 0.57,
        503.96,
    )
    assert camera.from_reference([x, y, z]) == pytest.approx(expected)
    assert camera.to_reference(expected) == pytest.approx((x, y, z))


def test_dictionary_round_trip_through_json_is_exact() -> None:
    camera = Camera(475.961, 476.05, 1 / 3, 0.1, 640, 480, SR300_DISTORTION, translation_mm=(25.7, 0.57, 3.96))
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera
    assert hash(Camera.from_dict(camera.to_dict())) == hash(camera)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fx": 1}, "missing: fy, cx, cy, width, height"),
        ({"fx": 1, "fy": 1, "cx": 0, "cy": 0, "width": 2, "height": 2, "skew": 0}, "unknown: skew"),
        ({"fx": "wide", "fy": 1, "cx": 0, "cy": 0, "width": 2, "height": 2}, "not a number"),
        ({"fx": -1, "fy": 1, "cx": 0, "cy": 0, "width": 2, "height": 2}, "fx is -1.0"),
        ({"fx": 1, "fy": 1, "cx": math.nan, "cy": 0, "width": 2, "height": 2}, "cx is nan"),
        ({"fx": 1, "fy": 1, "cx": 0, "cy": 0, "width": 2.5, "height": 2}, "width is 2.5"),
        ({"fx": 1, "fy": 1, "cx": 0, "cy": 0, "width": 2, "height": 2, "distortion": [1]}, "expected 5 finite"),
        (
            {"fx": 1, "fy": 1, "cx": 0, "cy": 0, "width": 2, "height": 2, "rotation": [2, 0, 0, 0, 1, 0, 0, 0, 1]},
            "rotation",
        ),
    ],
)
def test_wrong_calibrations_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(FrameError, match=words.replace("(", r"\(")):
        Camera.from_dict(values)


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="640x480"):
        Camera.sr300().deproject(np.zeros((240, 320)))
