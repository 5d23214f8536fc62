"""Table 4 between two synthetic domains: (a) direct regression, (b) cascade, (c) parts from source alone, (d) all.

    python benchmarks/pose_table4.py --train crops/family-target-train.npz --test crops/family-target-test.npz
        --synthetic runs/family/model --weak runs/weak/model --out runs/table4

All joint networks learn from the same views of the same target hands, for the same number of steps from the same seeds.
(a) and (b) see no parts; (c) sees those that a part network says which learned on source alone, (d) those of the
network that weak supervision tuned. `--truth` adds a network that sees the true parts: what better parts could bring.
A run that is there already is not run again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.pose.crops import HandCrops
from graspcut.pose.data import UPRIGHT_VIEWS, CropTarget, PoseBatch, arrays_of, moved
from graspcut.pose.metrics import joint_errors, part_counts
from graspcut.pose.models.joint_cascade import JointCascade, JointCascadeConfig
from graspcut.pose.models.joint_network import SharedJointConfig, SharedJointNetwork
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork
from graspcut.pose.task import JointsConfig, JointsTask
from graspcut.pose.training_data import fixed_batch, load_part_network, predict_parts

VARIANTS = {"a": "direct regression", "b": "cascade", "c": "parts from source alone", "d": "with weak supervision"}
TRUTH = "t"
# Standard deviations of what moves views at each step: pixels, and halves of the cube.
MOVED_PX, MOVED_DEPTH = 1.5, 0.05


def network_of(variant: str, kind: str) -> torch.nn.Module:
    """The joint network of a variant: (a), (c) and (d) have the same one, (b) begins with (a)'s."""
    masks = variant not in "ab"
    if variant == "b":
        return JointCascade(JointCascadeConfig(hidden=256, channels=8, window_hidden=64, first=kind))
    if kind == "voting":
        return VotingJointNetwork(VotingJointConfig(masks=masks))
    return SharedJointNetwork(SharedJointConfig(masks=masks, hidden=256))


def with_all_parts(batch: PoseBatch, models: dict[str, Path]) -> dict[str, NDArray[np.uint8]]:
    """What each variant sees of the parts."""
    parts = {"a": np.zeros_like(batch.parts), TRUTH: batch.parts}
    parts["b"] = parts["a"]
    for variant, model in models.items():
        parts[variant] = predict_parts(load_part_network(model), batch.crop, output_stride=2)
    return parts


def train(task: JointsTask, batch: PoseBatch, arguments: argparse.Namespace, seed: int) -> None:
    """AdamW; the rate falls over the second half."""
    optimiser = torch.optim.AdamW(task.model.parameters(), arguments.rate, weight_decay=1e-2)
    task.train()
    for step in range(arguments.steps):
        rng = np.random.default_rng([seed, step])
        chosen = rng.integers(len(batch.crop), size=arguments.batch)
        views = PoseBatch(*(field[chosen] for field in batch))
        pixels = np.rint(rng.normal(0, MOVED_PX, (arguments.batch, 2))).astype(int)
        views = moved(views, pixels, rng.normal(0, MOVED_DEPTH, arguments.batch))
        with torch.autocast("cpu", torch.bfloat16):
            terms = task.loss_terms(
                PoseBatch(*(torch.from_numpy(np.ascontiguousarray(field)) for field in views)), step
            )
            loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 5.0)
        share = min(1.0, (step + 1) / 50) * min(1.0, 2 * (1 - step / arguments.steps))
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * share
        optimiser.step()
    task.eval()


@torch.no_grad()
def errors(task: JointsTask, batch: PoseBatch, hands: HandCrops) -> dict[str, float]:
    """Mean errors in camera mm, as `graspcut evaluate pose` counts them."""
    found = []
    for first in range(0, len(hands), 64):
        crop = torch.from_numpy(batch.crop[first : first + 64])[:, None]
        parts = torch.from_numpy(batch.parts[first : first + 64])
        found.append(task.model(task.contrast(crop), crop, parts)[0].float().numpy())
    joints = np.concatenate(found)
    places = [
        hands.geometry(number, UPRIGHT_VIEWS.fixed(bool(right))).to_camera(uvd)
        for number, (right, uvd) in enumerate(zip(hands.right, joints, strict=True))
    ]
    measured = joint_errors(np.stack(places), hands.joints_mm)
    return {
        "2d_mm": measured.mean_2d_mm,
        "3d_mm": measured.mean_3d_mm,
        "all_within_40_mm": float(measured.fraction_within([40.0])[0]),
    }


def summary(runs: dict[str, dict[str, float]], seeds: int) -> dict[str, Any]:
    """Means and deviations over seeds, and (d) over (a)."""
    table: dict[str, Any] = {}
    for variant in sorted({name[0] for name in runs}):
        for measure in ("2d_mm", "3d_mm"):
            values = [runs[f"{variant}{seed}"][measure] for seed in range(seeds)]
            table.setdefault(variant, {})[measure] = [float(np.mean(values)), float(np.std(values))]
    for measure in ("2d_mm", "3d_mm"):
        table[f"d_over_a_percent_{measure}"] = 100 * (1 - table["d"][measure][0] / table["a"][measure][0])
    return table


def main() -> None:
    """Train what is missing, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--synthetic", type=Path, required=True, help="part network of (c)")
    parser.add_argument("--weak", type=Path, required=True, help="part network of (d)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=("shared", "voting"), default="voting")
    parser.add_argument("--views", type=int, default=3, help="views of each hand")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--truth", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    models = {"c": arguments.synthetic, "d": arguments.weak}
    hands, tested = HandCrops.load(arguments.train), HandCrops.load(arguments.test)
    rng, target = np.random.default_rng(0), CropTarget(UPRIGHT_VIEWS)
    sets = [target(arrays_of(hands), rng) for _ in range(arguments.views)]
    views = PoseBatch(*(np.concatenate(fields) for fields in zip(*sets, strict=True)))
    measured = fixed_batch(tested, UPRIGHT_VIEWS)
    parts, parts_measured = with_all_parts(views, models), with_all_parts(measured, models)
    accuracies = {name: part_counts(parts_measured[name], measured.parts) for name in models}
    facts: dict[str, Any] = {
        "hands": len(hands),
        "views": len(views.crop),
        "tested": len(tested),
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "part_accuracy": {name: [counts.per_pixel, counts.per_class] for name, counts in accuracies.items()},
    }
    print(facts, flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, dict[str, float]] = {}
    for seed in range(arguments.seeds):
        for variant in [*VARIANTS, *([TRUTH] if arguments.truth else [])]:
            kept = arguments.out / f"{variant}{seed}.json"
            if not kept.exists():
                began = time.process_time()
                torch.manual_seed(seed)
                task = JointsTask({}, JointsConfig.quick(arguments.steps), network_of(variant, arguments.network))
                task.average = None
                train(task, views._replace(parts=parts[variant]), arguments, seed)
                found = errors(task, measured._replace(parts=parts_measured[variant]), tested)
                write_json_atomically(kept, {**found, "processor_seconds": time.process_time() - began})
            runs[f"{variant}{seed}"] = read_json(kept)
            print(f"({variant}) seed {seed}: {runs[f'{variant}{seed}']}", flush=True)
    facts |= {"runs": runs, "table": summary(runs, arguments.seeds)}
    print(facts["table"], flush=True)
    write_json_atomically(arguments.out / "table4.json", facts)


if __name__ == "__main__":
    main()
