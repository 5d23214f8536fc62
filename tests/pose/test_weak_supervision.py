"""The quality gate of weak supervision."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.pose.weak_supervision import barycentres, compare_quality, mixed_order


def two_parts() -> tuple[np.ndarray, np.ndarray]:
    parts = np.zeros((48, 48), np.uint8)
    parts[10:13, 10:13], parts[30:33, 20:23] = 3, 7
    anchors = np.full((20, 2), np.nan)
    anchors[2], anchors[6] = (11, 11), (21, 31)
    return parts, anchors


def test_barycentres_are_column_and_row() -> None:
    parts, anchors = two_parts()
    centres = barycentres(parts)
    np.testing.assert_array_equal(centres[[2, 6]], anchors[[2, 6]])
    assert np.isnan(np.delete(centres, [2, 6], axis=0)).all()


def test_a_better_map_is_accepted_and_a_lost_part_costs() -> None:
    parts, anchors = two_parts()
    shifted = np.roll(parts, 4, axis=1)
    quality = compare_quality(shifted, parts, anchors)
    assert quality.predicted == pytest.approx(8.0) and quality.restored == 0.0 and quality.accepted
    assert not compare_quality(parts, shifted, anchors).accepted
    assert not compare_quality(parts, parts, anchors).accepted
    lost = np.where(shifted == 3, 0, shifted).astype(np.uint8)
    quality = compare_quality(shifted, lost, anchors)
    assert quality.restored == pytest.approx(4.0 + np.hypot(48, 48)) and not quality.accepted


def test_hidden_and_uncounted_parts_add_nothing() -> None:
    parts, anchors = two_parts()
    anchors[11] = (1, 1)  # a joint whose part neither map shows
    assert compare_quality(parts, parts, anchors).predicted == 0.0
    nyu = np.array([[11.0, 14.0], [40.0, 40.0]])
    assert compare_quality(parts, parts, nyu, [3, 0]).predicted == pytest.approx(3.0)
    with pytest.raises(ValueError, match=r"\(20, 2\)"):
        compare_quality(parts, parts, anchors[:5])


def test_nine_to_one() -> None:
    order = mixed_order(np.random.default_rng(0), 50, 5, 1000)
    restored = np.array([is_restored for is_restored, _ in order])
    assert (restored.reshape(-1, 10).sum(axis=1) == 1).all()
    assert len({tuple(run) for run in restored.reshape(-1, 10).astype(int).tolist()}) == 10  # not always the same place
    assert max(index for is_restored, index in order if is_restored) == 4
    assert max(index for is_restored, index in order if not is_restored) == 49
    assert not any(is_restored for is_restored, _ in mixed_order(np.random.default_rng(0), 50, 0, 100))
