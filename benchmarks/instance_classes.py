"""Table 4 of InstanceFCN on composed depth frames: instance segmentation with classes by MNC's third stage.

    python benchmarks/instance_tables.py frames --out frames
    python -m benchmarks.instance_classes --frames frames --work runs --save classes.json

The same classifier (light encoder of `dense-attention-small`, two paths, 16 kinds of objects and the hand) is trained
twice, alike: on proposals of InstanceFCN, and on boxes of its own: sliding boxes, which it scores and refines itself,
in two passes, with what `graspcut segment` labels hand or object inside a box as its mask. Objects of other kinds are
background. Tests are 320x240 frames with the kinds of training, from another seed; masks are compared at 160x120.
Regions of the training frames are made once and stored; what is done is kept and a stopped training continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.instance_tables import smaller
from numpy.typing import NDArray

from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.instances.classifier_task import ClassifierConfig, ClassifierTask, classify
from graspcut.instances.composing import ComposedConfig, write_composed
from graspcut.instances.evaluation import region_report
from graspcut.instances.mask_voting import VotingConfig, vote_masks
from graspcut.instances.models.mask_classifier import MaskClassifier, MaskClassifierConfig
from graspcut.instances.pasting import box_iou, suppress
from graspcut.instances.predictor import InstanceProposer
from graspcut.instances.regions import (
    LabelledRegions,
    RegionBatch,
    Regions,
    drawn_regions,
    labelled_regions,
    masks_in_boxes,
    region_batch,
    regions_of_masks,
    sliding_boxes,
)
from graspcut.instances.targets import boxes_of
from graspcut.instances.training import begin_encoder
from graspcut.instances.truth import frames_groundtruth, kind_of, mask_results
from graspcut.labels import HAND, OBJECT
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.segmentation.predictor import Segmenter
from graspcut.train.optimisation import Optimisation
from graspcut.train.run_config import RunConfig
from graspcut.train.sources import epoch_position
from graspcut.train.streams import TrainingData
from graspcut.train.trainer import prepare_run, run_training

NAMES = ("hand", "cube", "phone", "can", "bottle", "box", "book", "cup", "bar", "stick", "carton", "ball", "pen",
         "microphone", "tablet", "dumbbell", "pan")  # fmt: skip
TEST_SEED = 1400
LEAST_LABELLED = 0.1  # sliding boxes with a smaller part of hand or object are not looked at
VOTING = VotingConfig(least_score=0.02)
Candidates = Callable[[LabelledFrame], Regions]


def truth_of(frame: LabelledFrame) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Masks of all instances and their categories, 0 for kinds that are not among `NAMES`."""
    assert frame.instances is not None
    masks = (
        np.stack([frame.instances == entry.id for entry in frame.instance_table])
        if frame.instance_table
        else (np.zeros((0, *frame.instances.shape), bool))
    )
    kinds = [kind_of(entry.name) for entry in frame.instance_table]
    categories = np.array([NAMES.index(kind) + 1 if kind in NAMES else 0 for kind in kinds], np.int64)
    seen = masks.any(axis=(1, 2))
    return masks[seen], categories[seen]


def mask_overlaps(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of all pairs of masks (N, H, W) and (G, H, W)."""
    pixels = first.shape[1] * first.shape[2]
    one, other = (masks.reshape(len(masks), pixels).astype(np.float32) for masks in (first, second))
    both = one @ other.T
    union = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - both
    return np.asarray(np.divide(both, union, out=np.zeros(both.shape), where=union > 0), np.float64)


def proposal_regions(proposer: InstanceProposer, frame: LabelledFrame, rng: np.random.Generator) -> LabelledRegions:
    """Proposals and true masks with what they are examples of."""
    masks, categories = truth_of(frame)
    every = np.concatenate([proposer(frame.frame).masks, masks])
    return labelled_regions(regions_of_masks(every), mask_overlaps(every, masks), boxes_of(masks), categories)


def own_boxes(segmenter: Segmenter, frame: LabelledFrame) -> tuple[Regions, NDArray[np.uint8]]:
    """Sliding boxes with labelled pixels in them, and the labels."""
    labels = segmenter(frame.frame).labels
    boxes = sliding_boxes(*labels.shape)
    regions = Regions(boxes, masks_in_boxes(labels > 0, boxes))
    return regions.only(regions.masks.mean(axis=(1, 2)) >= LEAST_LABELLED), labels


def own_box_regions(segmenter: Segmenter, frame: LabelledFrame, rng: np.random.Generator) -> LabelledRegions:
    """Sliding boxes, and boxes near the true ones, with what they are examples of."""
    masks, categories = truth_of(frame)
    boxes = boxes_of(masks)
    regions, labels = own_boxes(segmenter, frame)
    near = boxes.repeat(6, axis=0)
    sides = np.concatenate([near[:, 2:] - near[:, :2]] * 2, axis=1)
    near = near + rng.normal(size=near.shape) * 0.12 * sides
    near = near[((near[:, 2:] - near[:, :2]) > 4).all(axis=1)]
    every = np.concatenate([regions.boxes, near])
    both = Regions(every, np.concatenate([regions.masks, masks_in_boxes(labels > 0, near)]))
    labelled = labelled_regions(both, box_iou(every, boxes), boxes, categories)
    return drawn_regions(labelled, 160, rng)


@dataclass(frozen=True)
class StoredRegions:
    """Batches of frames with some of their stored regions; see `graspcut.train.views.BatchSource`.

    Attributes:
        reader: of the frames.
        regions: of each of the first frames.
        seed: of the order of the frames.
        batch_size: frames in a batch.
        count: regions drawn from each.
    """

    reader: DatasetReader = field(repr=False)
    regions: Sequence[LabelledRegions] = field(repr=False)
    seed: int = 0
    batch_size: int = 2
    count: int = 64
    probability: float = 1.0
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def batch(self, first: int, seed: int) -> RegionBatch:
        """See `BatchSource`."""
        depths, focals, drawn = [], [], []
        rng = np.random.default_rng([13, seed, first])
        for index in range(first, first + self.batch_size):
            number = epoch_position(index, len(self.regions), self.seed, self._orders)
            frame = self.reader[number].frame
            depth, own = frame.depth_mm, drawn_regions(self.regions[number], self.count, rng)
            if rng.random() < 0.5:
                depth = np.ascontiguousarray(depth[:, ::-1])
                own = LabelledRegions(own.regions.mirrored(depth.shape[1]), own.categories, own.offsets * [-1, 1, 1, 1])
            depths.append(depth)
            focals.append(focal_length_px(frame.camera, depth.shape[1]))
            drawn.append(own)
        return region_batch(depths, focals, drawn)

    def describe(self) -> dict[str, Any]:
        """See `BatchSource`."""
        return {"frames": len(self.regions), "order": self.seed, "batch": self.batch_size, "regions": self.count}


def stored_regions(
    path: Path, reader: DatasetReader, count: int, make: Callable[..., LabelledRegions], part: Any
) -> list[LabelledRegions]:
    """The regions of the first frames of a set, made at the first call and read from then on."""
    if not path.exists():
        made = [make(part, reader[index], np.random.default_rng([12, index])) for index in range(count)]
        trial = path.with_suffix(".trial.npz")
        np.savez(
            trial,
            counts=np.array([len(one.categories) for one in made]),
            boxes=np.concatenate([one.regions.boxes for one in made]),
            masks=np.concatenate([np.rint(255 * one.regions.masks).astype(np.uint8) for one in made]),
            categories=np.concatenate([one.categories for one in made]),
            offsets=np.concatenate([one.offsets for one in made]),
        )
        trial.replace(path)
    with np.load(path) as stored:
        borders = np.cumsum(stored["counts"])[:-1]
        parts: list[list[NDArray[Any]]] = [
            np.split(stored[name], borders) for name in ("boxes", "masks", "categories", "offsets")
        ]
    return [
        LabelledRegions(Regions(its_boxes, its_masks.astype(np.float32) / 255), its_categories, its_offsets)
        for its_boxes, its_masks, its_categories, its_offsets in zip(*parts, strict=True)
    ]


def trained(name: str, batches: StoredRegions, steps: int, work: Path) -> MaskClassifier:
    """A classifier after its training, in evaluation mode; a stopped training continues."""
    run = RunConfig(
        work / f"classes-{name}", accelerator="cpu", threads=1, precision="bf16-mixed", validate_every_steps=0,
        checkpoint_every_steps=0, checkpoint_every_minutes=1.0, progress_bar=False,
    )  # fmt: skip
    prepare_run(run)
    network = MaskClassifier(
        MaskClassifierConfig(len(NAMES), features="light", inputs="depth", hidden=256, dropout=0.2)
    )
    begin_encoder(network, None)
    learning = Optimisation(
        steps, learning_rate=1e-3, weight_decay=0.02, schedule="warm_up_cosine", average_decay=0.995, gradient_clip=5.0
    )
    task = ClassifierTask(network, ClassifierConfig(learning), NAMES)
    result = run_training(task, TrainingData([batches], seed=0, workers=0), run)
    if result.model_folder is None:
        raise SystemExit(f"{run.folder}: stopped after {result.steps} steps; the same command continues")
    _, weights = load_model_folder(result.model_folder)
    fill_network(network, weights, result.model_folder)
    return network.eval()


def from_proposals(network: MaskClassifier, proposer: InstanceProposer, frame: LabelledFrame) -> tuple[Any, Any, Any]:
    """Instances of a frame from proposals of InstanceFCN: masks at half size, scores, categories."""
    masks = proposer(frame.frame).masks
    regions = regions_of_masks(masks)
    focal = focal_length_px(frame.frame.camera, frame.frame.width)
    probabilities, _ = classify(network, frame.frame.depth_mm, focal, regions)
    return vote_masks(masks[:, 1::2, 1::2], regions.boxes, probabilities, VOTING)


def from_own_boxes(network: MaskClassifier, segmenter: Segmenter, frame: LabelledFrame) -> tuple[Any, Any, Any]:
    """Instances of a frame from the classifier's own boxes: masks at half size, scores, categories."""
    regions, labels = own_boxes(segmenter, frame)
    depth, focal = frame.frame.depth_mm, focal_length_px(frame.frame.camera, frame.frame.width)
    height, width = depth.shape
    probabilities, boxes = classify(network, depth, focal, regions)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    sound = ((boxes[:, 2:] - boxes[:, :2]) > 4).all(axis=1)
    boxes, scores = boxes[sound], 1 - probabilities[sound, 0]
    boxes = boxes[suppress(boxes, scores, 0.7, most=100)]
    probabilities, refined = classify(network, depth, focal, Regions(boxes, masks_in_boxes(labels > 0, boxes)))
    refined = np.clip(refined, 0, [width, height, width, height]) if len(boxes) else boxes
    small = labels[1::2, 1::2]
    masks = np.zeros((len(refined), *small.shape), bool)
    for mask, box, hand in zip(masks, refined, probabilities[:, 1:].argmax(axis=1) == 0, strict=True):
        left, top, right, bottom = np.rint(box / 2).astype(int)
        mask[top:bottom, left:right] = small[top:bottom, left:right] == (HAND if hand else OBJECT)
    filled = masks.any(axis=(1, 2))
    return vote_masks(masks[filled], refined[filled], probabilities[filled], VOTING)


def scored(frames: Sequence[LabelledFrame], found: Iterable[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """mAP^r of instances with categories."""
    masks, scores, categories = zip(*found, strict=True)
    truth = frames_groundtruth([smaller(frame, 160) for frame in frames], smallest_px=40, kinds=NAMES)
    report = region_report(truth, mask_results(zip(masks, scores, strict=True), categories))
    return {
        "frames": len(frames),
        "objects": sum(not entry.crowd for entries in truth.objects.values() for entry in entries),
        **{
            f"{rule} {limit:g}": round(100 * value, 2)
            for rule, part in (("11 points", report.eleven_points), ("area", report.area))
            for limit, value in part.mean.items()
        },
        "by category, 11 points at 0.5": {
            name: None if np.isnan(value) else round(100 * value, 1)
            for name, value in report.eleven_points.by_category[0.5].items()
        },
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line; see the module."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, default=Path("frames"))
    parser.add_argument("--work", type=Path, default=Path("instance-runs"))
    parser.add_argument("--model", default=InstanceProposer.default_model)
    parser.add_argument("--train-frames", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--count", type=int, default=200, help="test frames")
    parser.add_argument("--only", nargs="*", default=[], choices=("proposals", "own-boxes"))
    parser.add_argument("--save", type=Path, default=Path("instance-classes.json"))
    given = parser.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    proposer, segmenter = InstanceProposer.load(given.model, threads=1), Segmenter.load(threads=1)
    tests = given.frames / "classes"
    if not (tests / "dataset.json").exists():
        write_composed(ComposedConfig(width=320, height=240), seed=TEST_SEED, count=given.count, out=tests)
    training, reader = DatasetReader(given.frames / "train"), DatasetReader(tests)
    frames = [reader[index] for index in range(min(given.count, len(reader)))]
    table: dict[str, Any] = read_json(given.save) if given.save.exists() else {"rows": {}}
    makers: dict[str, tuple[Callable[..., LabelledRegions], Callable[..., tuple[Any, Any, Any]], Any]] = {
        "proposals": (proposal_regions, from_proposals, proposer),
        "own-boxes": (own_box_regions, from_own_boxes, segmenter),
    }
    for name, (make, use, part) in makers.items():
        if name in table["rows"] or (given.only and name not in given.only):
            continue
        path = given.frames / f"regions-{name}-{given.train_frames}.npz"
        regions = stored_regions(path, training, given.train_frames, make, part)
        network = trained(name, StoredRegions(training, regions), given.steps, given.work)
        row = scored(frames, (use(network, part, frame) for frame in frames))
        table["rows"][name] = {**row, "steps": given.steps, "training_frames": given.train_frames}
        write_json_atomically(given.save, table)
    for name, row in table["rows"].items():
        print(f"{name:<12}", {key: value for key, value in row.items() if "by category" not in key})


if __name__ == "__main__":
    main()
