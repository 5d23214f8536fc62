"""The stream's loops in numpy give what the compiled ones give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graspcut.segmentation import stream_arrays, stream_kernels


def inputs(seed: int, height: int, width: int) -> dict[str, Any]:
    """Probabilities, depths with holes and steps, posteriors of the frame before."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet((4.0, 0.5, 0.5), (height, width)).astype(np.float32).transpose(2, 0, 1).copy()
    probabilities[:, : height // 3] = np.array((1.0, 0.0, 0.0), np.float32)[:, None, None]
    depth = (600 + 300 * (np.arange(width) > width // 2) + rng.normal(0, 4, (height, width))).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    before = np.log(rng.dirichlet((1.0, 0.5, 0.5), (height, width)) + 1e-3).astype(np.float32)
    return {"probabilities": probabilities, "depth": depth, "before": before, "rng": rng}


def both(name: str, *arguments: Any) -> list[tuple[Any, list[Any]]]:
    """What the numpy and the compiled function return, and their (changed) arguments."""
    found = []
    for module in (stream_arrays, stream_kernels):
        own = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
        found.append((getattr(module, name)(*own), own))
    return found


@pytest.mark.parametrize("step", [1, 2, 3])
def test_bounds_and_logs(step: int) -> None:
    made = inputs(step, 40, 54)
    small = made["before"][::step, ::step]
    for before in (np.zeros((0, 0, 3), np.float32), small):
        (_, ours), (_, theirs) = both(
            "bounds_of_possible", made["probabilities"], step, 0.9, before, -0.7, np.zeros(4, np.int64)
        )
        np.testing.assert_array_equal(ours[-1], theirs[-1])
    certain = np.zeros((3, 12, 12), np.float32)
    certain[0] = 1
    (_, ours), (_, theirs) = both(
        "bounds_of_possible", certain, step, 0.9, np.zeros((0, 0, 3), np.float32), -0.7, np.zeros(4, np.int64)
    )
    np.testing.assert_array_equal(ours[-1], theirs[-1])
    out = np.zeros((9, 11, 3), np.float32)
    (_, ours), (_, theirs) = both("log_probabilities", made["probabilities"], step, 2, 3, 0.97, 1e-3, out, 2, 8)
    np.testing.assert_allclose(ours[-3], theirs[-3], atol=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_carried_over(seed: int) -> None:
    made = inputs(seed, 44, 60)
    rng, rows, columns = made["rng"], 30, 41
    own = np.log(rng.dirichlet((1.0, 0.5, 0.5), (rows, columns)) + 1e-3).astype(np.float32)
    flow = rng.normal(0, 1.5, (-(-rows // 2), -(-columns // 2), 2)).astype(np.float32)
    before_depth = np.where(made["depth"] > 0, made["depth"] + 10, 0).astype(np.float32)
    frames = rng.integers(0, 30, (44, 60)).astype(np.float32)
    trusts = np.linspace(0.5, 0.9, 21).astype(np.float32)
    (ours, changed), (theirs, expected) = both(
        "carry", made["depth"], before_depth, made["before"], frames, own, flow, 2, 9, 13, 25.0, np.log(0.98), trusts,
        np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32), 3, 28,
    )  # fmt: skip
    assert ours[:2] == theirs[:2] and 0 < ours[1] < ours[0]
    assert ours[2] == pytest.approx(theirs[2], rel=1e-5)
    np.testing.assert_allclose(changed[-3], expected[-3])
    np.testing.assert_allclose(changed[-4], expected[-4], atol=2e-4)
    carried = expected[-4]
    (_, ours_added), (_, theirs_added) = both("add_up", own, carried, -6.0, np.zeros_like(own), 0, rows)
    np.testing.assert_allclose(ours_added[-3], theirs_added[-3], atol=2e-5)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("sensitivity", [1.0, 0.3])
def test_what_is_multiplied(step: int, sensitivity: float) -> None:
    made = inputs(step, 41, 53)
    rng = made["rng"]
    extra = rng.normal(0, 1, (41 // step - 3, 53 // step - 4, 3)).astype(np.float32)
    extra[:4] = 0
    (_, ours), (_, theirs) = both(
        "factors_of", extra, np.zeros_like(extra), np.zeros(extra.shape[:2], bool), 0, len(extra)
    )
    np.testing.assert_allclose(ours[1], theirs[1], rtol=2e-6)
    np.testing.assert_array_equal(ours[2], theirs[2])
    labels = made["probabilities"].argmax(axis=0).astype(np.uint8)
    place = (step, 2, 3, 1e-3, 0.97, sensitivity, 30.0, 1, len(extra) - 1)
    arguments = (made["probabilities"], labels, made["depth"], theirs[1], theirs[2], *place)
    (_, ours), (_, theirs) = both("multiply", *arguments)
    np.testing.assert_allclose(ours[0], theirs[0], atol=2e-6)
    assert np.mean(ours[1] != theirs[1]) < 1e-3
    assert np.any(ours[1] != labels)
