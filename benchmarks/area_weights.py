"""What it brings that hands and objects which are small in their picture count for more in the cross entropy.

    python -m benchmarks.area_weights MODEL --out runs/area-weights --save docs/results/area-weights.json

The network goes on for some hundred batches of the long training (phase 5 of `benchmarks/train_shipped_weights.py`
without its skinned hands), which are rendered once and come in another order with each seed; what differs is
`TaskConfig.area_exponent`. Scored on rendered frames with objects of unseen kinds: pooled over all pixels, as a mean
over pictures, and objects by their visible size. Runs that are finished stay, so the same command continues.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks import operating_point
from benchmarks.train_shipped_weights import PLAN, grown, views_of, with_statistics_of_whole_frames
from torch import nn

from graspcut.frames.camera import Camera
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.labels import HAND, OBJECT, UNKNOWN
from graspcut.runtime.model_folder import find_model_folder, load_model_folder, save_model_folder
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.losses import weighted_cross_entropy
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.train.streams import BatchStream, as_tensors

SETS = {**operating_point.SETS, "close-ups, v2": SynthConfig(scene=SceneConfig(room=0.0, people_at_table=0.0))}
SIZES = (150, 600, 2000)  # upper ends, pixels at 320x240; the last class is what is larger
LEAST_PX = 20  # what a picture must show of a class to count in the mean over pictures
_SCENES_SEED, _STREAM_SEED, _TEST_SEED = 77, 7, 85_001
_RATE, _WARM_UP, _AVERAGE = 7e-4, 40, 0.995


def rendered_batches(folder: Path, count: int) -> list[Path]:
    """Files of the batches, rendered where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    phase = next(phase for phase in PLAN if phase.name == "5-whole")
    stream = BatchStream(views_of(phase, 16, _SCENES_SEED), seed=_STREAM_SEED)
    paths = [folder / f"{number:05d}.npz" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, **stream.batch(number)._asdict())
            part.replace(path)
    return paths


def batches(paths: list[Path], seed: int) -> Iterator[SegmentationBatch]:
    """All of them, in an order of this seed."""
    for number in np.random.default_rng(seed).permutation(len(paths)):
        with np.load(paths[number]) as stored:
            yield as_tensors(SegmentationBatch(**{name: stored[name] for name in stored.files}))


def trained(start: Path, paths: list[Path], exponent: float, seed: int) -> nn.Module:
    """The network after all batches: moving average of the weights, statistics over whole frames."""
    torch.manual_seed(seed)
    network = grown(start).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    kernels = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=_RATE)
    for step, batch in enumerate(batches(paths, seed)):
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / len(paths)))
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / _WARM_UP) * cosine
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*batch.inputs)
        loss = weighted_cross_entropy(logits.float(), batch.labels, (1.0, 1.0, 1.6), area_exponent=exponent)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        optimiser.zero_grad()
        share = 1 - min(_AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, value in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(value, share)
        if step % 100 == 0:
            print(f"exponent {exponent:g}, seed {seed}: {step} of {len(paths)}", flush=True)
    return with_statistics_of_whole_frames(average.eval(), frames=320)


def scored(model: Path, synth: SynthConfig, frames: int) -> dict[str, Any]:
    """Percent; see the module. Without hands only the share of pixels called hand or object."""
    segmenter = Segmenter.load(model, device="cpu", threads=1, backend="pytorch")
    generator = FrameGenerator(dataclasses.replace(synth, colour=False, held_out_kinds=True), _TEST_SEED)
    counts, single = ConfusionCounts(), {HAND: list[float](), OBJECT: list[float]()}
    by_size = np.zeros((len(SIZES) + 1, 2))
    false_px = empty_px = 0
    for index in range(frames):
        labelled = generator[index]
        truth, frame = labelled.labels, labelled.frame
        labels = segmenter(frame, frame.camera or Camera.sr300(frame.width, frame.height)).labels
        if not np.isin(truth, (HAND, OBJECT)).any():
            false_px, empty_px = false_px + int((labels > 0).sum()), empty_px + labels.size
            continue
        counts.add(truth, labels)
        for label, scores in single.items():
            area = int((truth == label).sum())
            if area < LEAST_PX:
                continue
            both = int(((truth == label) & (labels == label)).sum())
            either = int((((truth == label) | (labels == label)) & (truth != UNKNOWN)).sum())
            scores.append(both / either)
            if label == OBJECT:
                by_size[np.searchsorted(SIZES, area)] += both, either
    row: dict[str, Any] = {"false_without_hand": 100 * false_px / max(1, empty_px)}
    if counts.matrices().size:
        pooled = counts.scores()
        row |= {"mean_iou": 100 * pooled.mean_iou, "hand": 100 * pooled.hand_iou, "object": 100 * pooled.object_iou}
        row |= {"hand_by_picture": 100 * float(np.mean(single[HAND]))}
        row |= {"object_by_picture": 100 * float(np.mean(single[OBJECT]))}
        row |= {"object_by_size": [100 * both / max(1, either) for both, either in by_size]}
    return row


def markdown(results: dict[str, Any]) -> str:
    """A table with the mean over seeds."""
    lines = [
        "| set | exponent | mean IOU | hand | object | hand by picture | object by picture | objects to 150 px, "
        "to 600, to 2000, larger | false pixels without a hand |",
        "|---" * 9 + "|",
    ]
    for name in SETS:
        for exponent in dict.fromkeys(run["exponent"] for run in results["runs"]):
            rows = [run["sets"][name] for run in results["runs"] if run["exponent"] == exponent]
            keys = ("mean_iou", "hand", "object", "hand_by_picture", "object_by_picture")
            cells = [f"{np.mean([row[key] for row in rows]):.1f}" if key in rows[0] else "-" for key in keys]
            sizes = np.mean([row.get("object_by_size", []) for row in rows], axis=0)
            cells.append(", ".join(f"{size:.1f}" for size in sizes) or "-")
            cells.append(f"{np.mean([row['false_without_hand'] for row in rows]):.2f}")
            lines.append(f"| {name} | {exponent:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="shipped model's name or model folder, before its odds were changed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--exponents", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--frames", type=int, default=200, help="of each set")
    parser.add_argument("--save", type=Path, help="JSON of the scores")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = find_model_folder(options.start)
    config, _ = load_model_folder(start)
    paths = rendered_batches(options.out / "batches", options.steps)
    runs = []
    for seed in options.seeds:
        for exponent in options.exponents:
            folder = options.out / f"exponent-{exponent:g}-{seed}"
            found = folder / "scores.json"
            if not found.exists():
                network = trained(start, paths, exponent, seed)
                model = save_model_folder(folder / "model", config, network.state_dict(), "# A trial\n")
                scores = {name: scored(model, synth, options.frames) for name, synth in SETS.items()}
                write_json_atomically(found, {"exponent": exponent, "seed": seed, "sets": scores})
            runs.append(read_json(found))
    results = {"start": options.start, "steps": options.steps, "frames": options.frames, "runs": runs}
    if options.save is not None:
        write_json_atomically(options.save, results)
    print(markdown(results))


if __name__ == "__main__":
    main()
