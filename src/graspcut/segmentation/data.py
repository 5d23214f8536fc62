"""Training samples of the segmentation networks: depth, focal length and labels.

Streams, folders and rendered frames are those of all methods: `graspcut.train.streams` and `graspcut.train.sources`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.samples import Sample

PAPER_AUGMENTATION = AugmentationConfig(flip=0.5, warp=1.0, rotation_deg=30.0, noise=1.0, noise_mm=2.0)
"""Flip, rotation and Gaussian noise on depth, as the paper lists them (its ranges are not published)."""


class SegmentationBatch(NamedTuple):
    """One batch of equally large frames; one item of it has no leading B.

    Attributes:
        depth_mm: (B, 1, H, W) float32 millimetres, 0 = no data.
        focal_px: (B,) float32 pixels.
        labels: (B, H, W) uint8, 255 = ignored.
    """

    depth_mm: Any
    focal_px: Any
    labels: Any


def segmentation_target(sample: Sample, _rng: np.random.Generator) -> SegmentationBatch:
    """The item of a sample with the maps "depth_mm" and "labels"."""
    depth: NDArray[np.float32] = sample["depth_mm"]
    return SegmentationBatch(depth[np.newaxis], np.float32(sample.focal_px), sample["labels"])
