"""The economical training of part networks for the hand pose experiments and the shipped model.

    python benchmarks/pose_training.py --crops crops/source-train.npz --test crops/source-test.npz --upright
        --steps 3000 --out runs/source
    python benchmarks/pose_training.py --crops crops/shipped-train.npz --test crops/shipped-test.npz
        --start runs/source/model --steps 6000 --out runs/shipped

`graspcut train pose-parts` trains the same networks with the shared trainer. This one is for little time on one core:
matrices are moved by Muon (orthogonal steps; Jordan et al. 2024), everything else by AdamW; for the first part of the
run only a window of 32x32 pixels around each hand is looked at, which costs half; losses are taken at every fourth row
and column, others at each step. The rate is constant and falls to 0 over the last part of the run, so that a run may be
continued with another number of steps.
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
from torch import Tensor
from torch.nn import functional

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.pose.crops import HandCrops
from graspcut.pose.data import ALL_VIEWS, UPRIGHT_VIEWS, CropTarget, PoseBatch, ViewConfig, arrays_of
from graspcut.pose.losses import part_loss
from graspcut.pose.metrics import part_counts
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig
from graspcut.pose.task import PartsConfig, PartsTask
from graspcut.pose.training_data import fixed_batch, load_part_network, predict_parts
from graspcut.train.muon import Muon

WINDOW_PX = 32
STRIDE = 4
# Padding of the crop before the network, before and after.
BEFORE, AFTER = 15, 16


def windows(batch: PoseBatch, image: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A window around each hand, with what the network sees around it, and the parts at every fourth pixel of it."""
    padded = functional.pad(image, (BEFORE, AFTER, BEFORE, AFTER))
    images, parts = [], []
    most = image.shape[-1] - WINDOW_PX
    for number, shown in enumerate(batch.parts):
        rows, columns = np.nonzero((shown > 0) & (shown <= 20))
        corner = []
        for pixels in (rows, columns):
            middle = (int(pixels.min()) + int(pixels.max())) // 2 if len(pixels) else image.shape[-1] // 2
            corner.append(int(np.clip(middle - WINDOW_PX // 2 + rng.integers(-2, 3), 0, most)))
        top, left = corner
        edge = WINDOW_PX + BEFORE + AFTER
        images.append(padded[number, :, top : top + edge, left : left + edge])
        parts.append(torch.from_numpy(shown[top : top + WINDOW_PX : STRIDE, left : left + WINDOW_PX : STRIDE].copy()))
    return torch.stack(images), torch.stack(parts)


def strided_loss(
    network: PartNetwork, contrast: LocalContrast, batch: PoseBatch, rng: np.random.Generator, *, windowed: bool
) -> Tensor:
    """The loss of a batch at every fourth row and column."""
    image = contrast(torch.from_numpy(batch.crop)[:, None])
    if windowed:
        padded, parts = windows(batch, image, rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network.forward_padded(padded, STRIDE)
    else:
        down, right = (int(value) for value in rng.integers(STRIDE, size=2))
        parts = torch.from_numpy(batch.parts[:, down::STRIDE, right::STRIDE].copy())
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image, STRIDE, (down, right))
    return part_loss(logits.float(), parts)


def score(network: PartNetwork, batch: PoseBatch) -> tuple[float, float, NDArray[np.uint8]]:
    """Accuracy per pixel and per class of every hand pixel, and what was predicted."""
    found = predict_parts(network, batch.crop)
    counts = part_counts(found, batch.parts)
    return counts.per_pixel, counts.per_class, found


def starting_network(arguments: argparse.Namespace, classes: int) -> PartNetwork:
    """A new network, or that of another run; a class more than it had begins as its last one."""
    network = PartNetwork(PartNetworkConfig(classes=classes))
    if arguments.start is not None:
        weights = load_part_network(arguments.start).state_dict()
        for name in ("output.weight", "output.bias"):
            if (missing := classes - len(weights[name])) > 0:
                weights[name] = torch.cat([weights[name], weights[name][-1:].repeat_interleave(missing, 0)])
        network.load_state_dict(weights)
    return network


def train(arguments: argparse.Namespace) -> None:
    """Train f_s."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    views: ViewConfig = UPRIGHT_VIEWS if arguments.upright else ALL_VIEWS
    crops = HandCrops.join([HandCrops.load(path) for path in arguments.crops])
    arrays, target = arrays_of(crops), CropTarget(views)
    checked = fixed_batch(HandCrops.load(arguments.test).subset(slice(0, arguments.test_count)), views)
    network, contrast = starting_network(arguments, 21 if views.forearm else 20).train(), LocalContrast()
    matrices = [
        layer.weight for layer in (network.conv2, network.conv3, network.hidden1, network.hidden2)
    ]  # conv1 and the output are not: Muon is for what lies between.
    chosen = {id(weight) for weight in matrices}
    muon = Muon(matrices)
    adam = torch.optim.AdamW(
        [weight for weight in network.parameters() if id(weight) not in chosen], 3e-3, betas=(0.9, 0.98),
        weight_decay=1e-4,
    )  # fmt: skip
    checkpoint, step = arguments.out / "checkpoint.pt", 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(stored["network"])
        adam.load_state_dict(stored["adam"])
        muon.directions, step = stored["muon"], stored["step"]
    first, began, last, losses = step, time.process_time(), time.time(), []
    while step < arguments.steps:
        rng = np.random.default_rng([arguments.seed, step])
        chosen_hands = rng.integers(len(crops), size=arguments.batch)
        batch = target({name: values[chosen_hands] for name, values in arrays.items()}, rng)
        windowed = step < arguments.windowed * arguments.steps
        loss = strided_loss(network, contrast, batch, rng, windowed=windowed)
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        share = min(1.0, (step + 1) / 40) * min(1.0, (1 - step / arguments.steps) / arguments.decay)
        muon.step(arguments.rate * share)
        for group in adam.param_groups:
            group["lr"] = 0.06 * arguments.rate * share
        adam.step()
        losses.append(loss.item())
        step += 1
        if time.time() - last > arguments.every or step == arguments.steps:
            last, spent = time.time(), time.process_time() - began
            stored = {"network": network.state_dict(), "adam": adam.state_dict(), "muon": muon.directions, "step": step}
            temporary = checkpoint.with_suffix(".new")
            torch.save(stored, temporary)
            temporary.replace(checkpoint)
            pixel, part, _ = score(network, checked)
            speed = (step - first) * arguments.batch / spent
            print(
                f"step {step}, {speed:.0f} crops a processor second, loss {np.mean(losses):.3f}, accuracy per pixel "
                f"{pixel:.4f}, per class {part:.4f}", flush=True,
            )  # fmt: skip
            losses = []
    finish(network, arguments, views)


def finish(network: PartNetwork, arguments: argparse.Namespace, views: ViewConfig) -> None:
    """Score more of the test hands and write the model folder."""
    everything = fixed_batch(HandCrops.load(arguments.test).subset(slice(0, arguments.final_count)), views)
    pixel, part, found = score(network, everything)
    print(f"{len(found)} test hands: accuracy per pixel {pixel:.4f}, per class {part:.4f}", flush=True)
    task = PartsTask({}, PartsConfig.quick(arguments.steps), network)
    task.average = None
    training: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()
    }
    training["crops"] = [path.name for path in arguments.crops]
    task.export(arguments.out / "model", training=training, results={"per_pixel": pixel, "per_class": part})
    write_bytes_atomically(arguments.out / "predicted.npy", found.tobytes())


def main() -> None:
    """Parse and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--upright", action="store_true")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.04)
    parser.add_argument("--windowed", type=float, default=0.65, help="share of the run with windows")
    parser.add_argument("--decay", type=float, default=0.5, help="share of the run in which the rate falls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=180, help="seconds between reports")
    parser.add_argument("--test-count", type=int, default=40, help="hands scored now and then")
    parser.add_argument("--final-count", type=int, default=250, help="hands scored at the end")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
