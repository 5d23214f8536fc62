"""Corrections of one frame carried to the following ones along the flow of depth, not pasted in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.flow import backward_flow, depths_agree, flow_picture, nearest_depth_mm, sample_along

_TOLERANCE_MM = 15.0


def carried_labels(
    reader: DatasetReader, index: int, before: NDArray[np.uint8], count: int
) -> dict[int, NDArray[np.uint8]]:
    """The label maps of the following frames with the corrections of frame `index`.

    Args:
        reader: The frames; its frame `index` has the corrected labels.
        index: The corrected frame.
        before: (H, W) uint8, its labels before the correction.
        count: How many following frames at most; the end of the recording and frames of other sizes end it too.

    Returns:
        Number -> (H, W) uint8, of the frames that change.
    """
    depth, labels = reader.read_depth_and_labels(index)
    corrected = labels != before
    recording = reader.meta(index).get("recording")
    changed: dict[int, NDArray[np.uint8]] = {}
    for number in range(index + 1, min(index + 1 + count, len(reader))):
        if not corrected.any() or reader.meta(number).get("recording") != recording:
            break
        next_depth, next_labels = reader.read_depth_and_labels(number)
        if next_depth.shape != depth.shape:
            break
        nearest = nearest_depth_mm(depth)
        flow = backward_flow(flow_picture(next_depth, nearest), flow_picture(depth, nearest))
        agree = depths_agree(next_depth, depth, flow, tolerance_mm=_TOLERANCE_MM)
        maps = np.stack([labels, corrected]).transpose(1, 2, 0).astype(np.float32)
        brought = sample_along(maps, flow, nearest=True)
        corrected = (brought[..., 1] > 0) & agree
        labels = np.where(corrected, brought[..., 0].astype(np.uint8), next_labels)
        if (labels != next_labels).any():
            changed[number] = labels
        depth = next_depth
    return changed
