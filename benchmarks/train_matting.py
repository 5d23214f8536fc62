"""Trains the matting network that begins with closed-form's matte: drawn foregrounds only, no photograph.

    python -m graspcut.cli synth matting --count 1000 --size 320x320 --seed 1 --out runs/matting/foregrounds
    nice -n 19 python benchmarks/train_matting.py squares --out runs/matting
    nice -n 19 python benchmarks/train_matting.py train   --out runs/matting --steps 12000

`squares` composes training squares by the paper's whole augmentation, works out closed-form's matte for each, which
takes longer than a step of training, and keeps them in memory-mapped files. `train` goes through them again and again,
each time turned and mirrored in one of eight ways. Both go on where they were stopped; `train` takes the squares
that there are.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from graspcut.matting.augmentation import MattingAugmentation, training_example
from graspcut.matting.classical import classical_alpha
from graspcut.matting.data import MattingBatch, batch_item, open_foregrounds
from graspcut.matting.images import to_bytes
from graspcut.matting.models import MODEL_NAMES, build_model, model_config
from graspcut.matting.task import MattingConfig, MattingTask
from graspcut.matting.trimap import HIGHEST_UNKNOWN, LOWEST_UNKNOWN, with_estimate
from graspcut.train.run_config import RunConfig
from graspcut.train.streams import TrainingData
from graspcut.train.trainer import prepare_run, run_training

NETWORK = "lsa-matting-on-closed-form"
SIDE = 192
_STREAM = 51


def draw_squares(folder: Path, count: int, seed: int) -> None:
    """Squares 0 .. count - 1 as FOLDER/image.npy, trimap.npy (with estimates) and alpha.npy, uint8."""
    foregrounds, backgrounds = open_foregrounds(folder / "foregrounds")
    assert backgrounds is not None
    arrays = _squares(folder, count)
    augmentation = MattingAugmentation(size=SIDE, crop=(0.5, 1.4), blur=0.2, jitter=0.1)
    for index in range(_drawn(arrays), count):
        if index % 100 == 0:
            print(f"{index} of {count}", flush=True)
        rng = np.random.default_rng([_STREAM, seed, index])
        colours, alpha = foregrounds.foreground(index % len(foregrounds))
        behind = backgrounds.background(int(rng.integers(len(backgrounds))))
        example = training_example(colours, alpha, behind, augmentation, rng)
        image = to_bytes(example.image)
        estimate = classical_alpha(image, example.trimap)
        arrays["image"][index], arrays["alpha"][index] = image, to_bytes(example.alpha)
        arrays["trimap"][index] = with_estimate(example.trimap, estimate)
    for array in arrays.values():
        array.flush()


def _squares(folder: Path, count: int | None) -> dict[str, Any]:
    """The memory maps; made if there are none and `count` says how many."""
    shapes = {"image": (SIDE, SIDE, 3), "trimap": (SIDE, SIDE), "alpha": (SIDE, SIDE)}
    found = {}
    for name, shape in shapes.items():
        path = folder / f"{name}.npy"
        if path.exists():
            found[name] = np.load(path, mmap_mode="r" if count is None else "r+")
        elif count is None:
            raise SystemExit(f"{path} is missing: draw the squares first")
        else:
            found[name] = open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *shape))
    return found


def _drawn(arrays: dict[str, Any]) -> int:
    """How many squares there are; the others are still 0."""
    there = [bool(trimap.any()) for trimap in arrays["trimap"]]
    return there.index(False) if False in there else len(there)


@dataclass(frozen=True)
class StoredSquares:
    """Batches of the stored squares in an order of their own each time, each in one of its eight symmetries.

    Attributes:
        folder: of the memory maps.
        first, last: which of them.
        batch_size: items in a batch.
        probability: weight of this view.
        symmetries: whether to turn and mirror.
    """

    folder: Path
    first: int
    last: int
    batch_size: int
    probability: float = 1.0
    symmetries: bool = True

    @property
    def count(self) -> int:
        """Number of items."""
        return self.last - self.first

    def batch(self, first: int, seed: int) -> MattingBatch:
        """The batch that begins with item `first`."""
        arrays = _squares(self.folder, None)
        items = [self._item(arrays, index, seed) for index in range(first, first + self.batch_size)]
        return MattingBatch(*(np.stack(parts) for parts in zip(*items, strict=True)))

    def items(self, first: int, last: int, /) -> list[MattingBatch]:
        """Items one by one, for validation: in their order, as they are."""
        arrays = _squares(self.folder, None)
        return [self._as_item(arrays, self.first + index, 0) for index in range(first, last)]

    def _item(self, arrays: dict[str, NDArray[np.uint8]], index: int, seed: int) -> MattingBatch:
        epoch, place = divmod(index, self.count)
        order = np.random.default_rng([_STREAM, seed, epoch]).permutation(self.count)
        symmetry = int(np.random.default_rng([_STREAM, seed, 1, index]).integers(8)) if self.symmetries else 0
        return self._as_item(arrays, self.first + int(order[place]), symmetry)

    @staticmethod
    def _as_item(arrays: dict[str, NDArray[np.uint8]], index: int, symmetry: int) -> MattingBatch:
        image, trimap, alpha = (arrays[name][index] for name in ("image", "trimap", "alpha"))
        turned = [np.rot90(part, symmetry // 2) for part in (image, trimap, alpha)]
        image, trimap, alpha = (part[:, ::-1] if symmetry % 2 else part for part in turned)
        scale = np.float32(255.0)
        return batch_item(
            image.astype(np.float32) / scale, np.ascontiguousarray(trimap), alpha.astype(np.float32) / scale
        )

    def describe(self) -> dict[str, Any]:
        """JSON-able."""
        return {"squares": str(self.folder), "first": self.first, "last": self.last, "batch_size": self.batch_size}


def _closed_form_error(folder: Path, first: int, last: int) -> float:
    """Mean absolute difference of the estimates in the trimaps over all their unknown pixels together."""
    arrays = _squares(folder, None)
    trimaps, alpha = arrays["trimap"][first:last].astype(np.float64), arrays["alpha"][first:last] / 255.0
    unknown = (trimaps >= LOWEST_UNKNOWN) & (trimaps <= HIGHEST_UNKNOWN)
    estimates = (trimaps - LOWEST_UNKNOWN) / (HIGHEST_UNKNOWN - LOWEST_UNKNOWN)
    return float(np.abs(estimates - alpha)[unknown].mean())


def train(folder: Path, steps: int, batch: int, held_out: int, precision: str) -> None:
    """Trains on all squares but the last `held_out`."""
    count = _drawn(_squares(folder, None))
    run = RunConfig(
        folder / "run",
        accelerator="cpu",
        threads=1,
        precision=precision,  # type: ignore[arg-type]
        validate_every_steps=1000,
        checkpoint_every_minutes=3,
        log_every_steps=50,
    )
    prepare_run(run)
    error = _closed_form_error(folder, count - held_out, count)
    print(f"closed-form on the held-out squares: mad {error:.3f}", flush=True)
    network = build_model(MODEL_NAMES[NETWORK])
    config = MattingConfig.quick(steps)
    training = StoredSquares(folder, 0, count - held_out, batch)
    data = TrainingData([training], [StoredSquares(folder, count - held_out, count, batch)], seed=0, workers=1)
    print(run_training(MattingTask(network, model_config(network), config), data, run), flush=True)


def main() -> None:
    """Draws or trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("squares", "train"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4200)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="32-true")
    given = parser.parse_args()
    if given.what == "squares":
        draw_squares(given.out, given.count, given.seed)
    else:
        train(given.out, given.steps, given.batch, given.held_out, given.precision)


if __name__ == "__main__":
    main()
