"""The plain training loops of the hand pose experiments; `graspcut train pose-...` trains with the shared trainer.

python benchmarks/pose_training.py parts --data crops/source-train.npz --test crops/source-test.npz
    --out parts.safetensors
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from graspcut.pose.crops import HandCrops, HandSample, View
from graspcut.pose.losses import part_loss
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.models.part_network import PartNetwork, PartNetworkConfig
from graspcut.pose.preprocessing import CUBE_MM


def random_view(rng: np.random.Generator, right: bool, *, all_views: bool) -> View:
    """A view for training: everything turned and mirrored for the shipped networks, slightly for the domains."""
    shift = rng.normal(0, 8.0, 3)
    return View(
        shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
        roll_deg=float(rng.uniform(0, 360) if all_views else rng.normal(0, 10)),
        mirrored=bool(rng.random() < 0.5) if all_views else not right,
        cube_mm=float(CUBE_MM * np.exp(rng.normal(0, 0.06))),
    )


def training_sample(crops: HandCrops, rng: np.random.Generator, *, all_views: bool) -> HandSample:
    """A random hand in a random view."""
    index = int(rng.integers(len(crops)))
    return crops.sample(index, random_view(rng, bool(crops.right[index]), all_views=all_views), forearm=all_views)


def test_batch(crops: HandCrops, *, forearm: bool) -> tuple[Tensor, NDArray[np.uint8], list[HandSample]]:
    """All hands as right ones: crops (n, 1, 48, 48), parts and samples."""
    samples = [crops.sample(i, View(mirrored=not crops.right[i]), forearm=forearm) for i in range(len(crops))]
    images = torch.from_numpy(np.stack([sample.crop for sample in samples]))[:, None]
    return images, np.stack([sample.parts for sample in samples]), samples


@torch.no_grad()
def predict_parts(network: PartNetwork, crops: Tensor, batch: int = 10) -> NDArray[np.uint8]:
    """Parts (n, 48, 48) 1..classes at every pixel where the crop is not background, else 0."""
    contrast = LocalContrast()
    found = [network(contrast(crops[i : i + batch])).argmax(1) + 1 for i in range(0, len(crops), batch)]
    parts = torch.cat(found).to(torch.uint8).numpy()
    return np.asarray(np.where(crops[:, 0].numpy() < 1.0, parts, 0), np.uint8)


def accuracy(predicted: NDArray[np.uint8], parts: NDArray[np.uint8]) -> tuple[float, float]:
    """Per pixel, and the mean over the 20 parts of their recall."""
    hand = (parts > 0) & (parts <= 20)
    right = predicted == parts
    recall = [right[parts == part].mean() for part in range(1, 21) if (parts == part).any()]
    return float(right[hand].mean()), float(np.mean(recall))


def train_parts(arguments: argparse.Namespace) -> None:
    """Train f_s; losses are taken at every fourth, later every second row and column, others at each step."""
    rng = np.random.default_rng(arguments.seed)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    crops, test = HandCrops.load(arguments.data), HandCrops.load(arguments.test)
    network, contrast = PartNetwork(PartNetworkConfig(classes=21 if arguments.all_views else 20)), LocalContrast()
    if arguments.start:
        network.load_state_dict(load_file(arguments.start))
    checkpoint = Path(f"{arguments.out}.checkpoint")
    if arguments.sgd:
        optimiser: torch.optim.Optimizer = torch.optim.SGD(network.parameters(), arguments.rate)
    else:
        optimiser = torch.optim.AdamW(network.parameters(), arguments.rate, weight_decay=1e-4)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    step, seconds = 0, 0.0
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        averaged, step, seconds = stored["averaged"], stored["step"], stored["seconds"]
        rng = np.random.default_rng([arguments.seed, step])
    images, parts, _ = test_batch(test.subset(slice(0, arguments.test_count)), forearm=arguments.all_views)
    began, last, losses = time.time() - seconds, time.time(), []
    while (seconds := time.time() - began) < arguments.seconds:
        if arguments.sgd:
            rate = arguments.rate / (1 + 1e-5 * step) * min(1.0, 4.0 * (1 - seconds / arguments.seconds) + 0.02)
        else:
            rate = (
                arguments.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * seconds / arguments.seconds))
            )
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = [training_sample(crops, rng, all_views=arguments.all_views) for _ in range(arguments.batch)]
        image = torch.from_numpy(np.stack([sample.crop for sample in batch]))[:, None]
        stride = 4 if seconds < 0.8 * arguments.seconds else 2
        down, right = int(rng.integers(stride)), int(rng.integers(stride))
        target = torch.from_numpy(np.stack([sample.parts[down::stride, right::stride] for sample in batch]))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(contrast(image), stride, (down, right))
        loss = part_loss(logits.float(), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        step += 1
        for name, value in network.state_dict().items():
            averaged[name].lerp_(value, max(0.002, 1.0 / step))
        losses.append(loss.item())
        if time.time() - last > arguments.every:
            last = time.time()
            report(network, averaged, images, parts, step, seconds, arguments, losses)
            torch.save(
                {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "averaged": averaged,
                 "step": step, "seconds": time.time() - began}, checkpoint,
            )  # fmt: skip
            losses = []
    report(network, averaged, images, parts, step, seconds, arguments, losses)
    save_file(averaged, arguments.out)
    checkpoint.unlink(missing_ok=True)


def report(
    network: PartNetwork, averaged: dict[str, Tensor], images: Tensor, parts: NDArray[np.uint8], step: int,
    seconds: float, arguments: argparse.Namespace, losses: list[float],
) -> None:  # fmt: skip
    """Print the averaged weights' accuracy."""
    scored = PartNetwork(network.config)
    scored.load_state_dict(averaged)
    pixel, part = accuracy(predict_parts(scored, images), parts)
    print(
        f"{seconds:.0f} s, step {step}, {step * arguments.batch / max(seconds, 1):.0f} crops/s, loss "
        f"{np.mean(losses or [0]):.3f}, accuracy per pixel {pixel:.4f}, per class {part:.4f}",
        flush=True,
    )


def main() -> None:
    """Parse and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("parts",))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--seconds", type=float, default=840)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--sgd", action="store_true")
    parser.add_argument("--all-views", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=60)
    parser.add_argument("--test-count", type=int, default=100)
    train_parts(parser.parse_args())


if __name__ == "__main__":
    main()
