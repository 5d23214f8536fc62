"""Compiled functions are never older than the sources they were made of, and need no place to be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError

from graspcut import kernel_cache
from graspcut.kernel_cache import sources_digest
from graspcut.synth.kernels import compiling, random_numbers
from graspcut.synth.rendering import ray_casting, ray_hits


def digests() -> dict[str, str]:
    return {module.__name__: sources_digest(str(module.__file__)) for module in (ray_casting, ray_hits, random_numbers)}


def test_what_a_file_imports_is_part_of_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {
        module.__name__: sources_digest(str(module.__file__)) for module in (ray_casting, ray_hits, random_numbers)
    }
    changed = Path(ray_hits.__file__)
    read = kernel_cache._read.__wrapped__
    monkeypatch.setattr(kernel_cache, "_read", lambda path: read(path) + (b"# changed" if path == changed else b""))
    after = {
        module.__name__: sources_digest(str(module.__file__)) for module in (ray_casting, ray_hits, random_numbers)
    }
    differing = {name.rpartition(".")[2] for name in before if before[name] != after[name]}
    assert differing == {"ray_casting", "ray_hits"}
    compiler = Path(compiling.__file__)
    monkeypatch.setattr(kernel_cache, "_read", lambda path: read(path) + (b"# changed" if path == compiler else b""))
    assert all(
        sources_digest(str(module.__file__)) != before[module.__name__] for module in (ray_casting, random_numbers)
    )


SCRIPT = """
import sys, tempfile
from pathlib import Path
from graspcut import kernel_cache
tempfile.tempdir = sys.argv[1] + "/temporary"
kernel_cache._ROOT = Path(sys.argv[1])
from graspcut.synth.kernels.compiling import loop
import numpy as np

@loop
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found

print(total(np.arange(5.0)))
"""


def run(script: Path, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script.write_text(SCRIPT)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG", "HOME"))}
    command = [sys.executable, str(script), str(root)]
    return subprocess.run(command, env=variables | environment, capture_output=True, text=True, check=True)


def test_without_a_place_functions_are_compiled_and_it_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = str(tmp_path / "file" / "home")
    done = run(tmp_path / "s.py", tmp_path / "file" / "package", HOME=nowhere)
    assert done.stdout == "10.0\n"
    assert done.stderr.count("compiled again at every start") == 1 and "NUMBA_CACHE_DIR" in done.stderr


def test_the_cache_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert run(tmp_path / "s.py", tmp_path / "package", NUMBA_CACHE_DIR=str(tmp_path / "given")).stderr == ""
    assert list((tmp_path / "given").rglob("*.nbi")) and not (tmp_path / "package").exists()
    run(tmp_path / "s.py", tmp_path / "package", HOME=str(tmp_path / "home"))
    assert list((tmp_path / "package" / "__pycache__" / "kernels").rglob("*.nbi"))


def test_compiled_functions_may_not_create_arrays() -> None:
    @compiling.loop
    def creates() -> float:
        return float(np.zeros(3)[0])

    with pytest.raises(NumbaError):
        creates()
