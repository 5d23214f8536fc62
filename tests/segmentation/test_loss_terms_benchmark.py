"""The Lovász term that the loss benchmark compares is what it is called: on sure predictions, one minus IOU."""

from __future__ import annotations

import pytest
import torch
from benchmarks.loss_terms import LOSSES, lovasz

from graspcut.segmentation.data import SegmentationBatch


def test_on_sure_predictions_the_lovasz_term_is_one_minus_the_mean_iou_of_known_pixels() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 9)).to(torch.uint8)
    labels[0, 0] = 255
    predicted = torch.randint(0, 3, (2, 8, 9))
    logits = 60.0 * torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1)
    known = labels != 255
    expected = [
        1
        - ((predicted == label) & (labels == label)).sum() / (((predicted == label) | (labels == label)) & known).sum()
        for label in range(3)
    ]
    found = lovasz(logits, SegmentationBatch(None, None, labels))
    assert float(found) == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)


def test_each_loss_with_a_term_of_its_own_has_exactly_one() -> None:
    terms = {name: sorted(loss.own.terms) for name, loss in LOSSES.items() if loss.own is not None}
    assert terms == {"and Dice": ["dice"], "and Lovász": ["lovasz"]}
