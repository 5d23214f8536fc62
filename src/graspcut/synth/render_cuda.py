"""The renderer on CUDA: one thread a pixel, each calling the very `trace_pixel` of the CPU.

Threads test every solid in the order of their least distance; the culling of tiles is left to the CPU. In numba's
simulator solids come out equal to the CPU's to the bit; objects, which start elsewhere without tiles, within the
0.08 mm at which sphere tracing stops.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.compiling import subroutine
from graspcut.synth.device import CudaUnavailable, cuda, is_available, launch_pixels, pixel_kernel, retarget
from graspcut.synth.render import Geometry, prepare_exact, trace_pixel
from graspcut.synth.solid_hits import NEAREST


@subroutine
def write_pixel(
    v: int, u: int, depth: np.ndarray, surface: np.ndarray, fx: float, fy: float, cx: float, cy: float,
    table: np.ndarray, active: np.ndarray, active_nearest: np.ndarray, rows: np.ndarray, objects: np.ndarray,
    starts: np.ndarray,
) -> None:  # fmt: skip
    """Trace pixel (u, v) with all solids and objects and write its depth and surface."""
    z, s = trace_pixel(
        (u - cx) / fx, (v - cy) / fy, table, active, active_nearest, active.shape[0], rows, objects, starts, 0
    )
    depth[v, u] = z
    surface[v, u] = s


@functools.cache
def _kernel() -> Any:
    return pixel_kernel(retarget([write_pixel]).write_pixel)


def render_cuda(geometry: Geometry, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Do on CUDA what `render.render` does on the CPU: same arguments, same result.

    Raises:
        CudaUnavailable: if there is neither a GPU nor the simulator.
    """
    if not is_available():
        raise CudaUnavailable("no CUDA device found; use graspcut.synth.render.render, which runs on the CPU")
    table = prepare_exact(geometry.solids)

    def sent(array: NDArray[Any]) -> Any:
        return cuda.to_device(np.ascontiguousarray(array))

    depth = cuda.device_array((camera.height, camera.width), np.float32)
    surface = cuda.device_array((camera.height, camera.width), np.int32)
    arguments = (
        depth, surface, camera.fx, camera.fy, camera.cx, camera.cy,
        sent(table), sent(np.arange(len(table))), sent(table[:, NEAREST]), sent(geometry.rows), sent(geometry.objects),
        sent(np.zeros((1, len(geometry.objects)))),
    )  # fmt: skip
    launch_pixels(_kernel(), camera.height, camera.width, arguments)
    return depth.copy_to_host(), surface.copy_to_host()
