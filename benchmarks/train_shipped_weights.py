"""Trains the shipped `dense-attention-small` weights: synthetic frames only, rendered while it trains, never written.

    python benchmarks/train_shipped_weights.py --out runs/small --steps 12000
    python benchmarks/train_shipped_weights.py --out runs/small --steps 16000 --late --frames-seed 11  # then

Most batches are windows around a hand out of a 320 x 240 camera: they teach more per second than whole frames, of which
`--late` has more. Each of `--processes` trains on one core and their gradients are averaged.
Killed and started again with the same arguments it continues where it stopped.
Other arguments are refused, or accepted with --accept-changes. No real frame and no held-out kind of object is
seen. The card of the shipped weights says with which arguments they were made.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.runtime.model_folder import fill_network, find_model_folder, load_model_folder
from graspcut.segmentation.data import segmentation_target
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmallConfig
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import TrainingData, ValidationPart, View
from graspcut.train.trainer import RunConfig, prepare_run, run_training

# (window or None for the whole 320 x 240 frame, share of --batch, share of the batches early, share late)
VIEWS = (((128, 128), 1.0, 0.7, 0.35), ((176, 144), 1.0, 0.2, 0.35), (None, 0.375, 0.1, 0.3))

NETWORK = DenseAttentionSmallConfig()


def grown(folder: Path) -> nn.Module:
    """`NETWORK` that computes what a stored network with fewer residual blocks a level computes.

    New blocks come last in their level and their last batch norm has scale 0: they add nothing before they are trained.

    Raises:
        ModelFolderError: the stored network differs in more than its number of blocks.
    """
    _, tensors = load_model_folder(folder)
    network = build_model({"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORK)})
    filled = network.state_dict()
    new = {name.rpartition(".")[0] for name in filled if name not in tensors}
    for module in new:
        if module.endswith(".norm"):
            filled[f"{module}.weight"].zero_()
    fill_network(network, {**{name: value.numpy() for name, value in filled.items()}, **tensors}, folder)
    return network


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="run folder; an existing one is continued")
    parser.add_argument("--steps", type=int, default=12_000, help="optimiser steps in all")
    parser.add_argument("--batch", type=int, default=8, help="windows a batch and process")
    parser.add_argument(
        "--start", help="model folder or shipped model to go on from; missing residual blocks are added"
    )
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true", help="bf16 needs AVX512")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="the highest one")
    parser.add_argument("--late", action="store_true", help="more whole frames, more weight on objects")
    parser.add_argument("--frames-seed", type=int, default=1, help="first of three seeds of the rendered frames")
    parser.add_argument("--processes", type=int, default=2, help="training processes, one core and one renderer each")
    parser.add_argument("--accept-changes", action="store_true", help="continue a run with other arguments")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    weights = (1.0, 1.0, 1.6) if options.late else (1.0, 1.0, 1.0)
    config = dataclasses.replace(
        TaskConfig.quick(options.steps, learning_rate=options.learning_rate),
        class_weights=weights,
    )
    synth = SynthConfig(colour=False, focal_jitter=0.1)
    views = [
        View(
            RenderedSamples(FrameGenerator(dataclasses.replace(synth, window=window), options.frames_seed + number)),
            segmentation_target,
            probability=late if options.late else early,
            batch_size=max(1, round(batch * options.batch)),
            augmentation=AugmentationConfig(flip=0.5),
            missing_depth_label=None,  # the renderer knows what is in shadows and holes
        )
        for number, (window, batch, early, late) in enumerate(VIEWS)
    ]
    validation = [
        ValidationPart(
            RenderedSamples(FrameGenerator(SynthConfig(colour=False), seed=999_983)), segmentation_target, count=200
        )
    ]
    run = RunConfig(
        options.out,
        seed=options.seed,
        devices=options.processes,
        strategy="ddp" if options.processes > 1 else "auto",
        precision=options.precision,
        threads=1,
        validate_every_steps=1000,
        checkpoint_every_minutes=4.0,
        accept_changes=options.accept_changes,
    )
    prepare_run(run)
    network_config: dict[str, Any] = {"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORK)}
    network: nn.Module | None = None
    if options.start is not None:
        network = grown(find_model_folder(options.start))
    task = SegmentationTask(network_config, config, network)
    result = run_training(task, TrainingData(views, validation, seed=options.seed, workers=1), run)
    print(result)


if __name__ == "__main__":
    main()
