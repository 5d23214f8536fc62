"""RF in PyTorch gives what RF on the processor gives."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.matting.foreground import estimate_foreground
from graspcut.matting.foreground_torch import estimate_foreground_torch


@pytest.mark.parametrize(("height", "width"), [(3, 3), (40, 33), (61, 90), (1, 30)])
def test_equals_the_processor(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    alpha = np.clip(rng.random((height, width)) * 2.4 - 0.7, 0, 1)
    alpha[height // 2 :] = 0.0
    alpha[0, 0] = 1.0
    image = rng.random((height, width, 3))
    for kappa in (1.0, 0.3):
        expected = estimate_foreground(image, alpha, kappa=kappa, tolerance=1e-6)
        found = estimate_foreground_torch(image, alpha, kappa=kappa, tolerance=1e-6, device="cpu")
        assert np.abs(found - expected)[alpha > 0].max() < 0.1 / 255
        loose = estimate_foreground_torch(image, alpha, kappa=kappa, device="cpu")
        assert np.abs(loose - expected)[alpha > 0].max() < 0.5 / 255


def test_nothing_visible_is_returned_unchanged() -> None:
    image = np.random.default_rng(0).random((6, 5, 3))
    found = estimate_foreground_torch(image, np.zeros((6, 5)), device="cpu")
    np.testing.assert_array_equal(found, image.astype(np.float32))
