"""Table 2: what restoring part maps from synthetic label patches brings, on a synthetic target domain.

    python benchmarks/pose_restoration.py --parts runs/parts/model --source crops/source-train.npz \
        --target crops/target-test.npz --tune crops/target-train.npz

Compares the raw prediction, nearest neighbours without integration, equation 2 and both CRFs on the same frames. The
weights of the CRFs' pairwise terms are chosen on `--tune`, frames that are not reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.json_files import write_json_atomically
from graspcut.pose.anatomy import PARTS
from graspcut.pose.crf import CANDIDATES, CrfConfig, restore_with_crf
from graspcut.pose.crops import HandCrops
from graspcut.pose.data import ALL_VIEWS, UPRIGHT_VIEWS, ViewConfig
from graspcut.pose.metrics import PartCounts, part_counts
from graspcut.pose.patches import Matches, PatchDictionary, SearchConfig, restore
from graspcut.pose.training_data import dictionary_images, fixed_batch, load_part_network, predict_parts

ALPHAS = {"potts": (2.0, 8.0, 30.0, 100.0), "overlap": (0.05, 0.2, 0.8, 3.0)}
Restore = Callable[[NDArray[np.uint8], Matches], NDArray[np.uint8]]


def predictions(network: Path, crops: HandCrops, views: ViewConfig) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Predicted and true maps (n, 48, 48), forearms as background in both."""
    batch = fixed_batch(crops, views)
    predicted = predict_parts(load_part_network(network), batch.crop)
    hand = (batch.parts > 0) & (batch.parts <= PARTS)
    return np.where(hand & (predicted <= PARTS), predicted, 0).astype(np.uint8), np.where(hand, batch.parts, 0)


def score(
    predicted: NDArray[np.uint8], truth: NDArray[np.uint8], matches: list[Matches], restoring: Restore
) -> PartCounts:
    """Counts of all maps after restoring them."""
    restored = np.stack([restoring(image, found) for image, found in zip(predicted, matches, strict=True)])
    return part_counts(restored, truth.astype(np.uint8))


def main() -> None:
    """Print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--tune", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--tune-frames", type=int, default=30)
    parser.add_argument("--dictionary-images", type=int, default=3000, help="hands of the source")
    parser.add_argument("--dictionary-views", type=int, default=1, help="views of each of them")
    parser.add_argument("--upright", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, default=Path("restoration.json"))
    arguments = parser.parse_args()
    views = UPRIGHT_VIEWS if arguments.upright else ALL_VIEWS
    source = HandCrops.load(arguments.source)
    chosen = source.subset(slice(0, arguments.dictionary_images))
    images = dictionary_images(chosen, views, arguments.dictionary_views, 0)
    dictionary = PatchDictionary(images, SearchConfig(threads=arguments.threads))
    dictionary.build_index()
    print(f"dictionary: {len(dictionary):,} patches of {len(images):,} images", flush=True)
    tables: dict[str, dict[str, float]] = {}
    alphas: dict[str, float] = {}
    for part, path, count in (
        ("tune", arguments.tune, arguments.tune_frames),
        ("test", arguments.target, arguments.frames),
    ):
        predicted, truth = predictions(arguments.parts, HandCrops.load(path).subset(slice(-count, None)), views)
        began = time.perf_counter()
        matches = [dictionary.nearest(image, CANDIDATES) for image in predicted]
        print(f"{part}: {len(matches) / (time.perf_counter() - began):.1f} images/s searched", flush=True)
        if part == "tune":
            for pairwise, choices in ALPHAS.items():
                accuracies = [
                    score(predicted, truth, matches, _crf(dictionary, pairwise, alpha)).per_pixel for alpha in choices
                ]
                alphas[pairwise] = choices[int(np.argmax(accuracies))]
                print(f"alpha of {pairwise}: {dict(zip(choices, accuracies, strict=True))}", flush=True)
            continue
        ways: dict[str, Restore] = {
            "no restoration": lambda image, _: image,
            "nearest neighbour, no integration": lambda image, found: restore(image, dictionary, found, 1),
            "nearest neighbour, equation 2": lambda image, found: restore(image, dictionary, found),
            "CRF, Potts": _crf(dictionary, "potts", alphas["potts"]),
            "CRF, overlap": _crf(dictionary, "overlap", alphas["overlap"]),
        }
        for name, way in ways.items():
            counts = score(predicted, truth, matches, way)
            tables[name] = {"per_pixel": 100 * counts.per_pixel, "per_class": 100 * counts.per_class}
            print(
                f"{name:36} per pixel {100 * counts.per_pixel:6.2f}  per class {100 * counts.per_class:6.2f}",
                flush=True,
            )
    write_json_atomically(arguments.save, {"frames": arguments.frames, "alphas": alphas, "table": tables})


def _crf(dictionary: PatchDictionary, pairwise: str, alpha: float) -> Restore:
    config = CrfConfig("potts" if pairwise == "potts" else "overlap", alpha)
    return lambda image, found: restore_with_crf(image, dictionary, config, found)


if __name__ == "__main__":
    main()
