"""Table 3 and figure 6: part accuracy of two or more part networks on the same hands, in all and for each part.

python benchmarks/pose_parts_figure.py --upright --hands crops/target-test.npz --out figure6.png
    "synthetic only=runs/source/model" "weakly supervised=runs/weak/model"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import PART_NAMES
from graspcut.pose.anatomy import PARTS
from graspcut.pose.crops import HandCrops
from graspcut.pose.data import ALL_VIEWS, UPRIGHT_VIEWS
from graspcut.pose.metrics import part_counts
from graspcut.pose.training_data import fixed_batch, load_part_network, predict_parts

matplotlib.use("Agg")


def draw(recalls: dict[str, NDArray[np.floating]], path: Path) -> None:
    """Bars of every part's accuracy, one colour a network."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 4.2), layout="constrained")
    places, width = np.arange(1, PARTS + 1), 0.8 / len(recalls)
    for number, (name, recall) in enumerate(recalls.items()):
        axes.bar(places + (number - (len(recalls) - 1) / 2) * width, 100 * recall, width, label=name)
    labels = [f"{place} {name.replace('_', ' ')}" for place, name in zip(places, PART_NAMES, strict=True)]
    axes.set_xticks(places, labels, rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("pixels of the part that are right, %")
    axes.set_ylim(0, 100)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Print, save, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="NAME=FOLDER of each network")
    parser.add_argument("--hands", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--upright", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="the picture; a .json of the same name beside it")
    arguments = parser.parse_args()
    views = UPRIGHT_VIEWS if arguments.upright else ALL_VIEWS
    batch = fixed_batch(HandCrops.load(arguments.hands).subset(slice(-arguments.count, None)), views)
    recalls: dict[str, NDArray[np.floating]] = {}
    table: dict[str, dict[str, float]] = {}
    for model in arguments.models:
        name, _, folder = model.partition("=")
        counts = part_counts(predict_parts(load_part_network(folder), batch.crop), batch.parts)
        recalls[name] = counts.recall
        table[name] = {"per_pixel": 100 * counts.per_pixel, "per_class": 100 * counts.per_class}
        print(
            f"{name:24} per pixel {table[name]['per_pixel']:.2f}  per class {table[name]['per_class']:.2f}", flush=True
        )
    draw(recalls, arguments.out)
    write_json_atomically(
        arguments.out.with_suffix(".json"),
        {
            "hands": len(batch.crop),
            "table": table,
            "recall": {name: list(map(float, r)) for name, r in recalls.items()},
        },
    )


if __name__ == "__main__":
    main()
