"""Trains the matting network that begins with closed-form's matte: drawn foregrounds only, no photograph.

    python -m graspcut.cli synth matting --count 1000 --size 320x320 --seed 1 --out runs/matting/foregrounds
    python -m benchmarks.matting_squares --foregrounds runs/matting/foregrounds --out runs/matting/squares
    python -m benchmarks.train_matting --squares runs/matting/squares --out runs/matting/run --steps 12000

It goes through the squares again and again, each time turned and mirrored in one of eight ways, and goes on where it
was stopped. Squares that are drawn meanwhile are not taken: their number belongs to the run.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.matting_squares import drawn, stored
from numpy.typing import NDArray

from graspcut.matting.data import MattingBatch, batch_item
from graspcut.matting.models import MODEL_NAMES, build_model, model_config
from graspcut.matting.task import MattingConfig, MattingTask
from graspcut.matting.trimap import UNKNOWN, with_estimate
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.run_config import RunConfig
from graspcut.train.streams import TrainingData
from graspcut.train.trainer import prepare_run, run_training

_STREAM = 51


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
        arrays = stored(self.folder, None)
        items = [self._item(arrays, index, seed) for index in range(first, first + self.batch_size)]
        return MattingBatch(*(np.stack(parts) for parts in zip(*items, strict=True)))

    def items(self, first: int, last: int, /) -> list[MattingBatch]:
        """Items one by one, for validation: in their order, as they are."""
        arrays = stored(self.folder, None)
        return [self._as_item(arrays, self.first + index, 0) for index in range(first, last)]

    def _item(self, arrays: dict[str, NDArray[np.uint8]], index: int, seed: int) -> MattingBatch:
        epoch, place = divmod(index, self.count)
        order = np.random.default_rng([_STREAM, seed, epoch]).permutation(self.count)
        symmetry = int(np.random.default_rng([_STREAM, seed, 1, index]).integers(8)) if self.symmetries else 0
        return self._as_item(arrays, self.first + int(order[place]), symmetry)

    @staticmethod
    def _as_item(arrays: dict[str, NDArray[np.uint8]], index: int, symmetry: int) -> MattingBatch:
        scale = np.float32(255.0)
        estimate = arrays["closed-form"][index].astype(np.float32) / scale
        trimap = with_estimate(np.asarray(arrays["trimap"][index]), estimate)
        turned = [np.rot90(part, symmetry // 2) for part in (arrays["image"][index], trimap, arrays["alpha"][index])]
        image, trimap, alpha = (part[:, ::-1] if symmetry % 2 else part for part in turned)
        return batch_item(
            image.astype(np.float32) / scale, np.ascontiguousarray(trimap), alpha.astype(np.float32) / scale
        )

    def describe(self) -> dict[str, Any]:
        """JSON-able."""
        return {"squares": str(self.folder), "first": self.first, "last": self.last, "batch_size": self.batch_size}


def closed_form_error(folder: Path, first: int, last: int) -> float:
    """Mean absolute difference of closed-form's mattes over all their unknown pixels together."""
    arrays = stored(folder, None)
    trimap, alpha, found = (np.asarray(arrays[name][first:last]) for name in ("trimap", "alpha", "closed-form"))
    difference = np.abs(found.astype(np.float64) - alpha)[trimap == UNKNOWN]
    return float(difference.mean() / 255)


def train(given: argparse.Namespace) -> None:
    """Trains on all squares but the last `--held-out` of the first folder."""
    held_out: int = given.held_out
    views = []
    for place, folder in enumerate(given.squares):
        count = given.count if given.count and not place else drawn(stored(folder, None))
        views.append(StoredSquares(folder, 0, count, given.batch))
    last = views[0].last
    views[0] = dataclasses.replace(views[0], last=last - held_out)
    total = sum(view.count for view in views)
    views = [dataclasses.replace(view, probability=view.count / total) for view in views]
    run = RunConfig(
        given.out,
        accelerator="cpu",
        threads=1,
        precision=given.precision,
        validate_every_steps=1000,
        checkpoint_every_minutes=3,
        log_every_steps=50,
    )
    prepare_run(run)
    error = closed_form_error(views[0].folder, last - held_out, last)
    print(f"{total} squares; closed-form on the held-out ones: mad {error:.4f}", flush=True)
    network = build_model(MODEL_NAMES[given.network])
    if given.start is not None:
        _, weights = load_model_folder(given.start)
        fill_network(network, weights, given.start)
    config = MattingConfig.quick(given.steps)
    config = dataclasses.replace(
        config,
        optimisation=dataclasses.replace(config.optimisation, learning_rate=given.learning_rate, channels_last=True),
    )
    validation = StoredSquares(views[0].folder, last - held_out, last, given.batch)
    data = TrainingData(list(views), [validation], seed=0, workers=1)
    print(run_training(MattingTask(network, model_config(network), config), data, run), flush=True)


def main() -> None:
    """Trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squares", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=sorted(MODEL_NAMES), default="lsa-matting-on-closed-form")
    parser.add_argument("--start", type=Path, help="model folder to go on from")
    parser.add_argument("--count", type=int, help="squares of the first folder; those that there are")
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--precision", default="32-true")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
