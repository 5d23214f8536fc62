from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError

from graspcut.synth.kernels import compiling
from graspcut.synth.kernels.compiling import discard_stale_cache


def test_only_caches_older_than_an_imported_file_are_forgotten(tmp_path: Path) -> None:
    module, imported, other = (tmp_path / name for name in ("module.py", "imported.py", "module_two.py"))
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    old, fresh, of_other = (
        cache / name for name in ("module.f-1.py311.nbi", "module.g-2.py311.nbi", "module_two.f-1.py311.nbi")
    )
    now = Path(compiling.__file__).stat().st_mtime + 1000
    for path, age in ((module, 500), (imported, 100), (other, 500), (old, 200), (fresh, 50), (of_other, 200)):
        path.write_text("")
        os.utime(path, (now - age, now - age))
    discard_stale_cache(str(module), str(imported))
    assert not old.exists()
    assert fresh.exists()
    assert of_other.exists()


def test_a_changed_way_of_compiling_makes_every_cache_stale(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    index = tmp_path / "__pycache__" / "module.f-1.py311.nbi"
    index.write_text("")
    before = Path(compiling.__file__).stat().st_mtime - 10
    os.utime(index, (before, before))
    discard_stale_cache(str(tmp_path / "module.py"))
    assert not index.exists()


def test_compiled_functions_may_not_create_arrays() -> None:
    @compiling.loop
    def creates() -> float:
        return float(np.zeros(3)[0])

    with pytest.raises(NumbaError):
        creates()
