"""The loops of alignment in numpy give what the compiled ones give."""

from __future__ import annotations

import numpy as np

from graspcut.frames import alignment_arrays, alignment_kernels
from graspcut.frames.camera import Camera


def test_projection_splats_and_steps_agree() -> None:
    rng = np.random.default_rng(3)
    depth = (500 + 200 * rng.random((40, 50))).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = 0
    own = np.flatnonzero(depth > 0)
    rays = Camera.from_focal_length(50, 40, 45.0).rays().reshape(-1, 3)
    angle = 0.05
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    moved, lens = np.array([25.0, 1.0, -550.0]), np.array([60.0, 61.0, 24.0, 20.0])
    found = []
    for module in (alignment_arrays, alignment_kernels):
        pixels, z, steps = np.empty((own.size, 2)), np.empty(own.size), np.empty(own.size, np.float32)
        module.project_kernel(own, depth.reshape(-1), rays, rotation, moved, lens, pixels, z)
        module.own_step_kernel(depth, own, steps)
        buffer = np.full((40, 50), np.inf, np.float32)
        x, y = rng.uniform(-3, 53, 300), rng.uniform(-3, 43, 300)
        found.append((pixels, z, steps, buffer))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert np.isnan(found[0][0]).any() and np.isfinite(found[0][0]).any()
    values = rng.uniform(300, 900, 300).astype(np.float32)
    for reach in (0.52, 1.3):
        buffers = [np.full((40, 50), np.inf, np.float32) for _ in range(2)]
        for module, buffer in zip((alignment_arrays, alignment_kernels), buffers, strict=True):
            module.splat_kernel(x, y, values, reach, reach + 0.2, buffer)
        np.testing.assert_array_equal(buffers[0], buffers[1])
        assert np.isfinite(buffers[0]).any()
