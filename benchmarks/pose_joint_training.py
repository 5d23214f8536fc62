"""The economical training of the shipped joint network and locator.

    python benchmarks/pose_joint_training.py locator --crops crops/arms-train.npz --test crops/arms-test.npz
        --steps 600 --out runs/locator
    python benchmarks/pose_joint_training.py joints --crops crops/shipped-train.npz --test crops/shipped-test.npz
        --steps 1600 --out runs/first
    python benchmarks/pose_joint_training.py joints --crops crops/shipped-train.npz --test crops/shipped-test.npz
        --parts runs/parts/model --placing 0.5 --start runs/first/model --rate 1.5e-3 --steps 700 --out runs/joints

`graspcut train pose-joints` trains with the shared trainer. Here hands whose parts were predicted once, with masks that
have errors, are mirrored and moved at each step; without `--parts` views are made as they go, and the parts are empty:
cheap, and a good start. `--placing` takes a share of each batch from views that lie as badly as the locator places
them, without parts: what the network is asked first, before the cube is placed again. The rate falls to 0 over the
second half, so a run may be continued with another number of steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from graspcut.pose.crops import LOCATED_JOINTS, HandCrops
from graspcut.pose.data import (
    ALL_VIEWS,
    LOCATOR_VIEWS,
    NEAR_LOCATOR_VIEWS,
    PLACING_VIEWS,
    CropTarget,
    PoseBatch,
    ViewConfig,
    arrays_of,
    stored_target,
)
from graspcut.pose.models.hand_locator import HandLocator
from graspcut.pose.models.voting_joints import VotingJointConfig, VotingJointNetwork
from graspcut.pose.task import JointsConfig, JointsTask, LocatorTask
from graspcut.pose.training_data import fixed_batch, load_part_network, predict_parts
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.muon import Muon

Batches = Callable[[np.random.Generator], PoseBatch]


def located_only(batch: PoseBatch) -> PoseBatch:
    """The joints that the locator looks for."""
    return batch._replace(joints=batch.joints[:, LOCATED_JOINTS], visible=batch.visible[:, LOCATED_JOINTS])


def fresh_views(crops: HandCrops, size: int, views: ViewConfig) -> Batches:
    """Batches of new views without parts."""
    arrays, target = arrays_of(crops), CropTarget(views)
    locator = views in (LOCATOR_VIEWS, NEAR_LOCATOR_VIEWS)

    def draw(rng: np.random.Generator) -> PoseBatch:
        chosen = rng.integers(len(crops), size=size)
        batch = target({name: values[chosen] for name, values in arrays.items()}, rng)
        return located_only(batch) if locator else batch._replace(parts=np.zeros_like(batch.parts))

    return draw


def stored_views(crops: HandCrops, size: int, parts: Path, hands: int, kept: Path) -> Batches:
    """Batches of views whose parts were predicted once, turned, mirrored and moved."""
    if not kept.exists():
        rng = np.random.default_rng(0)
        some = crops.subset(np.sort(rng.choice(len(crops), min(hands, len(crops)), replace=False)))
        made = CropTarget(ALL_VIEWS)(arrays_of(some), rng)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = predict_parts(load_part_network(parts), made.crop, output_stride=2)
        fields = made._replace(crop=made.crop.astype(np.float16), parts=predicted)._asdict()
        np.savez(kept, **fields)
    with np.load(kept) as stored:
        items = {name: stored[name] for name in PoseBatch._fields}

    def draw(rng: np.random.Generator) -> PoseBatch:
        chosen = rng.integers(len(items["crop"]), size=size)
        return stored_target({name: values[chosen] for name, values in items.items()}, rng)

    return draw


def mixed(first: Batches, second: Batches) -> Batches:
    """Batches of both."""

    def draw(rng: np.random.Generator) -> PoseBatch:
        return PoseBatch(*(np.concatenate(fields) for fields in zip(first(rng), second(rng), strict=True)))

    return draw


def tensors(batch: PoseBatch) -> PoseBatch:
    """As the network takes them."""
    return PoseBatch(*(torch.from_numpy(np.ascontiguousarray(field)) for field in batch))


def starting_task(arguments: argparse.Namespace) -> JointsTask:
    """A new network, or that of another run with masks switched on or off."""
    config = JointsConfig.quick(arguments.steps)
    if arguments.what == "locator":
        locator = HandLocator()
        if arguments.start is not None:
            fill_network(locator, load_model_folder(arguments.start)[1], arguments.start)
        return LocatorTask({}, config, locator.train())
    first, second, coarse = arguments.channels
    network = VotingJointNetwork(VotingJointConfig(masks=not arguments.no_masks, channels=(first, second, coarse)))
    if arguments.start is not None:
        fill_network(network, load_model_folder(arguments.start)[1], arguments.start)
    return JointsTask({}, config, network)


@torch.no_grad()
def score(task: JointsTask, checked: PoseBatch) -> dict[str, float]:
    """Errors on fixed hands, in mm of the cube."""
    task.eval()
    totals: dict[str, Any] = {}
    for first in range(0, len(checked.crop), 64):
        part = tensors(PoseBatch(*(field[first : first + 64] for field in checked)))
        for name, value in task.counts(part).items():
            totals[name] = totals.get(name, 0) + value.numpy()
    task.train()
    return task.scores(totals)


def train(arguments: argparse.Namespace) -> None:
    """Train f_r or the locator."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    locator = arguments.what == "locator"
    crops = HandCrops.join([HandCrops.load(path) for path in arguments.crops])
    checked = fixed_batch(HandCrops.load(arguments.test), LOCATOR_VIEWS if locator else ALL_VIEWS)
    checked = located_only(checked) if locator else checked
    badly = round(arguments.placing * arguments.batch)
    if arguments.parts is None:
        checked = checked if locator else checked._replace(parts=np.zeros_like(checked.parts))
        draw = fresh_views(crops, arguments.batch - badly, LOCATOR_VIEWS if locator else ALL_VIEWS)
    else:
        checked = checked._replace(
            parts=predict_parts(load_part_network(arguments.parts), checked.crop, output_stride=2)
        )
        kept = arguments.views or arguments.out / "views.npz"
        draw = stored_views(crops, arguments.batch - badly, arguments.parts, arguments.hands, kept)
    placing = None
    if badly:
        views = NEAR_LOCATOR_VIEWS if locator else PLACING_VIEWS
        near = crops if arguments.near_crops is None else HandCrops.load(arguments.near_crops)
        draw = mixed(draw, fresh_views(near.at_knuckles(), badly, views))
        placing = fresh_views(HandCrops.load(arguments.test).at_knuckles(), 500, views)(np.random.default_rng(1))
    task = starting_task(arguments)
    task.average = None
    task.train()
    network, checkpoint, step = task.model, arguments.out / "checkpoint.pt", 0
    matrices = [
        weight for weight in network.parameters() if arguments.muon and weight.dim() == 4 and min(weight.shape[:2]) > 8
    ]
    muon, moved_by_it = Muon(matrices), {id(weight) for weight in matrices}
    optimiser = torch.optim.AdamW(
        [weight for weight in network.parameters() if id(weight) not in moved_by_it], arguments.rate, weight_decay=1e-2
    )
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        muon.directions = stored["muon"]
        step = stored["step"]
    first, began, last, losses = step, time.process_time(), time.time(), []
    while step < arguments.steps:
        batch = tensors(draw(np.random.default_rng([arguments.seed, step])))
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.what == "joints"):
            loss = torch.stack(list(task.loss_terms(batch, step).values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        share = min(1.0, (step + 1) / 50) * min(1.0, 2 * (1 - step / arguments.steps))
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * share
        optimiser.step()
        muon.step(arguments.muon * share)
        losses.append(loss.item())
        step += 1
        if time.time() - last > arguments.every or step == arguments.steps:
            last, spent = time.time(), time.process_time() - began
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "muon": muon.directions,
                    "step": step,
                },
                checkpoint.with_suffix(".new"),
            )
            checkpoint.with_suffix(".new").replace(checkpoint)
            speed = (step - first) * arguments.batch / spent
            print(f"step {step}, {speed:.0f} a processor second, loss {np.mean(losses):.4f}", flush=True)
            print({name: round(value, 3) for name, value in score(task, checked).items()}, flush=True)
            if placing is not None:
                scale = 0.5 if locator else 1.0  # a locator's scores are in mm of its wide cube, twice the near one
                print(f"placed badly: {scale * score(task, placing)['mean_3d_mm']:.2f} mm", flush=True)
            losses = []
    training = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    training["crops"] = [path.name for path in arguments.crops]
    task.export(arguments.out / "model", training=training, results=score(task, checked))


def main() -> None:
    """Parse and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("joints", "locator"))
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=Path, help="model folder of the part network; without it parts are empty")
    parser.add_argument("--no-masks", action="store_true", help="a network that never sees parts")
    parser.add_argument("--channels", type=int, nargs=3, default=(24, 32, 64))
    parser.add_argument("--start", type=Path)
    parser.add_argument("--hands", type=int, default=8000, help="hands whose parts are predicted")
    parser.add_argument("--near-crops", type=Path, help="hands for the locator's second look; --crops if not given")
    parser.add_argument("--views", type=Path, help="views whose parts another run predicted")
    parser.add_argument(
        "--placing", type=float, default=0.0, help="share of badly placed views without parts, or second looks"
    )
    parser.add_argument(
        "--muon", type=float, default=0.0, help="rate of orthogonal steps for the convolutions; 0: none"
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=150, help="seconds between reports")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
