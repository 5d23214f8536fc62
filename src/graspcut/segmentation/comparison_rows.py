"""The rows of Tables 2 and 3 of the DenseAttentionSeg paper and of its ablations: networks and published values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# A quarter of the channels, or about that.
SLIM: dict[str, dict[str, Any]] = {
    "DenseAttentionSeg": {"trunk_width": 16, "squeeze_width": 16, "decoder_widths": (64, 64, 64, 32, 16, 8)},
    "DeepLabV3Plus": {"trunk_width": 16, "low_level_width": 12, "decoder_width": 64},
    "FCN": {"trunk_width": 16, "hidden_width": 512, "border": 1},
    "LargeKernelMatters": {"trunk_width": 16, "score_width": 12},
    "RefineNet": {"trunk_width": 16, "width": 64},
    "DenseAttentionSmall": {},
}


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: of its run folders.
        title: in the tables.
        network: a name of `graspcut.segmentation.models.MODEL_NAMES`.
        arguments: of the network, other than the defaults; `squeeze_width` is a multiple of the usual one.
        contour: fields of `TaskConfig` about the contour loss; empty trains with cross entropy alone.
        start: name of the row that it goes on from.
        learning_rate_share: of the recipe's learning rate, for networks without batch norm.
        published: the paper's mean IOU, pixel accuracy, mean accuracy, mean IU and f.w. IU in percent and milliseconds.
    """

    name: str
    title: str
    network: str
    arguments: dict[str, Any] = field(default_factory=dict)
    contour: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    learning_rate_share: float = 1.0
    published: tuple[float, ...] = ()


PAPER_CONTOUR = {"contour_weight": 0.005, "contour_normalisation": "pixels"}

# VGG-16 has no batch norm: from random weights at the recipe's 0.002 it finds no object in 2,000 steps.
_VGG_SHARE = 0.15

TABLE_2 = (
    Row(
        "fcn-32s",
        "FCN-32s",
        "fcn-32s",
        learning_rate_share=_VGG_SHARE,
        published=(87.60, 99.28, 94.12, 91.69, 98.60, 35.4),
    ),
    Row(
        "fcn-16s",
        "FCN-16s",
        "fcn-16s",
        learning_rate_share=_VGG_SHARE,
        published=(87.59, 99.39, 94.48, 91.67, 98.83, 35.6),
    ),
    Row(
        "fcn-8s",
        "FCN-8s",
        "fcn-8s",
        learning_rate_share=_VGG_SHARE,
        published=(91.58, 99.62, 96.32, 94.38, 99.26, 33.5),
    ),
    Row(
        "large-kernel-matters",
        "Large Kernel Matters (k = 9)",
        "large-kernel-matters",
        published=(92.55, 99.69, 96.95, 95.10, 99.40, 49.5),
    ),
    Row("refinenet", "RefineNet", "refinenet", published=(92.53, 99.64, 96.74, 94.98, 99.30, 61.9)),
    Row("deeplabv3plus", "DeepLabv3+", "deeplabv3plus", published=(92.76, 99.64, 96.99, 95.16, 99.31, 47.8)),
    Row(
        "dense-attention-seg",
        "DenseAttentionSeg",
        "dense-attention-seg",
        published=(93.65, 99.74, 97.48, 95.77, 99.50, 53.7),
    ),
    Row(
        "dense-attention-seg-contour",
        "DenseAttentionSeg + contour loss",
        "dense-attention-seg",
        contour=PAPER_CONTOUR,
        start="dense-attention-seg",
        published=(93.94, 99.75, 97.67, 95.99, 99.51, 53.7),
    ),
)
TABLE_3 = (
    Row(
        "no-attention",
        "DenseAttentionSeg without attention",
        "dense-attention-seg",
        {"attention": "none"},
        published=(92.81, float("nan"), float("nan"), float("nan"), float("nan"), 51.1),
    ),
)


_NEAR = (1, 2, 4)
_PIXELS, _CONTOUR = {"contour_normalisation": "pixels"}, {"contour_normalisation": "contour"}
_LOGITS = {"contour_on": "logits"}


def _further(name: str, title: str, **contour: Any) -> Row:
    return Row(f"contour-{name}", title, "dense-attention-seg", {}, contour, "dense-attention-seg")


ABLATIONS = (
    Row("attention-mul", "attention as the literal product", "dense-attention-seg", {"attention": "mul"}),
    Row("attention-concat", "attention joined to the skip", "dense-attention-seg", {"attention": "concat"}),
    *(Row(f"levels-{n}", f"n = {n} levels", "dense-attention-seg", {"levels": n}) for n in (5, 4, 3, 2)),
    # k itself depends on whether the networks are slim.
    Row("squeeze-half", "half of k", "dense-attention-seg", {"squeeze_width": 0.5}),
    Row("squeeze-double", "twice k", "dense-attention-seg", {"squeeze_width": 2.0}),
    # 6, 12 and 18 are for the 30 x 40 cells of 640x480; of the 6 x 8 of 128x96 they reach out.
    Row("aspp-near", "ASPP with dilations 1, 2 and 4", "dense-attention-seg", {"aspp_dilations": _NEAR}),
    Row("deeplabv3plus-aspp-near", "DeepLabv3+ with dilations 1, 2 and 4", "deeplabv3plus", {"aspp_dilations": _NEAR}),
    _further("none", "as long, without contour loss", contour_weight=0.0),
    _further("probabilities-0.05", "contour loss on probabilities, beta 0.05", contour_weight=0.05, **_PIXELS),
    _further("probabilities-0.5", "contour loss on probabilities, beta 0.5", contour_weight=0.5, **_PIXELS),
    _further("probabilities-5", "contour loss on probabilities, beta 5", contour_weight=5.0, **_PIXELS),
    _further("logits-0.005", "contour loss on logits, beta 0.005", contour_weight=0.005, **_PIXELS, **_LOGITS),
    _further("logits-0.05", "contour loss on logits, beta 0.05", contour_weight=0.05, **_PIXELS, **_LOGITS),
    _further("per-pixel", "contour loss per contour pixel, beta 0.05", contour_weight=0.05, **_CONTOUR),
)
ROWS = {row.name: row for row in (*TABLE_2, *TABLE_3, *ABLATIONS)}
