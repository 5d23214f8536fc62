"""One question of the loss at a time: class weights, a Dice term, a Lovász term, where networks do find objects.

    python -m benchmarks.small_problem --out runs/small
    python -m benchmarks.loss_terms --data runs/small --out runs/loss-terms --save docs/results/loss-terms.json

The shipped network learns `benchmarks.small_problem` from random weights, with each loss and each seed. A loss also
decides how readily a pixel is called hand or object, which can be had without it: so besides each network as it is, it
is scored with its probabilities of object multiplied by the factor that is best on windows it was trained on (nothing
lies behind the hands of this problem, so that background is no question). Runs that are finished stay, so the same
command continues; --rows and --seeds share the work between processes.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.frames.dataset import DatasetReader, open_dataset
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.labels import BACKGROUND, HAND, OBJECT
from graspcut.own_files import file_of
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.data import SegmentationBatch, segmentation_target
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmallConfig
from graspcut.segmentation.own_losses import OwnLosses, open_loss_file
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FolderSamples
from graspcut.train.streams import TrainingData, View
from graspcut.train.trainer import RunConfig, prepare_run, run_training

NETWORK = {"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(DenseAttentionSmallConfig())}
DICE = Path(__file__).resolve().parent.parent / "examples" / "my_loss.py"
BATCH = 16
OBJECT_FACTORS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
CALIBRATION_WINDOWS = 300
COLUMNS = (("as trained", "mean"), ("as trained", "hand"), ("as trained", "object"), ("calibrated", "mean"))
Probabilities = list[tuple[NDArray[np.uint8], NDArray[np.float32]]]


def lovasz(logits: Tensor, batch: SegmentationBatch) -> Tensor:
    """Mean over the batch's classes of the Lovász extension of one minus IOU (Berman et al. 2018, "Lovász-Softmax")."""
    known = batch.labels != 255
    probabilities = logits.softmax(dim=1).movedim(1, 0)[:, known]
    labels = batch.labels[known]
    losses = []
    for label in (BACKGROUND, HAND, OBJECT):
        true = (labels == label).float()
        if true.sum() == 0:
            continue
        errors, order = (true - probabilities[label]).abs().sort(descending=True)
        sorted_true = true[order]
        left = sorted_true.sum() - sorted_true.cumsum(0)
        lost = 1 - left / (sorted_true.sum() + (1 - sorted_true).cumsum(0))
        losses.append((errors * lost.diff(prepend=lost.new_zeros(1))).sum())
    return torch.stack(losses).mean()


@dataclass(frozen=True)
class Loss:
    """What is made small.

    Attributes:
        class_weights: of background, hand and object in the cross entropy.
        own: terms besides it.
    """

    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.6)
    own: OwnLosses | None = None


LOSSES = {
    "1, 1, 1.6 (shipped)": Loss(),
    "1, 1, 1": Loss((1.0, 1.0, 1.0)),
    "1, 3, 3": Loss((1.0, 3.0, 3.0)),
    "and Dice": Loss(own=open_loss_file(DICE)),
    "and Lovász": Loss(own=OwnLosses({"lovasz": lovasz}, {"lovasz": 1.0}, file_of(lovasz))),
}


def probabilities_of(network: nn.Module, frames: DatasetReader, count: int) -> Probabilities:
    """Labels of frames and what a network thinks of them, (3, H, W)."""
    found: Probabilities = []
    network.eval()
    with torch.no_grad():
        for index in range(min(count, len(frames))):
            depth, labels = frames.read_depth_and_labels(index)
            camera = frames.camera(index)
            assert camera is not None
            logits = network(torch.from_numpy(depth)[None, None], torch.tensor([camera.fx], dtype=torch.float32))
            probabilities = logits.softmax(dim=1)[0].numpy()
            probabilities[1:, depth == 0] = 0
            found.append((labels, probabilities))
    return found


def scored(found: Probabilities, held: float = 1.0) -> dict[str, float]:
    """IOU in percent, with probabilities of object multiplied."""
    factors = np.array([1.0, 1.0, held], np.float32)[:, None, None]
    counts = ConfusionCounts()
    for labels, probabilities in found:
        counts.add(labels, (factors * probabilities).argmax(axis=0).astype(np.uint8))
    scores = counts.scores()
    return {"mean": 100 * scores.mean_iou, "hand": 100 * scores.hand_iou, "object": 100 * scores.object_iou}


def network_of(model: Path) -> nn.Module:
    """What a model folder holds."""
    network = build_model(NETWORK)
    fill_network(network, load_model_folder(model)[1], model)
    return network


def trained(loss: Loss, seed: int, data: Path, folder: Path, images: int, precision: Any) -> nn.Module | None:
    """The network after its training, None if that was stopped."""
    if (folder / "model").exists():
        return network_of(folder / "model")
    run = RunConfig(
        folder, seed=seed, precision=precision, threads=1, validate_every_steps=0, checkpoint_every_minutes=2.0
    )
    prepare_run(run)
    config = TaskConfig.quick(images // BATCH, contour_part=0.0)
    config = dataclasses.replace(config, class_weights=loss.class_weights)
    task = SegmentationTask(NETWORK, config, own_losses=loss.own)
    view = View(
        FolderSamples(open_dataset(data / "training"), seed=seed),
        segmentation_target,
        batch_size=BATCH,
        augmentation=AugmentationConfig(flip=0.5),
    )
    model = run_training(task, TrainingData([view], seed=seed, workers=0), run).model_folder
    return None if model is None else network_of(model)


def measured(network: nn.Module, data: Path) -> dict[str, Any]:
    """Scores on the test windows as the network is, and with the factor that is best on windows it was trained on."""
    known = probabilities_of(network, open_dataset(data / "training"), CALIBRATION_WINDOWS)
    best = max(OBJECT_FACTORS, key=lambda factor: scored(known, factor)["mean"])
    tests = open_dataset(data / "test")
    found = probabilities_of(network, tests, len(tests))
    return {"as trained": scored(found), "calibrated": scored(found, best), "factor": best}


def printed(rows: dict[str, dict[str, Any]]) -> str:
    """A table in Markdown."""
    lines = ["| loss | seeds | mean | hand | object | mean, calibrated | factor |", "|---" * 7 + "|"]
    for name in LOSSES:
        of_row = [row for key, row in rows.items() if key.rpartition(" seed ")[0] == name]
        if not of_row:
            continue
        cells = []
        for way, score in COLUMNS:
            values = [row[way][score] for row in of_row]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f} .. {max(values):.1f})")
        factors = ", ".join(f"{row['factor']:g}" for row in of_row)
        lines.append(f"| {name} | {len(of_row)} | {' | '.join(cells)} | {factors} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what benchmarks.small_problem made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=list(LOSSES), default=list(LOSSES), metavar="ROW")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="bf16-mixed")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: Path = options.out / "results"
    results.mkdir(parents=True, exist_ok=True)
    for seed, name in itertools.product(options.seeds, options.rows):
        number = list(LOSSES).index(name)
        path = results / f"{number}-{seed}.json"
        if path.exists():
            continue
        folder = options.out / f"{number}-{seed}"
        network = trained(LOSSES[name], seed, options.data, folder, options.images, options.precision)
        if network is None:
            return
        write_json_atomically(path, {"key": f"{name} seed {seed}", **measured(network, options.data)})
        print(path.read_text(encoding="utf-8"), flush=True)
    found = [dict(read_json(path)) for path in sorted(results.glob("*.json"))]
    rows = {row.pop("key"): row for row in found}
    print(printed(rows))
    if options.save:
        write_json_atomically(options.save, {"images": options.images, "rows": rows})


if __name__ == "__main__":
    main()
