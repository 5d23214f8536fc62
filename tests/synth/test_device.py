from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numba
import pytest

from graspcut.synth.device import retarget
from graspcut.synth.random_numbers import stage_key, uniform

PROGRAM = """
import numpy as np
from numba import cuda
from graspcut.synth import geometry
from graspcut.synth.device import launch_pixels, pixel_kernel, retarget, simulate_cuda
from graspcut.synth.sensor import SensorConfig, simulate

height, width, focal = 24, 32, 24.0
v, u = np.mgrid[:height, :width]
depth = (600.0 + 1.5 * u + 0.7 * v).astype(np.float32)
ball = (u - 18) ** 2 + (v - 12) ** 2 < 49
depth[ball] = (430.0 + 0.5 * ((u - 18) ** 2 + (v - 12) ** 2))[ball]
depth[:4, :6] = 0.0
stripes = ball.astype(np.float32)
strong = dict(hole_probability=0.5, dark_probability=0.9, speck_probability=0.02, flying_probability=0.4)
import dataclasses
configs = [
    dataclasses.replace(SensorConfig.sr300(), **strong),
    dataclasses.replace(SensorConfig.kinect(), baseline_mm=-75.0, smooth_step_mm=8.0, smooth_after_noise=True),
    SensorConfig.ideal(),
]
for seed, config in enumerate(configs):
    expected = simulate(depth, stripes, focal, config, seed)
    result = simulate_cuda(depth, stripes, focal, config, seed)
    for a, b in zip(expected, result):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert config == SensorConfig.ideal() or 0.3 < (expected[0] > 0).mean() < 0.97

# Any scalar function of the renderer can be moved, with what it calls.
namespace = retarget([geometry.primitive_distance])
kernel_function = namespace.primitive_distance
rows = np.zeros((1, geometry.ROW))
rows[0, geometry.KIND] = geometry.CAPSULE
rows[0, geometry.ROTATION:geometry.ROTATION + 9] = np.eye(3).ravel()
rows[0, geometry.PARAMETERS:geometry.PARAMETERS + 3] = (10.0, 6.0, 20.0)
points = np.random.default_rng(0).uniform(-40, 40, (9, 3))

@cuda.jit
def distances(rows, points, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = kernel_function(rows, 0, points[i, 0], points[i, 1], points[i, 2])

out = np.zeros(9)
distances[1, 16](rows, points, out)
np.testing.assert_allclose(out, [geometry.primitive_distance(rows, 0, *p) for p in points], rtol=1e-12)
print("equal")
"""


def test_sensor_and_geometry_in_numbas_cuda_simulator_equal_the_cpu() -> None:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "equal"


def test_retarget_refuses_what_it_cannot_move() -> None:
    def plain(x: float) -> float:
        return x

    with pytest.raises(TypeError, match="not compiled by numba"):
        retarget([plain])
    with pytest.raises(ValueError, match="calls itself"):
        retarget([_count_down])


def test_retarget_leaves_the_cpu_functions_as_they_are() -> None:
    key = stage_key(1, 2)
    before = [uniform(key, i) for i in range(10)]
    namespace = retarget([uniform])
    assert namespace.uniform is not uniform
    assert [uniform(key, i) for i in range(10)] == before


def _count_down_plain(n: int) -> int:
    return 0 if n <= 0 else _count_down(n - 1)


_count_down: Any = numba.njit(_count_down_plain)
