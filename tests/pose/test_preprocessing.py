"""The cube around the hand and local contrast normalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.preprocessing import (
    CropGeometry,
    crop_cube,
    crop_labels,
    local_contrast_normalisation,
    paste_labels,
)

CAMERA = Camera(300.0, 310.0, 160.0, 119.0, 320, 240, distortion=(0.02, 0.01, 0.001, 0.0, 0.0))


def slow_lcn(x: NDArray[np.float64], size: int = 9) -> NDArray[np.float64]:
    """Every window by hand, counting only pixels inside."""
    reach, weight = size // 2, np.exp(-0.5 * np.square((np.arange(size) - size // 2) / (size / 4)))
    height, width = x.shape

    def mean(image: NDArray[np.float64], row: int, column: int) -> float:
        total = norm = 0.0
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                if 0 <= row + i < height and 0 <= column + j < width:
                    w = weight[i + reach] * weight[j + reach]
                    total, norm = total + w * image[row + i, column + j], norm + w
        return total / norm

    each = [(row, column) for row in range(height) for column in range(width)]
    v = x - np.array([mean(x, *p) for p in each]).reshape(x.shape)
    s = np.sqrt(np.array([mean(v * v, *p) for p in each]).reshape(x.shape))
    return np.asarray(v / np.maximum(s, max(s.mean(), 1e-4)))


def test_lcn_equals_the_slow_version_and_the_module() -> None:
    image = np.random.default_rng(0).normal(size=(13, 17))
    expected = slow_lcn(image)
    np.testing.assert_allclose(local_contrast_normalisation(image), expected, atol=1e-5)
    module = LocalContrast()(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
    np.testing.assert_allclose(module, expected, atol=1e-5)


def test_lcn_ignores_a_constant_and_scale_and_survives_constant_images() -> None:
    image = np.random.default_rng(1).integers(0, 64, (48, 48)).astype(np.float64)
    plain = local_contrast_normalisation(image)
    np.testing.assert_array_equal(local_contrast_normalisation(image + 512.0), plain)
    np.testing.assert_allclose(local_contrast_normalisation(image * 7.0), plain, rtol=1e-5, atol=1e-6)
    for value in (0.0, 1.0, 700.0):
        np.testing.assert_array_equal(local_contrast_normalisation(np.full((48, 48), value)), 0.0)
    np.testing.assert_allclose(LocalContrast()(torch.ones(1, 1, 48, 48)).numpy(), 0.0, atol=2e-2)
    with pytest.raises(ValueError, match="odd"):
        local_contrast_normalisation(image, kernel=8)


@pytest.mark.parametrize(("roll_deg", "mirrored"), [(0.0, False), (37.0, False), (200.0, True)])
def test_joints_return_to_the_camera(roll_deg: float, mirrored: bool) -> None:
    geometry = CropGeometry(CAMERA, (40.0, -30.0, 520.0), 250.0, roll_deg=roll_deg, mirrored=mirrored)
    joints = np.array([40.0, -30.0, 520.0]) + np.random.default_rng(2).uniform(-120, 120, (21, 3))
    uvd = geometry.to_crop(joints)
    np.testing.assert_allclose(geometry.to_camera(uvd), joints, atol=1e-3)
    np.testing.assert_allclose(geometry.to_crop(np.array([40.0, -30.0, 520.0])), 0.0, atol=1e-9)


def test_crop_axes() -> None:
    """Right in the camera is right in the crop; mirrored it is left; turned by 90 degrees `u` looks down the frame."""
    camera = replace(CAMERA, distortion=(0.0,) * 5)
    right, down = np.array([62.5, 0.0, 500.0]), np.array([0.0, 62.5, 500.0])
    plain = CropGeometry(camera, (0.0, 0.0, 500.0), 250.0)
    np.testing.assert_allclose(plain.to_crop(right), [0.5, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(replace(plain, mirrored=True).to_crop(right), [-0.5, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(replace(plain, roll_deg=90.0).to_crop(down), [0.5, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(plain.to_crop([0.0, 0.0, 625.0])[2], 1.0)


def test_crop_of_a_plane_with_a_hole_and_something_in_front() -> None:
    depth = np.full((240, 320), 520.0, np.float32)
    depth[:, 161:] = 0.0  # no data
    depth[100:140, 120:130] = 300.0  # in front of the cube
    mask = np.ones((240, 320), bool)
    mask[:110] = False
    geometry = CropGeometry(replace(CAMERA, distortion=(0.0,) * 5), (0.0, 0.0, 500.0), 250.0)
    crop = crop_cube(depth, geometry, mask)
    assert crop.shape == (48, 48) and crop.dtype == np.float32
    np.testing.assert_allclose(np.unique(crop), [0.16, 1.0], atol=1e-6)  # (520 - 500) / 125
    assert (crop[:, 30:] == 1.0).all() and (crop[:10] == 1.0).all() and (crop[40, :20] < 1.0).all()
    labels = crop_labels((depth > 400).astype(np.uint8) * 7, geometry)
    pasted = paste_labels(labels, geometry, depth > 400, depth.shape)
    inside = np.zeros_like(mask)
    inside[70:170, 90:150] = True
    assert (pasted[inside & (depth > 400)] == 7).mean() > 0.97 and not pasted[depth < 400].any()
    with pytest.raises(ValueError, match="same shape"):
        crop_cube(depth, geometry, mask[1:])
    with pytest.raises(ValueError, match="in front of the camera"):
        CropGeometry(CAMERA, (0.0, 0.0, 0.0))
