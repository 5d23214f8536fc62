"""Small COCO files made at random, with everything the protocol distinguishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.instances.coco import encode_mask


def rectangle(rng: np.random.Generator, height: int, width: int, largest: int) -> NDArray[np.bool_]:
    """A random rectangle."""
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(height - 4), rng.integers(width - 4)
    mask[top : top + rng.integers(3, largest), left : left + rng.integers(3, largest)] = True
    return mask


def made_coco(
    folder: Path, seed: int = 0, *, images: int = 6, height: int = 150, width: int = 160
) -> tuple[Path, Path]:
    """Ground truth and results: several categories, crowds, all sizes, equal scores, exact hits, misses."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {
        "images": [{"id": 7 * number + 3, "height": height, "width": width} for number in range(images)],
        "categories": [{"id": 5, "name": "cup"}, {"id": 2, "name": "hand"}, {"id": 9, "name": "never"}],
        "annotations": [],
    }
    results = []
    for image in truth["images"]:
        for _ in range(int(rng.integers(1, 7))):
            mask = rectangle(rng, height, width, int(rng.choice([12, 40, 140])))
            encoded = encode_mask(mask)
            category, crowd = int(rng.choice([5, 2])), bool(rng.random() < 0.15)
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "segmentation": encoded,
                    "area": float(mask.sum()),
                    "bbox": _box(mask),
                    "iscrowd": int(crowd),
                }
            )
            for _ in range(int(rng.integers(0, 5))):
                guess = np.roll(mask, tuple(rng.integers(-3, 4, size=2)), axis=(0, 1))
                results.append(_result(image["id"], category if rng.random() < 0.8 else 5, rng, guess))
        for _ in range(3):
            results.append(_result(image["id"], 2, rng, rectangle(rng, height, width, 50)))
    paths = folder / "truth.json", folder / "results.json"
    paths[0].write_text(json.dumps(truth))
    paths[1].write_text(json.dumps(results))
    return paths


def _box(mask: NDArray[np.bool_]) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1)]


def _result(image: int, category: int, rng: np.random.Generator, mask: NDArray[np.bool_]) -> dict[str, Any]:
    score = float(np.round(rng.random(), 1))  # many equal ones
    return {"image_id": image, "category_id": category, "score": score, "segmentation": encode_mask(mask)}
