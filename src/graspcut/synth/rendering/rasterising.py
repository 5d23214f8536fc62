"""Triangle meshes in a rendered view: a z-buffer pass beside the analytic primitives and the traced objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.synth.kernels.compiling import loop
from graspcut.synth.objects.meshes import Mesh

_NEAR_MM = 20.0


@loop
def _rasterise(
    vertices: np.ndarray, triangles: np.ndarray, surfaces: np.ndarray, fx: float, fy: float, cx: float, cy: float,
    depth: np.ndarray, surface: np.ndarray,
) -> None:  # fmt: skip
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        if min(za, min(zb, zc)) < _NEAR_MM:
            continue
        xa, ya = vertices[a, 0] / za * fx + cx, vertices[a, 1] / za * fy + cy
        xb, yb = vertices[b, 0] / zb * fx + cx, vertices[b, 1] / zb * fy + cy
        xc, yc = vertices[c, 0] / zc * fx + cx, vertices[c, 1] / zc * fy + cy
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        if area == 0.0:
            continue
        first_u = int(max(np.ceil(min(xa, min(xb, xc))), 0.0))
        last_u = int(min(np.floor(max(xa, max(xb, xc))), width - 1.0))
        first_v = int(max(np.ceil(min(ya, min(yb, yc))), 0.0))
        last_v = int(min(np.floor(max(ya, max(yb, yc))), height - 1.0))
        for v in range(first_v, last_v + 1):
            for u in range(first_u, last_u + 1):
                # Shares of the corners; 1 / z is linear in the image.
                wa = ((xb - u) * (yc - v) - (yb - v) * (xc - u)) / area
                wb = ((xc - u) * (ya - v) - (yc - v) * (xa - u)) / area
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = 1.0 / (wa / za + wb / zb + wc / zc)
                if depth[v, u] == 0.0 or z < depth[v, u]:
                    depth[v, u] = z
                    surface[v, u] = surfaces[t]


def draw_mesh(mesh: Mesh, camera: Camera, depth_mm: NDArray[np.float32], surface: NDArray[np.int32]) -> None:
    """Draw a mesh, given in the coordinates of `camera`, into a view wherever it is nearer; triangles that reach behind
    the camera are left out.

    Args:
        mesh: The mesh.
        camera: Size and intrinsics.
        depth_mm: float32 (H, W), 0 where there is nothing yet; changed in place.
        surface: int32 (H, W); changed in place.
    """
    _rasterise(
        mesh.vertices, mesh.triangles, mesh.surfaces, camera.fx, camera.fy, camera.cx, camera.cy, depth_mm, surface
    )
