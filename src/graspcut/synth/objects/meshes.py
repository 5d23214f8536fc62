"""Triangle meshes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, seen from both sides.

    Attributes:
        vertices: float64 (n, 3), mm.
        triangles: int32 (m, 3), rows of `vertices`.
        surfaces: int32 (m,), surface of each triangle.
    """

    vertices: Float64Array
    triangles: NDArray[np.int32]
    surfaces: NDArray[np.int32]

    def transformed(self, matrix: Float64Array, translation_mm: Float64Array, surface: int = 0) -> Mesh:
        """The same mesh at `matrix` (3, 3) @ vertex + translation (3,), its surfaces counted from `surface` on."""
        vertices = self.vertices @ matrix.T + translation_mm
        return replace(self, vertices=vertices, surfaces=self.surfaces + np.int32(surface))
