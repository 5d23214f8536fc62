"""RF, foreground re-estimation: distance to the direct solution, time and error beside pymatting and the paper's
sweeps.

    python benchmarks/matting_foreground.py [--data ../shared/data/matting] [--runs 15] [--threads 2] [--save FILE]

The direct solution is a sparse LU factorisation in double precision (SciPy). Times are medians of runs in turn in one
process. Errors are means over all pixels and channels, in steps of 255, of alpha times the difference in colour: that
is how much a composite over any background differs. Two readings of "foreground of an image" are measured:

    re-estimation   the image holds a foreground's own colours, as files of a training set do; truth is that foreground
    photograph      the image is a composite; truth is the foreground it was made of
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray
from pymatting import estimate_foreground_cf, estimate_foreground_ml

from graspcut.frames.images import read_colour
from graspcut.frames.json_files import write_json_atomically
from graspcut.matting.augmentation import composite
from graspcut.matting.foreground import multi_scale_refine, solve_foreground
from graspcut.matting.images import read_alpha
from graspcut.matting.procedural.source import ProceduralMattes

WIDTH, HEIGHT = 800, 600
PROCEDURAL = 5
SEED = 424_242
SWEEPS = "paper's sweeps, the same"


def direct_solution(image: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float64]:
    """The minimiser of the paper's cost with kappa 1, by a sparse factorisation."""
    height, width = alpha.shape
    number = np.arange(height * width).reshape(height, width)
    loose = (1.0 - alpha.astype(np.float64)) ** 2
    rows, columns, values = [], [], []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        coupling = (loose[first] + loose[second]).ravel()
        rows += [number[first].ravel(), number[second].ravel()]
        columns += [number[second].ravel(), number[first].ravel()]
        values += [coupling, coupling]
    shape = (alpha.size, alpha.size)
    couplings = scipy.sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape
    )
    weight = alpha.astype(np.float64) ** 2
    diagonal = np.asarray(couplings.sum(axis=1)).ravel() + weight.ravel()
    factors = scipy.sparse.linalg.splu((scipy.sparse.diags(diagonal) - couplings).tocsc())
    side = (weight[..., None] * image).reshape(-1, 3)
    return np.stack([factors.solve(side[:, c]) for c in range(3)], axis=1).reshape(height, width, 3)


def pictures(data: Path) -> dict[str, tuple[NDArray[Any], NDArray[np.float32], NDArray[Any]]]:
    """Name -> foreground, alpha and background, all of 800x600."""
    size = (WIDTH, HEIGHT)
    found: dict[str, tuple[NDArray[Any], NDArray[np.float32], NDArray[Any]]] = {}
    lemur = data / "lemur"
    if lemur.is_dir():
        foreground = cv2.resize(read_colour(lemur / "lemur_foreground.png"), size).astype(np.float32) / 255
        background = cv2.resize(read_colour(lemur / "beach.png"), size).astype(np.float32) / 255
        alpha = cv2.resize(read_alpha(lemur / "lemur_alpha.png"), size)
        found["lemur"] = (foreground, np.asarray(alpha, np.float32), background)
    source = ProceduralMattes(WIDTH, HEIGHT, SEED)
    for index in range(PROCEDURAL):
        drawn = source.foreground(index)
        # As in a training set: what is invisible may have any colour.
        junk = source.background(index + 100)
        colours = np.where(drawn.alpha[..., None] > 0, drawn.colours, junk).astype(np.float32)
        found[f"{index} {drawn.kind}"] = (colours, drawn.alpha, source.background(index))
    return found


def composite_error(found: NDArray[Any], truth: NDArray[Any], alpha: NDArray[Any]) -> float:
    """See the module."""
    return float(np.abs(alpha[..., None] * (found - truth)).mean() * 255)


def times_ms(calls: Mapping[str, Callable[[], object]], runs: int) -> dict[str, tuple[float, float]]:
    """Median and least milliseconds of functions called in turn; the least is what a busy machine disturbs least."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(runs):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: (statistics.median(values), min(values)) for name, values in times.items()}


def measure(
    foreground: NDArray[Any],
    alpha: NDArray[np.float32],
    background: NDArray[Any],
    runs: int,
    threads: int,
) -> dict[str, Any]:
    """All numbers of one picture."""
    ours = solve_foreground(foreground, alpha, threads=threads)
    exact = direct_solution(foreground, alpha)
    photograph = composite(foreground, alpha, background)
    methods: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "RF": lambda image: solve_foreground(image, alpha, threads=threads).colours,
        "paper's sweeps": lambda image: multi_scale_refine(image, alpha, borders="exact"),
        "pymatting ml": lambda image: np.asarray(estimate_foreground_ml(image, alpha)),
        "pymatting cf": lambda image: np.asarray(
            estimate_foreground_cf(image.astype(np.float64), alpha.astype(np.float64))
        ),
    }
    timed = {name: partial(method, foreground) for name, method in methods.items() if name != "pymatting cf"}
    visible = alpha > 0
    return {
        "distance to the direct solution, steps of 255": float(np.abs(ours.colours - exact)[visible].max() * 255),
        SWEEPS: float(np.abs(multi_scale_refine(foreground, alpha, borders="exact") - exact)[visible].max() * 255),
        "cycles": ours.cycles,
        "milliseconds": times_ms(timed, runs),
        "re-estimation": {n: composite_error(m(foreground), foreground, alpha) for n, m in methods.items()},
        "photograph": {n: composite_error(m(photograph), foreground, alpha) for n, m in methods.items()},
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/matting"))
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    results = {}
    for name, picture in pictures(arguments.data).items():
        row = results[name] = measure(*picture, arguments.runs, arguments.threads)
        times = row["milliseconds"]
        print(
            f"{name}: {row['distance to the direct solution, steps of 255']:.3f}/255 from the direct solution "
            f"(sweeps {row[SWEEPS]:.1f}/255), {row['cycles']} cycles"
        )
        print(f"  ms, median and least: {', '.join(f'{n} {m:.1f} {v:.1f}' for n, (m, v) in times.items())}")
        ratios = [ours / peer for ours, peer in zip(times["RF"], times["pymatting ml"], strict=True)]
        print(f"  RF / ml: {ratios[0]:.2f} of medians, {ratios[1]:.2f} of least times")
        for reading in ("re-estimation", "photograph"):
            print(f"  {reading}: {', '.join(f'{n} {v:.3f}' for n, v in row[reading].items())}", flush=True)
    if arguments.save is not None:
        write_json_atomically(arguments.save, results)


if __name__ == "__main__":
    main()
