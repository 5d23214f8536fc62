from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import numpy as np
from graspcut.frames.camera import Camera
from graspcut.synth.render import Geometry, render
from graspcut.synth.render_cuda import render_cuda
from graspcut.synth.scene import SceneConfig, sample_scene
from graspcut.synth.solids import ELLIPSOID_SOLID, BOX_SOLID, local_row, plane_row

camera = Camera.from_focal_length(32, 24, 26.0)
config = SceneConfig(hand_only=0.0, nothing=0.0, object_only=0.0)
scene = sample_scene(np.random.default_rng(3), camera, config).geometry
assert len(scene.objects) >= 1
extra = np.stack([
    local_row(BOX_SOLID, 60, np.array([90.0, 60.0, 700.0]), np.eye(3), (60.0, 50.0, 40.0)),
    local_row(ELLIPSOID_SOLID, 61, np.array([-90.0, -60.0, 700.0]), np.eye(3), (60.0, 50.0, 40.0)),
    plane_row(62, np.array([0.0, 0.0, -1.0]), -900.0),
])
scene = Geometry(np.concatenate([scene.solids, extra]), scene.rows, scene.objects)
solids = Geometry(scene.solids, scene.rows[:0], scene.objects[:0])
for expected, found in zip(render(solids, camera), render_cuda(solids, camera)):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
depth, surface = render(scene, camera)
found_depth, found_surface = render_cuda(scene, camera)
assert len(np.unique(surface)) >= 8, np.unique(surface)
assert np.mean(surface >= scene.objects[0, 8]) > 0.005
assert np.mean(found_surface != surface) < 0.01
same = found_surface == surface
assert np.mean(np.abs(found_depth - depth)[same] > 0.2) < 0.01
print("equal")
"""


def test_the_renderer_in_numbas_cuda_simulator_equals_the_cpu() -> None:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "equal"
