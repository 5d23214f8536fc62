"""Losses against worked values of the reference and slow, obvious versions."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.labels import UNKNOWN
from graspcut.segmentation.losses import (
    contour_loss,
    contour_map,
    gaussian_blur,
    gaussian_taps,
    sobel_magnitude,
    weighted_cross_entropy,
)

SOBEL_ACROSS = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
CONFIDENT = 60.0


def certain_logits(labels: Tensor, classes: int = 3) -> Tensor:
    """Logits whose softmax is one-hot to double precision."""
    return CONFIDENT * nn.functional.one_hot(labels.long(), classes).permute(0, 3, 1, 2).double()


def step_labels(edge: int, height: int = 6, width: int = 12) -> Tensor:
    """Hand from column `edge` on."""
    labels = torch.zeros(1, height, width, dtype=torch.uint8)
    labels[..., edge:] = 1
    return labels


def slow_contour(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equations (3) and (4) pixel by pixel, for maps (C, H, W)."""
    classes, height, width = maps.shape
    edges = np.zeros((height, width))
    for channel in range(1, classes):
        padded = np.pad(maps[channel], 1, mode="edge")
        for row in range(height):
            for column in range(width):
                window = padded[row : row + 3, column : column + 3]
                edges[row, column] += math.hypot((SOBEL_ACROSS * window).sum(), (SOBEL_ACROSS.T * window).sum())
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 2.121**2))
    kernel /= kernel.sum()
    padded = np.pad(edges, 2, mode="edge")
    blurred = np.zeros_like(edges)
    for row in range(height):
        for column in range(width):
            blurred[row, column] = (kernel * padded[row : row + 5, column : column + 5]).sum()
    return blurred


def test_gaussian_taps_are_the_worked_ones() -> None:
    assert gaussian_taps() == pytest.approx([0.157447, 0.219757, 0.245591, 0.219757, 0.157447], abs=5e-7)
    point = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    point[..., 4, 4] = 1.0
    blurred = gaussian_blur(point)
    assert blurred[0, 0, 4, 4].item() == pytest.approx(0.060315, abs=5e-7)
    assert blurred[0, 0, 2, 2].item() == pytest.approx(0.024790, abs=5e-7)
    assert blurred.sum().item() == pytest.approx(1.0)


def test_worked_example_a_step_of_height_one() -> None:
    one_hot = nn.functional.one_hot(step_labels(6).long(), 3).permute(0, 3, 1, 2).double()
    edges = sobel_magnitude(one_hot[:, 1:2])[0, 0]
    assert torch.allclose(edges, torch.tensor([0, 0, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0]).double(), atol=1e-5)
    row = contour_map(one_hot)[0, 0, 3]
    expected = [0, 0, 0, 0.6298, 1.5088, 1.8614, 1.8614, 1.5088, 0.6298, 0, 0, 0]
    assert row.tolist() == pytest.approx(expected, abs=6e-5)
    assert row.sum().item() == pytest.approx(8.0, abs=1e-4)


def test_worked_example_b_step_one_column_off() -> None:
    loss = contour_loss(certain_logits(step_labels(7)), step_labels(6))
    assert loss.item() == pytest.approx(2.58727 / 12, abs=1e-5)
    assert loss.item() == pytest.approx(0.215606, abs=1e-5)


def test_worked_example_c_isolated_pixel() -> None:
    point = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    point[..., 2, 2] = 1.0
    edges = sobel_magnitude(point)[0, 0, 1:4, 1:4]
    root = math.sqrt(2)
    expected = torch.tensor([[root, 2, root], [2, 0, 2], [root, 2, root]], dtype=torch.float64)
    assert torch.allclose(edges, expected, atol=1e-5)
    assert edges.sum().item() == pytest.approx(13.65685, abs=1e-4)


def test_worked_example_d_constant_prediction() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64).reshape(1, 3, 1, 1).expand(1, 3, 6, 12)
    assert contour_map(torch.softmax(logits, dim=1)).abs().max() < 1e-5
    labels = step_labels(6)
    wanted = contour_map(nn.functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).double())
    assert contour_loss(logits, labels).item() == pytest.approx((wanted**2).mean().item(), abs=1e-4)


def test_a_class_that_fills_the_frame_has_no_contour() -> None:
    """With zero padding the border would be an edge."""
    assert contour_map(torch.ones(1, 3, 6, 7, dtype=torch.float64)).abs().max() < 1e-5


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(3, 9), st.integers(3, 9))
def test_contour_loss_equals_the_slow_version(seed: int, height: int, width: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, (height, width))
    logits = torch.from_numpy(generator.normal(0, 2, (1, 3, height, width)))
    one_hot = np.eye(3)[labels].transpose(2, 0, 1)
    probabilities = torch.softmax(logits, dim=1)[0].numpy()
    slow = ((slow_contour(one_hot) - slow_contour(probabilities)) ** 2).mean()
    assert contour_loss(logits, torch.from_numpy(labels)[None]).item() == pytest.approx(slow, rel=1e-4, abs=1e-6)


def test_per_class_differs_only_where_hand_meets_object() -> None:
    apart = torch.zeros(1, 16, 24, dtype=torch.uint8)
    apart[:, 5:10, 2:7], apart[:, 5:10, 16:21] = 1, 2
    touching = torch.zeros(1, 16, 24, dtype=torch.uint8)
    touching[:, 5:10, 4:9], touching[:, 5:10, 9:14] = 1, 2
    flat = torch.zeros(1, 3, 16, 24, dtype=torch.float64)
    separate = contour_loss(flat, apart, per_class=True).item()
    assert separate == pytest.approx(contour_loss(flat, apart).item(), rel=1e-4)
    assert contour_loss(flat, touching, per_class=True).item() < 0.8 * contour_loss(flat, touching).item()


def test_background_logits_do_not_make_contours() -> None:
    """On logits the background channel is left out, so any background gives the same loss."""
    labels, logits = step_labels(5), torch.randn(1, 3, 6, 12, dtype=torch.float64)
    other = logits.clone()
    other[:, 0] = torch.randn(6, 12, dtype=torch.float64)
    first, second = contour_loss(logits, labels, on="logits"), contour_loss(other, labels, on="logits")
    assert first.item() == second.item()
    assert contour_loss(logits, labels).item() != contour_loss(other, labels).item()


def test_normalisation_by_contour_pixels() -> None:
    """The contour of a straight edge covers six columns of twelve, so the mean doubles; in a wide frame it stays."""
    narrow = contour_loss(certain_logits(step_labels(7)), step_labels(6), normalisation="contour").item()
    assert narrow == pytest.approx(2.58727 / 6, abs=1e-5)
    wide = contour_loss(certain_logits(step_labels(7, width=48)), step_labels(6, width=48), normalisation="contour")
    assert wide.item() == pytest.approx(narrow, abs=1e-5)
    nothing = torch.zeros(1, 6, 12, dtype=torch.uint8)
    assert math.isfinite(contour_loss(certain_logits(step_labels(7)), nothing, normalisation="contour").item())


@pytest.mark.parametrize("normalisation", ["pixels", "contour"])
def test_unknown_pixels_do_not_count(normalisation: Literal["pixels", "contour"]) -> None:
    labels = step_labels(6, width=20)
    labels[..., 12:15] = UNKNOWN
    logits = torch.randn(1, 3, 6, 20, dtype=torch.float64)
    other = logits.clone()
    other[..., 12:15] = torch.randn(1, 3, 6, 3, dtype=torch.float64)
    first = contour_loss(logits, labels, normalisation=normalisation)
    assert contour_loss(other, labels, normalisation=normalisation).item() == first.item()
    assert weighted_cross_entropy(other, labels).item() == pytest.approx(weighted_cross_entropy(logits, labels).item())
    known = certain_logits(torch.where(labels == UNKNOWN, 2, labels))
    assert contour_loss(known, labels, normalisation=normalisation).item() < 1e-8


def test_all_unknown_gives_zero_and_finite_gradients() -> None:
    labels = torch.full((1, 6, 12), UNKNOWN, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 6, 12, requires_grad=True)
    total = weighted_cross_entropy(logits, labels) + contour_loss(logits, labels)
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0.0 and logits.grad is not None and not logits.grad.any()


def test_gradient_is_finite_at_a_uniform_prediction_and_pulls_towards_the_label() -> None:
    labels = step_labels(6)
    logits = torch.zeros(1, 3, 6, 12, requires_grad=True)
    contour_loss(logits, labels).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    nearly = (0.05 * certain_logits(labels).float()).requires_grad_()
    loss = contour_loss(nearly, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert nearly.grad is not None
    assert contour_loss(nearly.detach() - 0.1 * nearly.grad / nearly.grad.norm(), labels) < loss.detach()


def test_cross_entropy_of_four_pixels_in_both_normalisations() -> None:
    """Labels 0, 0, 1, 2 with probabilities 1/2, 1/4, 1/4 of background, hand, object."""
    logits = torch.tensor([0.5, 0.25, 0.25]).log().reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    labels = torch.tensor([[[0, 0], [1, 2]]])
    total = 2 * math.log(2) + 10 * math.log(4)
    assert weighted_cross_entropy(logits, labels).item() == pytest.approx(total / 4)
    assert weighted_cross_entropy(logits, labels, normalisation="weights").item() == pytest.approx(total / 12)
    unknown = torch.tensor([[[0, 255], [1, 2]]])
    rest = math.log(2) + 10 * math.log(4)
    assert weighted_cross_entropy(logits, unknown).item() == pytest.approx(rest / 3)
    assert weighted_cross_entropy(logits, unknown, normalisation="weights").item() == pytest.approx(rest / 11)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_cross_entropy_equals_the_slow_version(seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, labels = generator.normal(0, 3, (2, 3, 4, 5)), generator.choice([0, 1, 2, 255], (2, 4, 5))
    weights = (1.0, 5.0, 2.0)
    total, pixels, mass = 0.0, 0, 0.0
    for image, row, column in np.ndindex(2, 4, 5):
        label = int(labels[image, row, column])
        if label == UNKNOWN:
            continue
        scores = logits[image, :, row, column]
        total += weights[label] * (np.log(np.exp(scores).sum()) - scores[label])
        pixels, mass = pixels + 1, mass + weights[label]
    arguments = torch.from_numpy(logits), torch.from_numpy(labels), weights
    assert weighted_cross_entropy(*arguments).item() == pytest.approx(total / max(pixels, 1))
    by_weight = weighted_cross_entropy(*arguments, normalisation="weights")
    assert by_weight.item() == pytest.approx(total / max(mass, 1e-12))


@pytest.mark.parametrize("exponent", [0.25, 0.5, 2.0])
def test_small_hands_and_objects_count_for_more(exponent: float) -> None:
    generator = np.random.default_rng(5)
    labels = np.zeros((2, 80, 100), np.int64)
    labels[0, :20, :50], labels[0, 30:32, :5], labels[0, 40:] = 1, 2, UNKNOWN  # 1,000 px of hand, 10 of object
    labels[1, :70] = 1  # larger than what is called small
    logits = generator.normal(0, 2, (2, 3, 80, 100))
    each = np.log(np.exp(logits).sum(axis=1)) - np.take_along_axis(logits, np.minimum(labels, 2)[:, None], 1)[:, 0]
    weights = np.where(labels == UNKNOWN, 0.0, 1.0)
    weights[labels == 2] = 3.0 * min(5.0, 400.0**exponent)
    weights[0][labels[0] == 1] = min(5.0, 4.0**exponent)
    arguments = torch.from_numpy(logits), torch.from_numpy(labels), (1.0, 1.0, 3.0)
    found = weighted_cross_entropy(*arguments, area_exponent=exponent)
    assert found.item() == pytest.approx((weights * each).sum() / (labels != UNKNOWN).sum())
    found = weighted_cross_entropy(*arguments, normalisation="weights", area_exponent=exponent)
    assert found.item() == pytest.approx((weights * each).sum() / weights.sum())


def test_wrong_arguments_are_refused() -> None:
    logits, labels = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="exponent of the area is -1"):
        weighted_cross_entropy(logits, labels, area_exponent=-1)
    with pytest.raises(ValueError, match="unknown normalisation"):
        weighted_cross_entropy(logits, labels, normalisation="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected"):
        weighted_cross_entropy(logits, labels[:, :3])
    with pytest.raises(ValueError, match="expected one for each"):
        weighted_cross_entropy(logits, labels, (1.0, 5.0))
    with pytest.raises(ValueError, match="normalisation"):
        contour_loss(logits, labels, normalisation="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'prob'"):
        contour_loss(logits, labels, on="labels")  # type: ignore[arg-type]
