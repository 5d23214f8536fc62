"""The benchmark of area weights: batches are rendered once and come in another order with each seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.area_weights import SETS, batches, markdown, rendered_batches


def test_batches_are_rendered_once_and_shuffled_by_the_seed(tmp_path: Path) -> None:
    paths = rendered_batches(tmp_path, 3)
    written = [path.stat().st_mtime_ns for path in paths]
    assert rendered_batches(tmp_path, 3) == paths and [path.stat().st_mtime_ns for path in paths] == written
    sums = [sorted(float(batch.depth_mm.sum()) for batch in batches(paths, seed)) for seed in (0, 1)]
    assert sums[0] == sums[1] and len(set(sums[0])) == 3
    orders = {tuple(float(batch.depth_mm.sum()) for batch in batches(paths, seed)) for seed in range(8)}
    assert len(orders) > 1


def test_the_table_holds_means_over_seeds() -> None:
    with_hands = {"mean_iou": 80.0, "hand": 90.0, "object": 70.0, "hand_by_picture": 85.0, "object_by_picture": 50.0}
    runs = [
        {
            "exponent": exponent,
            "sets": {
                name: {"false_without_hand": 0.5}
                if name.startswith("rooms")
                else {
                    **{key: value + shift for key, value in with_hands.items()},
                    "object_by_size": [10.0 + shift, 30.0, 60.0, 80.0],
                    "false_without_hand": 0.0,
                }
                for name in SETS
            },
        }
        for exponent in (0.0, 0.5)
        for shift in np.array([0.0, 2.0]) + exponent
    ]
    lines = markdown({"runs": runs}).splitlines()
    assert "| v1 | 0 | 81.0 | 91.0 | 71.0 | 86.0 | 51.0 | 11.0, 30.0, 60.0, 80.0 | 0.00 |" in lines
    assert "| rooms without a hand, v2 | 0.5 | - | - | - | - | - | - | 0.50 |" in lines
