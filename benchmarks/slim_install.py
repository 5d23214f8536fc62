"""What an installation without extras weighs, and how soon it has labelled its first frame.

    python benchmarks/slim_install.py --work /tmp/slim

Builds the wheel of this checkout, installs it into a fresh virtual environment under --work with the package index that
pip is configured for, and measures there: the size of everything that was installed (disk usage of site-packages,
without pip and setuptools, and the packages that weigh most), `import graspcut`, and the first frame of the bundled
recording in a fresh process, from its first line on. Times are medians of --repeats processes whose files are in the
page cache, with the processor seconds that the process took: on a busy machine the clock says more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

_IMPORT = (
    "import time; begin = time.perf_counter(); import graspcut; print(time.perf_counter() - begin, time.process_time())"
)
_FIRST_FRAME = """
import time
begin = time.perf_counter()
import graspcut
from graspcut.segmentation.demo import demo_recording_folder
frame = next(iter(graspcut.open_source(demo_recording_folder())))
result = graspcut.Segmenter.load()(frame)
print(time.perf_counter() - begin, time.process_time())
assert result.labels.any(), "nothing was found"
import sys
assert not {"numba", "torch"} & set(sys.modules)
"""


def megabytes(path: Path) -> float:
    """Disk usage of a file or folder in MiB, as `du` counts it."""
    files = [path] if path.is_file() else [entry for entry in path.rglob("*") if not entry.is_symlink()]
    return sum(entry.stat().st_blocks * 512 for entry in files if entry.is_file()) / 2**20


def seconds(python: Path, script: str, repeats: int) -> tuple[float, float]:
    """Medians of the two times that a script prints, clock and processor, after one run that does not count."""
    found: list[tuple[float, float]] = []
    for _ in range(repeats + 1):
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False, cwd="/", env=own)
        if done.returncode:
            raise SystemExit(done.stderr)
        clock, processor = map(float, done.stdout.split())
        found.append((clock, processor))
    clocks, processors = zip(*found[1:], strict=True)
    return round(statistics.median(clocks), 3), round(statistics.median(processors), 3)


def main() -> None:
    """Builds, installs, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for wheel and environment")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="measure an environment that is there already")
    options = parser.parse_args()
    environment = options.work / "venv"
    python = environment / "bin" / "python"
    if not (options.keep and python.exists()):
        wheels = options.work / "dist"
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, CHECKOUT]
        subprocess.run(build, check=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        (wheel,) = wheels.glob("graspcut-*.whl")
        install = [python, "-m", "pip", "install", "--quiet", wheel, "-c", CHECKOUT / "constraints.txt"]
        subprocess.run(install, check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes = {entry.name: megabytes(entry) for entry in packages.iterdir()}
    brought = {name: size for name, size in sizes.items() if not name.startswith(("pip", "setuptools", "pkg_res"))}
    result = {
        "installed_mib": round(sum(brought.values()), 1),
        "with_pip_and_setuptools_mib": round(sum(sizes.values()), 1),
        "largest_mib": {
            name: round(size, 1) for name, size in sorted(brought.items(), key=lambda entry: -entry[1])[:8]
        },
        "import_s, processor_s": seconds(python, _IMPORT, options.repeats),
        "first_frame_s, processor_s": seconds(python, _FIRST_FRAME, options.repeats),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
