"""Tables of docs/matting.md: scores, refinement, hands of rendered frames, memory and time, and the ablation of table
1.

    python benchmarks/matting_tables.py scores     [--data FOLDER] [--models closed-form knn guess MODEL ...]
    python benchmarks/matting_tables.py refinement --models MODEL [--data FOLDER] [--steps 100]
    python benchmarks/matting_tables.py hands      [--models ...] [--count 12] [--size 640x480]
    python benchmarks/matting_tables.py sizes      [--models ...] [--threads 2]
    python benchmarks/matting_tables.py ablation   --work FOLDER [--steps 20000] [--seeds 3] [--only ROW]
                                                   [--sizes 96 128 192] [--drawn 2000]

FOLDER is a test set in a layout of `graspcut.matting.data.open_images`, by default ../shared/data/matting/alphamatting.
"guess" is the compact network before training: nearby colours alone. The ablation trains every row of table 1 with the
compact network on one drawn set; a row that is done is not done again, so it can be run in pieces.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.images import read_colour
from graspcut.matting.classical import classical_alpha
from graspcut.matting.data import ImageEntry, open_images
from graspcut.matting.images import read_alpha, read_trimap, to_bytes
from graspcut.matting.metrics import MattingScores, matting_scores
from graspcut.matting.predictor import Matter
from graspcut.matting.procedural.hands import hand_view
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.refinement_config import RefinementConfig
from graspcut.matting.trimap import trimap_from_alpha, with_estimate

DEFAULT_DATA = Path("../shared/data/matting/alphamatting")
HANDS_SEED = 271_828  # the widths of the unknown band were chosen on 31_337
SIZES = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
# Row of table 1 -> options of `graspcut train matting` beside the common ones.
# Row: which of the sizes, colour augmentation, re-estimation.
ABLATION: dict[str, tuple[int, str, str]] = {
    "small": (0, "none", "none"),
    "middle": (1, "none", "none"),
    "large": (2, "none", "none"),
    "large, CF": (2, "none", "cf"),
    "large, RF": (2, "none", "rf"),
    "large, CA": (2, "channel", "none"),
    "large, RF, CA": (2, "channel", "rf"),
}


def opened(name: str) -> Matter:
    """A matter by name; "guess" is the untrained compact network."""
    if name != "guess":
        return Matter.load(name)
    from graspcut.matting.models.lsa_matting_small import LSAMattingSmall

    matter = Matter.from_network(LSAMattingSmall().eval(), device="cpu")
    matter.name = name
    return matter


def scored(entry: ImageEntry, alpha: NDArray[np.float32]) -> MattingScores:
    """Scores of a matte as it would be written, in 8 bits."""
    assert entry.alpha is not None
    return matting_scores(to_bytes(alpha), read_alpha(entry.alpha), read_trimap(entry.trimap))


def scores(models: Sequence[str], data: Path, augment: bool) -> None:
    """SAD of every image, and all four means."""
    entries = open_images(data)
    table: dict[str, list[MattingScores]] = {}
    for name in models:
        matter = opened(name)
        table[name] = []
        for entry in entries:
            matte = matter(read_colour(entry.image), read_trimap(entry.trimap), augment=augment)
            table[name].append(scored(entry, matte.alpha))
    print(f"{'SAD':<10}" + "".join(f"{name[-16:]:>18}" for name in models))
    for row, entry in enumerate(entries):
        print(f"{entry.name:<10}" + "".join(f"{table[name][row].sad:>18.3f}" for name in models))
    for score in ("sad", "mse", "grad", "conn"):
        means = [statistics.fmean(getattr(one, score) for one in table[name]) for name in models]
        print(f"mean {score:<5}" + "".join(f"{value:>18.5f}" for value in means))


@dataclass(frozen=True)
class RefinementRow:
    """One image of table 3.

    Attributes:
        before, after: scores without and with refinement.
        fall: part of C1 that is gone.
        steps: gradient steps.
        passes: time of all of it, in forward passes of the network.
    """

    before: MattingScores
    after: MattingScores
    fall: float
    steps: int
    passes: float


def refinement_row(network: Any, entry: ImageEntry, steps: int) -> RefinementRow:
    """One image without and with refinement, by the network at the image's own size."""
    import torch

    from graspcut.matting.refinement import refined_alpha

    image, trimap = read_colour(entry.image), read_trimap(entry.trimap)
    height, width = trimap.shape
    edges = ((0, -height % 128), (0, -width % 128))
    padded_image = np.pad(image, (*edges, (0, 0)), mode="reflect")
    padded_trimap = np.pad(trimap, edges, mode="reflect")
    if getattr(network.config, "begins_with", "") == "closed-form":
        padded_trimap = with_estimate(padded_trimap, classical_alpha(padded_image, padded_trimap))
    plain = refined_alpha(network, padded_image, padded_trimap, RefinementConfig(steps=0))
    picture = torch.from_numpy(padded_image).permute(2, 0, 1)[None] / 255
    marks = torch.from_numpy(padded_trimap)[None, None] / 255
    with torch.no_grad():
        network(picture, marks)
        started = time.perf_counter()
        network(picture, marks)
        forward = time.perf_counter() - started
    started = time.perf_counter()
    found = refined_alpha(network, padded_image, padded_trimap, RefinementConfig(steps=steps))
    seconds = time.perf_counter() - started
    return RefinementRow(
        scored(entry, plain.alpha[:height, :width]),
        scored(entry, found.alpha[:height, :width]),
        1 - found.boundary_costs[-1] / max(found.boundary_costs[0], 1e-12),
        found.steps,
        seconds / forward,
    )


def refinement(models: Sequence[str], data: Path, steps: int) -> None:
    """Table 3, how far C1 falls, and time beside one forward pass."""
    for name in models:
        network = Matter.load_network(name)
        rows = []
        for entry in open_images(data):
            row = refinement_row(network, entry, steps)
            rows.append(row)
            print(
                f"{entry.name}: SAD {row.before.sad:.3f} -> {row.after.sad:.3f}, C1 falls by {100 * row.fall:.0f} %, "
                f"{row.steps} steps in {row.passes:.0f} forward passes",
                flush=True,
            )
        for score in ("sad", "mse", "grad", "conn"):
            before = statistics.fmean(getattr(row.before, score) for row in rows)
            after = statistics.fmean(getattr(row.after, score) for row in rows)
            print(f"{name} mean {score}: {before:.5f} without, {after:.5f} with")
        print(f"median fall of C1: {100 * statistics.median(row.fall for row in rows):.0f} %")


def hands(models: Sequence[str], count: int, width: int, height: int) -> None:
    """Rendered RGB-D frames, trimap from the shipped depth segmentation alone; SAD over the whole picture."""
    from graspcut.scene.mattes import frame_trimap, matte_frame
    from graspcut.segmentation.predictor import Segmenter

    segmenter = Segmenter.load()
    matters = {name: opened(name) for name in models}
    rows = []
    for index in range(count):
        view = hand_view(np.random.default_rng([HANDS_SEED, index]), height, width, profile="v1")
        segmentation = segmenter(view.frame)
        hard = (segmentation.labels > 0).astype(np.float32)
        row = {"hard mask": float(np.abs(hard - view.alpha).sum()) / 1000}
        for name, matter in matters.items():
            found = matte_frame(view.frame, lambda _: segmentation, matter)  # noqa: B023
            row[name] = float(np.abs(found.alpha - view.alpha).sum()) / 1000
        trimap = frame_trimap(view.frame, segmentation)
        wrong = ((trimap == 255) & (view.alpha < 0.5)) | ((trimap == 0) & (view.alpha > 0.5))
        row["wrongly known"] = float(wrong.sum()) / 1000
        rows.append(row)
        print(index, {name: round(value, 3) for name, value in row.items()}, flush=True)
    print(f"{count} frames of {width}x{height}: mean SAD, and median of SAD / SAD of the hard mask")
    for name in rows[0]:
        ratio = statistics.median(row[name] / row["hard mask"] for row in rows)
        print(f"  {name:<16}{statistics.fmean(row[name] for row in rows):>9.3f}{ratio:>8.2f}")


def sizes(models: Sequence[str], threads: int, runs: int) -> None:
    """Milliseconds and most memory at four sizes with a hand's trimap, each in a process of its own."""
    for name in models:
        for width, height in SIZES:
            command = [sys.executable, __file__, "one-size", "--models", name, "--size", f"{width}x{height}"]
            done = subprocess.run(
                [*command, "--threads", str(threads), "--runs", str(runs)], capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name:<16}{width}x{height}: {found['milliseconds']:.0f} ms, {found['megabytes']:.0f} MB more than "
                f"before, unknown {100 * found['unknown']:.1f} %",
                flush=True,
            )


def one_size(name: str, width: int, height: int, threads: int, runs: int) -> None:
    """One line of JSON for `sizes`."""
    view = hand_view(np.random.default_rng([HANDS_SEED, 3]), min(height, 480), min(width, 640))
    import cv2

    colour = np.asarray(cv2.resize(view.colour, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    alpha = np.asarray(cv2.resize(view.alpha, (width, height)), np.float32)
    scale = width / 640
    trimap = trimap_from_alpha(np.rint(alpha * 255).astype(np.uint8), round(8 * scale), round(6 * scale))
    matter = Matter.load(name, threads=threads) if name != "guess" else opened(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matter(colour, trimap)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        matter(colour, trimap)
        times.append(1000 * (time.perf_counter() - started))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    unknown = float((trimap == 128).mean())
    print(json.dumps({"milliseconds": statistics.median(times), "megabytes": more, "unknown": unknown}))


def ablation(given: argparse.Namespace) -> None:
    """Table 1 with the compact network on drawn data; each row is kept when it is done.

    As in the paper's data, the foregrounds that are trained on are the pictures themselves: where alpha is below 1 they
    have colours of their first background, which CF and RF take out. The test set has the true ones.
    """
    from graspcut.matting.procedural.dataset import generate_mattes

    drawn, train, test = given.work / "drawn", given.work / "train", given.work / "test"
    generate_mattes(ProceduralMattes(320, 320, 1), count=given.drawn, out=drawn)
    generate_mattes(ProceduralMattes(192, 192, 990), count=given.count, out=test)
    train.mkdir(exist_ok=True)
    for name, source in (("foreground", "image"), ("alpha", "alpha"), ("background", "background")):
        if not (train / name).exists():
            (train / name).symlink_to((drawn / source).resolve())
    for seed in range(given.seeds):
        for row, (size, colour, refinement) in ABLATION.items():
            if given.only is not None and row != given.only:
                continue
            folder = given.work / f"{row.replace(', ', '-')}-{seed}"
            if not (folder / "model" / "config.json").exists():
                command = [sys.executable, "-m", "graspcut.cli", "train", "matting", "--folder", str(folder)]
                command += [
                    "--data",
                    str(train),
                    "--steps",
                    str(given.steps or 20_000),
                    "--size",
                    str(given.sizes[size]),
                ]
                command += ["--colour", colour, "--refinement", refinement, "--precision", given.precision]
                subprocess.run([*command, "--seed", str(seed), "--data-seed", str(seed)], check=True)
            for augment in (False, True) if row == "large, RF, CA" else (False,):
                print(f"{row}{', TTA' if augment else ''}, seed {seed}")
                scores([str(folder / "model")], test, augment=augment)


def main() -> None:
    """Runs one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("scores", "refinement", "hands", "sizes", "one-size", "ablation"))
    parser.add_argument("--models", nargs="+", default=["closed-form", "knn", "guess"])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="row of the ablation")
    parser.add_argument("--sizes", type=int, nargs=3, default=(96, 128, 192), help="training squares of the ablation")
    parser.add_argument("--drawn", type=int, default=2000, help="foregrounds that the ablation draws")
    parser.add_argument("--precision", default="32-true", help="of the ablation's trainings")
    given = parser.parse_args()
    width, height = (int(part) for part in given.size.split("x"))
    if given.table == "scores":
        scores(given.models, given.data, given.augment)
    elif given.table == "refinement":
        refinement(given.models, given.data, given.steps or 100)
    elif given.table == "hands":
        hands(given.models, given.count, width, height)
    elif given.table == "sizes":
        sizes(given.models, given.threads, given.runs)
    elif given.table == "one-size":
        one_size(given.models[0], width, height, given.threads, given.runs)
    elif given.work is None:
        parser.error("the ablation needs --work FOLDER")
    else:
        ablation(given)


if __name__ == "__main__":
    main()
