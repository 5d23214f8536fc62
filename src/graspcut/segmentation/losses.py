"""The losses of DenseAttentionSeg.

Source: Bo et al., "DenseAttentionSeg: Segment Hands from Interacted Objects Using Depth Input", section 4.4, equations
(2) to (6), and section 4.5. The total of the fine-tuning phase, equation (6), is
alpha * `weighted_cross_entropy` + beta * `contour_loss` with alpha 1 and beta 0.005; `graspcut.segmentation.task`
adds them.

Deviations, with the reason:
    - The contour loss compares label edges with edges of the class probabilities, not of the logits: with logits the
      edge height of the label, 4, has no relation to logit differences, so the optimum fights the cross entropy
      ("logits" is an option).
    - Equation (3) sums over the classes before blurring; the sentence after (5) sums over classes as well. The first
      is the default, `per_class` the second. They differ where hand meets object.
    - N in (5) is the number of pixels; as a mean over pixels the term is tiny, so dividing by the number of contour
      pixels is an option.
    - Pixels labelled 255 are unknown: neither they nor edges that touch them count.
    - With an exponent of the area, hands and objects count for more where they are small in the picture
      (`area_weights`); off by default.
    - Borders are replicated: zeros would draw a frame around every class that touches the border.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from graspcut.labels import UNKNOWN

BLUR_SIGMA_PX = 2.121
BLUR_RADIUS_PX = 2
EDGE_EPSILON = 1.0e-12
EVEN_AREA_PX = 4000.0  # of a working scale of 320x240; what is larger counts by its pixels
LARGEST_AREA_WEIGHT = 5.0
_VISIBLE_EDGE = 1.0e-3


def weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: tuple[float, ...] = (1.0, 5.0, 5.0),
    normalisation: Literal["pixels", "weights"] = "pixels",
    area_exponent: float = 0.0,
) -> Tensor:
    """Class-weighted softmax cross entropy, equation (2) with the weights of section 4.5.

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) integer, 0 to C - 1, 255 = unknown, does not count.
        class_weights: C weights.
        normalisation: what the weighted sum is divided by: "pixels", the number of known pixels (the default, also
            of the framework the paper used), or "weights", the sum of their weights. The second is smaller by the
            mean weight, about 1.4 with a tenth of foreground, and so changes the balance to the contour loss.
        area_exponent: how much more hands and objects count that are small in their picture, see `area_weights`; 0:
            every pixel counts the same, as in the paper.

    Returns:
        scalar; 0 if no pixel is known.

    Raises:
        ValueError: shapes or the number of weights do not fit, another normalisation, or a negative exponent.
    """
    _check_shapes(logits, labels)
    if len(class_weights) != logits.shape[1]:
        raise ValueError(f"got {len(class_weights)} class weights for {logits.shape[1]} classes, expected one for each")
    if normalisation not in ("pixels", "weights"):
        raise ValueError(f"unknown normalisation {normalisation!r}, expected 'pixels' or 'weights'")
    if area_exponent < 0:
        raise ValueError(f"the exponent of the area is {area_exponent}, expected 0 or more")
    weight = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    target = labels.long()
    known = target != UNKNOWN
    areas: Tensor | None = None
    if area_exponent > 0:
        areas = area_weights(target, logits.shape[1], area_exponent).to(logits.dtype)
        each = functional.cross_entropy(logits, target, weight, ignore_index=UNKNOWN, reduction="none")
        total = (areas * each).sum()
    else:
        total = functional.cross_entropy(logits, target, weight, ignore_index=UNKNOWN, reduction="sum")
    if normalisation == "pixels":
        return total / known.sum().clamp(min=1)
    weights = weight[torch.where(known, target, 0)] * known
    return total / (weights if areas is None else areas * weights).sum().clamp(min=1.0e-12)


def area_weights(labels: Tensor, classes: int, exponent: float) -> Tensor:
    """What the pixels of each class but background count, so that things small in the picture are not drowned out.

    A class that covers a pixels of a picture has the weight (`EVEN_AREA_PX` / a)^exponent there, from 1 to
    `LARGEST_AREA_WEIGHT`: with 1/2 a thing counts by its extent rather than by its area. Ours, not the paper's.

    Args:
        labels: (B, H, W) int64, 0 = background, 255 = unknown.
        classes: background included.
        exponent: above 0.

    Returns:
        (B, H, W) float32, 1 for background and unknown pixels.
    """
    weights = torch.ones(labels.shape, dtype=torch.float32, device=labels.device)
    for label in range(1, classes):
        inside = labels == label
        area = inside.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        weight = (EVEN_AREA_PX / area).pow(exponent).clamp(1.0, LARGEST_AREA_WEIGHT)
        weights = torch.where(inside, weight, weights)
    return weights


def gaussian_taps(sigma_px: float = BLUR_SIGMA_PX, radius_px: int = BLUR_RADIUS_PX) -> list[float]:
    """Taps of a one-dimensional Gaussian with sum 1; the two-dimensional kernel is their outer product."""
    taps = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in range(-radius_px, radius_px + 1)]
    total = sum(taps)
    return [tap / total for tap in taps]


def sobel_magnitude(maps: Tensor, epsilon: float = EDGE_EPSILON) -> Tensor:
    """Length of the Sobel gradient of every map, one term of equation (3).

    The kernel is (1 2 1) x (-1 0 1), unnormalised: a step of height 1 gives 4. Borders are replicated. `epsilon`
    under the root keeps the slope finite where a map is flat.

    Args:
        maps: (B, C, H, W) float.

    Returns:
        (B, C, H, W).
    """
    padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 2:] - padded[..., :-2]
    horizontal = across[..., :-2, :] + 2.0 * across[..., 1:-1, :] + across[..., 2:, :]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    vertical = down[..., :-2] + 2.0 * down[..., 1:-1] + down[..., 2:]
    return (horizontal * horizontal + vertical * vertical + epsilon).sqrt()


def gaussian_blur(maps: Tensor) -> Tensor:
    """Blur with the 5x5 Gaussian of sigma 2.121, equation (4); borders are replicated.

    Args:
        maps: (B, C, H, W) float.

    Returns:
        (B, C, H, W).
    """
    taps = gaussian_taps()
    radius = BLUR_RADIUS_PX
    height, width = maps.shape[-2:]
    padded = functional.pad(maps, (radius,) * 4, mode="replicate")
    rows = sum(tap * padded.narrow(-2, offset, height) for offset, tap in enumerate(taps))
    assert isinstance(rows, Tensor)
    columns = sum(tap * rows.narrow(-1, offset, width) for offset, tap in enumerate(taps))
    assert isinstance(columns, Tensor)
    return columns


def contour_map(
    maps: Tensor, *, per_class: bool = False, countable: Tensor | None = None, epsilon: float = EDGE_EPSILON
) -> Tensor:
    """Blurred contours of all classes but the background, equations (3) and (4).

    Args:
        maps: (B, C, H, W), probabilities, one-hot labels or logits.
        per_class: keep the classes apart instead of summing them.
        countable: (B, 1, H, W) of 0 and 1; edges elsewhere are set to 0 before the blur.
        epsilon: see `sobel_magnitude`.

    Returns:
        (B, 1, H, W), or (B, C - 1, H, W) with `per_class`.
    """
    edges = sobel_magnitude(maps[:, 1:], epsilon)
    if not per_class:
        edges = edges.sum(dim=1, keepdim=True)
    if countable is not None:
        edges = edges * countable
    return gaussian_blur(edges)


def contour_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    on: Literal["prob", "logits"] = "prob",
    per_class: bool = False,
    normalisation: Literal["pixels", "contour"] = "pixels",
    epsilon: float = EDGE_EPSILON,
) -> Tensor:
    """Squared difference of the blurred contours of labels and prediction, equation (5).

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) integer, 255 = unknown.
        on: compare with edges of probabilities or of logits (the paper's wording).
        per_class: square every class on its own instead of their sum.
        normalisation: divide by the number of known pixels, or by the number of them that the label's blurred contour
            covers (times classes with `per_class`), at least 1.
        epsilon: see `sobel_magnitude`; the same for labels and prediction.

    Returns:
        scalar; 0 if no pixel is known.

    Raises:
        ValueError: shapes do not fit, or an unknown option.
    """
    _check_shapes(logits, labels)
    if on not in ("prob", "logits"):
        raise ValueError(f"unknown on {on!r}, expected 'prob' or 'logits'")
    if normalisation not in ("pixels", "contour"):
        raise ValueError(f"unknown normalisation {normalisation!r}, expected 'pixels' or 'contour'")
    predicted = torch.softmax(logits, dim=1) if on == "prob" else logits
    target = labels.long()
    known = (target != UNKNOWN).unsqueeze(1)
    counts = known.to(logits.dtype)
    classes = torch.arange(logits.shape[1], device=logits.device).reshape(1, -1, 1, 1)
    # 255 equals no class, so unknown pixels have no label edge of their own.
    one_hot = (target.unsqueeze(1) == classes).to(logits.dtype)
    # An edge counts only where its whole 3x3 window is known: this is the erosion of `known`.
    countable = 1.0 - functional.max_pool2d(1.0 - counts, 3, stride=1, padding=1)
    with torch.no_grad():
        wanted = contour_map(one_hot, per_class=per_class, countable=countable, epsilon=epsilon)
    drawn = contour_map(predicted, per_class=per_class, countable=countable, epsilon=epsilon)
    squared = ((wanted - drawn) ** 2 * counts).sum()
    amount = counts.sum() if normalisation == "pixels" else ((wanted > _VISIBLE_EDGE) * counts).sum()
    return squared / amount.clamp(min=1.0)


def _check_shapes(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 4 or labels.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f"logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}, "
            "expected (B, C, H, W) and (B, H, W)"
        )
