"""Cameras from the files in which people have them, from numbers, and by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.distortion import image_to_ray, inverse_distortion
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.intrinsics import check_field_of_view

FX, FY, CX, CY = 475.5, 476.5, 318.25, 241.75
MATRIX: list[list[float]] = [[FX, 0, CX], [0, FY, CY], [0, 0, 1]]
ROS = f"""header:
  frame_id: camera
image_width: 640
image_height: 480
camera_name: depth
camera_matrix:
  rows: 3
  cols: 3
  data: [{FX}, 0., {CX},
         0., {FY}, {CY},
         0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0, 0, 0, 0, 0]
"""
ROSTOPIC = f"""header:
  seq: 5
height: 480
width: 640
distortion_model: "plumb_bob"
D: [0.0, 0.0, 0.0, 0.0, 0.0]
K: [{FX}, 0.0, {CX}, 0.0, {FY}, {CY}, 0.0, 0.0, 1.0]
P: [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""
ROS2 = "width: 640\nheight: 480\nk:\n" + "".join(f"- {value}\n" for row in MATRIX for value in row)
OPENCV = f"""%YAML:1.0
---
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ {FX}, 0., {CX}, 0., {FY}, {CY}, 0., 0., 1. ]
"""
REALSENSE = {
    "width": 640,
    "height": 480,
    "ppx": CX,
    "ppy": CY,
    "fx": FX,
    "fy": FY,
    "model": "brown_conrady",
    "coeffs": [0] * 5,
}
OPEN3D = {"width": 640, "height": 480, "intrinsic_matrix": [FX, 0, 0, 0, FY, 0, CX, CY, 1]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ours.json", json.dumps(Camera(FX, FY, CX, CY, 640, 480).to_dict())),
        ("recording.json", json.dumps({"camera": Camera(FX, FY, CX, CY, 640, 480).to_dict(), "depth_unit_mm": 1})),
        ("realsense.json", json.dumps(REALSENSE)),
        ("two.json", json.dumps({"color": REALSENSE | {"fx": 999}, "depth": REALSENSE})),
        ("open3d.json", json.dumps(OPEN3D)),
        ("bop.json", json.dumps({"0": {"cam_K": [value for row in MATRIX for value in row], "depth_scale": 0.1}})),
        ("matrix.json", json.dumps(MATRIX)),
        ("K.txt", "\n".join(" ".join(str(value) for value in row) for row in MATRIX)),
        ("four.txt", f"{FX}, {FY}, {CX}, {CY}"),
        ("ros.yaml", ROS),
        ("rostopic.yaml", ROSTOPIC),
        ("ros2.yaml", ROS2),
        ("opencv.yml", OPENCV),
        ("transforms.json", json.dumps({"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": 640, "h": 480, "k1": 0.0})),
        ("kalibr.yaml", f"cam0:\n  intrinsics: [{FX}, {FY}, {CX}, {CY}]\n  resolution: [640, 480]\n"),
        ("orbslam.yaml", f"Camera.fx: {FX}\nCamera.fy: {FY}\nCamera.cx: {CX}\nCamera.cy: {CY}\nCamera.width: 640\n"),
        ("lines.txt", f"fx = {FX}\nfy = {FY}\ncx = {CX}\ncy = {CY}\n"),
        ("lines.conf", f"[camera]\nfx={FX}\nfy={FY}\ncx={CX}\ncy={CY}\n"),
    ],
)
def test_files_of_every_kind_give_the_same_camera(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert Camera.load(tmp_path / name, 640, 480) == Camera(FX, FY, CX, CY, 640, 480)
    says_its_size = "height" in content or '"h"' in content
    half = Camera.load(tmp_path / name, 320, 240) if says_its_size else None
    assert half is None or half == Camera(FX, FY, CX, CY, 640, 480).resized(320, 240)


def test_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "K.npy", np.array(MATRIX))
    np.savez(tmp_path / "c.npz", other=np.zeros(3), K=np.array(MATRIX))
    for name in ("K.npy", "c.npz"):
        assert Camera.load(tmp_path / name, 640, 480).fx == FX
    with pytest.raises(FrameError, match="size of the pictures is not known"):
        Camera.load(tmp_path / "K.npy")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello", "no intrinsics that are known"),
        ("{}", "no intrinsics that are known"),
        ("[[1, 2], [3]]", "no intrinsics|numbers"),
        (json.dumps({"K": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}), "no camera matrix"),
        (json.dumps({"fx": "wide", "fy": 1, "cx": 1, "cy": 1}), "no intrinsics"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps(REALSENSE | {"width": 640, "height": 360}), "another shape"),
        (f"{FX} {FY} 900 700", "principal point"),
    ],
)
def test_what_is_no_camera_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "camera.txt").write_text(content)
    with pytest.raises(FrameError, match=words) as caught:
        Camera.load(tmp_path / "camera.txt", 640, 480)
    assert "camera.txt" in str(caught.value)


def test_a_forward_distortion_becomes_an_inverse_one(tmp_path: Path) -> None:
    coefficients = (0.12, -0.25, 0.001, -0.0005, 0.08)
    (tmp_path / "ros.yaml").write_text(ROS.replace("data: [0, 0, 0, 0, 0]", f"data: {list(coefficients)}"))
    named = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": 640, "h": 480}
    named |= dict(zip(("k1", "k2", "p1", "p2", "k3"), coefficients, strict=True))
    (tmp_path / "transforms.json").write_text(json.dumps(named))
    assert Camera.load(tmp_path / "transforms.json") == Camera.load(tmp_path / "ros.yaml")
    camera = Camera.load(tmp_path / "ros.yaml")
    k1, k2, p1, p2, k3 = coefficients
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 13), np.linspace(-0.45, 0.45, 9))
    r2 = x * x + y * y
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    seen = x * factor + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * factor + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    back = image_to_ray(camera.distortion, *seen)
    assert np.abs(back[0] - x).max() * FX < 0.5 and np.abs(back[1] - y).max() * FY < 0.5
    assert inverse_distortion(coefficients, FX, FY, CX, CY, 640, 480)[1] < 0.5


@pytest.mark.parametrize("value", [(FX, FY, CX, CY), [FX, FY, CX, CY], np.array(MATRIX), MATRIX, np.eye(4) * 0 + 1])
def test_python_takes_numbers_and_matrices(value: Any) -> None:
    depth: Any = np.full((480, 640), 500, np.float32)
    make: Any = Frame
    if isinstance(value, np.ndarray) and value.shape == (4, 4):
        with pytest.raises(FrameError, match="no camera matrix"):
            make(depth, value)
        return
    assert make(depth, value).camera == Camera(FX, FY, CX, CY, 640, 480)


def test_known_cameras() -> None:
    assert (Camera.d435().width, Camera.d435().height) == (848, 480)
    assert Camera.d435(640).fx == 386 and Camera.d435(640).height == 480
    assert Camera.d435(1280).fx == pytest.approx(643.3) and Camera.d435(1280).height == 720
    assert Camera.d435(424).fx == pytest.approx(213.1, abs=0.01) and Camera.d435(424).height == 240
    assert Camera.azure_kinect().fx == 504 and Camera.azure_kinect(512).fx == 252
    assert Camera.d435(640, 360).fx == pytest.approx(321.65)
    assert (Camera.kinect_v2().fx, Camera.kinect_v2().cx, Camera.kinect_v2().height) == (365.456, 254.878, 424)
    assert Camera.of("kinect_v2", 256, 212).fx == pytest.approx(182.728)
    assert Camera.sr300() == Camera(475.96, 475.96, 321.29, 245.87, 640, 480)
    assert Camera.preset("Azure-Kinect") == Camera.azure_kinect()
    with pytest.raises(FrameError, match="expected one of azure_kinect, d405"):
        Camera.preset("webcam")


@pytest.mark.parametrize(
    ("width", "height", "focal"), [(640, 480, 0.5), (640, 480, 80.0), (1, 2000, 0.745), (640, 480, 1e6)]
)
def test_absurd_fields_of_view_are_refused(width: int, height: int, focal: float) -> None:
    with pytest.raises(FrameError, match=r"field of view of .* degrees"):
        Camera.from_focal_length(width, height, focal)
    for usual in (0.35, 0.745, 1.5, 10):
        check_field_of_view(width, width, usual * width, usual * width)
