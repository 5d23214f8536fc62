"""Depth encodings: robust nearest depth, invalid pixels, slopes, scale, symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graspcut.nn.depth_encoding import (
    ENCODINGS,
    GeometryEncoding,
    RawEncoding,
    SlabEncoding,
    build_encoding,
    robust_nearest_mm,
)

FOCAL = torch.tensor([240.0])


def plane(distance_mm: float = 500.0, height: int = 48, width: int = 64) -> Tensor:
    return torch.full((1, 1, height, width), distance_mm)


def scene(seed: int = 0, height: int = 48, width: int = 64) -> Tensor:
    """A rough foreground before a far background, a tenth of the pixels invalid."""
    generator = np.random.default_rng(seed)
    depth = np.full((height, width), 900.0)
    box = depth[height // 4 : height // 2, width // 4 : width // 2]
    box[:] = 500 + 20 * generator.random(box.shape)
    depth[generator.random((height, width)) < 0.1] = 0.0
    return torch.from_numpy(depth).float().reshape(1, 1, height, width)


def test_nearest_ignores_invalid_and_flying_pixels() -> None:
    depth = plane()
    assert robust_nearest_mm(depth).item() == 500.0
    depth[..., 8:20, 8:20] = 0.0
    depth[..., 30, 30] = 50.0
    assert robust_nearest_mm(depth).item() == 500.0
    depth[..., 30:32, 30:32] = 50.0
    assert robust_nearest_mm(depth).item() == 500.0
    depth[..., 24:36, 24:36] = 300.0
    assert robust_nearest_mm(depth).item() == 300.0


def test_nearest_of_a_frame_without_whole_blocks_is_zero() -> None:
    depth = plane()
    depth[..., ::3, :] = 0.0
    assert robust_nearest_mm(depth).item() == 0.0
    assert robust_nearest_mm(torch.zeros(2, 1, 8, 8)).flatten().tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="whole frame"):
        robust_nearest_mm(torch.zeros(1, 1, 3, 9))


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_invalid_pixels_are_zero_everything_is_finite_and_frames_do_not_mix(name: str) -> None:
    encoding = build_encoding(name)
    depth = torch.cat((scene(0), scene(1) * 2, torch.zeros(1, 1, 48, 64)))
    encoded = encoding(depth, FOCAL.expand(3))
    assert encoded.shape == (3, encoding.channels, 48, 64)
    assert torch.isfinite(encoded).all()
    assert not (encoded * (depth == 0)).any()
    for index in range(3):
        assert torch.equal(encoded[index : index + 1], encoding(depth[index : index + 1], FOCAL))


def test_slab_of_the_paper() -> None:
    depth = plane(2000.0)
    depth[..., :8], depth[..., 8:16], depth[..., 16:24] = 500.0, 580.0, 661.0
    depth[..., 40, 40] = 0.0
    depth[..., 41, 41] = 60.0
    row = SlabEncoding()(depth, FOCAL)
    assert row[0, 0, 20, [0, 8, 16, 24]].tolist() == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert row[0, 0, 40, 40] == 0 and row[0, 0, 41, 41] == 0


def test_raw_is_depth_over_the_farthest() -> None:
    depth = plane(500.0)
    depth[..., :8] = 2000.0
    assert RawEncoding()(depth, FOCAL)[0, 0, 0, [0, 20]].tolist() == [1.0, 0.25]


def test_slopes_of_a_tilted_plane_do_not_depend_on_distance_or_focal_length() -> None:
    """A plane z = z0 + 0.5 x + 0.25 y has slopes 0.5 and 0.25 wherever and however it is seen."""
    for distance, focal in ((400.0, 240.0), (800.0, 240.0), (400.0, 480.0)):
        columns = (torch.arange(64.0) - 32) / focal
        rows = (torch.arange(48.0)[:, None] - 24) / focal
        depth = (distance / (1 - 0.5 * columns - 0.25 * rows)).reshape(1, 1, 48, 64)
        encoded = GeometryEncoding()(depth, torch.tensor([focal]))
        inner = encoded[0, 4:, 20:28, 28:36]
        expected = torch.stack((0.5 / (1 - 0.5 * columns), 0.25 / (1 - 0.5 * columns)))[:, 28:36]
        # A pixel column is not a line of constant y on the plane: perspective steepens both slopes by a few percent.
        assert torch.allclose(inner.mean(dim=1), expected, rtol=0.06)


def test_slopes_need_valid_neighbours_and_are_clipped() -> None:
    depth = plane()
    depth[..., 20, 30] = 0.0
    depth[..., :, 50:] = 900.0
    slopes = GeometryEncoding()(depth, FOCAL)[0, 4:]
    assert not slopes[0, 20, 29:32].any() and not slopes[1, 19:22, 30].any()
    assert slopes[0, 5, [48, 49, 50, 51]].tolist() == [0.0, 3.0, 3.0, 0.0]


def test_slopes_equal_a_loop_over_pixels() -> None:
    depth = scene(5, 23, 31).double()
    slopes = GeometryEncoding()(depth, FOCAL)[0, 4:]
    image = depth[0, 0].numpy()
    for row in range(23):
        for column in range(31):
            for channel, (down, right) in enumerate(((0, 1), (1, 0))):
                expected = 0.0
                inside = down <= row < 23 - down and right <= column < 31 - right
                if inside and image[row, column] > 0:
                    before, after = image[row - down, column - right], image[row + down, column + right]
                    if before > 0 and after > 0:
                        expected = np.clip((after - before) / (2 * image[row, column] / 240.0), -3.0, 3.0)
                assert slopes[channel, row, column].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("factor", [2, 4, 6])
@pytest.mark.parametrize("size", [(5, 7), (1, 3), (1, 1)])
def test_enlarging_is_bilinear_interpolation(size: tuple[int, int], factor: int) -> None:
    blocks = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = functional.interpolate(blocks, scale_factor=float(factor), mode="bilinear", align_corners=False)
    assert torch.allclose(GeometryEncoding._enlarge(blocks, factor), expected, atol=1e-12)


def test_millimetres_keep_their_precision_under_autocast() -> None:
    """bfloat16 has 8 bits: 800 mm and 803 mm would be one number."""
    depth = plane(800.0)
    depth[..., 20:, :] = 803.0
    expected = GeometryEncoding()(depth, FOCAL)
    assert expected[0, 5, 20, 10] == pytest.approx(3.0 / (2 * 803.0 / 240.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(GeometryEncoding()(depth, FOCAL), expected)


def test_scale_channel_is_the_log_of_the_pixel_width() -> None:
    for distance, focal in ((480.0, 240.0), (960.0, 240.0), (480.0, 480.0)):
        encoded = GeometryEncoding()(plane(distance), torch.tensor([focal]))
        assert encoded[0, 2, 5, 5].item() == pytest.approx(math.log(distance / focal / 2.0), abs=1e-6)


def _window_mean(image: NDArray[np.float64], block_row: int, block_column: int) -> float:
    """Mean of the valid pixels in 9x9 blocks of 4x4 pixels about a block."""
    rows = slice(max(4 * (block_row - 4), 0), 4 * (block_row + 5))
    columns = slice(max(4 * (block_column - 4), 0), 4 * (block_column + 5))
    window = image[rows, columns]
    return float(window[window > 0].mean())


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 61)])
def test_relief_is_depth_minus_the_mean_of_valid_pixels_around(height: int, width: int) -> None:
    depth = scene(2, height, width).double()
    image = depth[0, 0].numpy()
    relief = GeometryEncoding()(depth, FOCAL)[0, 3].numpy()
    last_row, last_column = -(-height // 4) - 1, -(-width // 4) - 1
    for row, column in np.random.default_rng(0).integers(0, (height, width), (60, 2)):
        if image[row, column] == 0:
            continue
        down, right = max((row + 0.5) / 4 - 0.5, 0.0), max((column + 0.5) / 4 - 0.5, 0.0)
        mean = 0.0
        for block_row, row_share in ((int(down), 1 - down % 1), (int(down) + 1, down % 1)):
            for block_column, column_share in ((int(right), 1 - right % 1), (int(right) + 1, right % 1)):
                here = _window_mean(image, min(block_row, last_row), min(block_column, last_column))
                mean += row_share * column_share * here
        expected = np.clip((image[row, column] - mean) / 40.0, -1.0, 1.0)
        assert relief[row, column] == pytest.approx(expected, abs=1e-9)


def test_flat_surface_has_no_relief_up_to_the_border_and_beside_holes() -> None:
    depth = plane(700.0, 47, 61)
    depth[..., 10:30, 20:40] = 0.0
    assert GeometryEncoding()(depth, FOCAL)[0, 3].abs().max() < 1e-4


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_mirrored_depth_gives_mirrored_channels(name: str) -> None:
    depth, encoding = scene(3), build_encoding(name)
    signs = torch.tensor([1.0, 1, 1, 1, -1, 1] if name == "geometry" else [1.0]).reshape(1, -1, 1, 1)
    mirrored = encoding(depth.flip(-1), FOCAL)
    assert torch.allclose(mirrored, signs * encoding(depth, FOCAL).flip(-1), atol=1e-5)


def test_unknown_encoding_lists_the_names() -> None:
    with pytest.raises(ValueError, match="geometry, raw, slab"):
        build_encoding("hha")
