"""How fast and how exact the search among 36 million label patches is (section 3.2 of Neverova et al.).

    python benchmarks/pose_dictionary.py --source crops/source-train.npz --patches 36e6 --threads 2

Random views of the rendered hands give as many label images as the patches need. Prints the time to build, memory,
images a second, and the mean Hamming distance beside that of the exact search on some pixels. Processor seconds are
those of this process, for machines that are busy with other things.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from graspcut.frames.json_files import write_json_atomically
from graspcut.pose.crops import HandCrops
from graspcut.pose.data import ALL_VIEWS, UPRIGHT_VIEWS
from graspcut.pose.patches import PatchDictionary, SearchConfig, restore
from graspcut.pose.training_data import dictionary_images


def noisy(image: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """A map with blocks of wrong labels, as a network's."""
    out = image.copy()
    rows, columns = np.nonzero(image)
    for _ in range(max(1, round(share * len(rows) / 6))):
        k = int(rng.integers(len(rows)))
        block = (slice(max(0, rows[k] - 1), rows[k] + 2), slice(max(0, columns[k] - 1), columns[k] + 1))
        out[block] = np.where(out[block] > 0, rng.integers(1, 21), 0)
    return out


def main() -> None:
    """Build, search, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--patches", type=float, default=36e6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--probes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--images", type=int, default=20, help="maps that are restored")
    parser.add_argument("--exact-pixels", type=int, default=24)
    parser.add_argument("--upright", action="store_true")
    parser.add_argument("--save", type=Path, default=Path("dictionary.json"))
    arguments = parser.parse_args()
    views = UPRIGHT_VIEWS if arguments.upright else ALL_VIEWS
    crops = HandCrops.load(arguments.source)
    held, crops = crops.subset(slice(0, arguments.images)), crops.subset(slice(arguments.images, None))
    sets, count, seed = [], 0, 0
    while count < arguments.patches:
        images = dictionary_images(crops, views, 1, seed)
        sets.append(images)
        count += int((images > 0).sum())
        seed += 1
    images = np.concatenate(sets)
    total = np.cumsum((images > 0).reshape(len(images), -1).sum(axis=1))
    images = images[: int(np.searchsorted(total, arguments.patches)) + 1]
    began, cpu = time.perf_counter(), time.process_time()
    dictionary = PatchDictionary(images, SearchConfig(threads=arguments.threads))
    dictionary.build_index()
    facts: dict[str, float] = {
        "patches": len(dictionary),
        "label_images": len(images),
        "build_seconds": time.perf_counter() - began,
        "build_processor_seconds": time.process_time() - cpu,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    print(facts, flush=True)
    rng = np.random.default_rng(0)
    queries = [noisy(image, rng, 0.3) for image in dictionary_images(held, views, 1, 999)]
    exact = {}
    for number in range(arguments.exact_pixels):
        image = queries[number % len(queries)]
        rows, columns = np.nonzero(image)
        k = int(rng.integers(len(rows)))
        # One pixel's patch alone: everything farther than a patch reaches is cut away, its own 27x27 stay.
        exact[number % len(queries), int(rows[k]), int(columns[k])] = 0
    began = time.perf_counter()
    for index, row, column in exact:
        pixel = np.array([[row, column]])
        ids, distances = np.full((1, 1), -1, np.int64), np.full((1, 1), 730, np.int64)
        dictionary.search_pixels_exactly(queries[index], pixel, ids, distances)
        exact[index, row, column] = int(distances[0, 0])
    facts["exact_seconds_a_pixel"] = (time.perf_counter() - began) / len(exact)
    for probes in arguments.probes:
        dictionary.set_probes(probes)
        dictionary.nearest(queries[0])
        began, cpu = time.perf_counter(), time.process_time()
        found = [dictionary.nearest(image) for image in queries]
        seconds, processor = time.perf_counter() - began, time.process_time() - cpu
        for image, matches in zip(queries, found, strict=True):
            restore(image, dictionary, matches)
        tables = [matches.index() for matches in found]
        ours = [int(found[i].distances[tables[i][r, c], 0]) for i, r, c in exact]
        pixels = sum(len(matches.pixels) for matches in found)
        facts |= {
            f"probes_{probes}_images_a_second": len(queries) / seconds,
            f"probes_{probes}_processor_ms_a_pixel": 1000 * processor / pixels,
            f"probes_{probes}_mean_distance": float(np.mean(ours)),
            f"probes_{probes}_above_exact_percent": 100
            * (float(np.mean(ours)) / float(np.mean(list(exact.values()))) - 1),
        }
        print({name: value for name, value in facts.items() if f"probes_{probes}_" in name}, flush=True)
    facts["exact_mean_distance"] = float(np.mean(list(exact.values())))
    print(facts, flush=True)
    write_json_atomically(arguments.save, facts)


if __name__ == "__main__":
    main()
