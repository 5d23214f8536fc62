"""Kills a training again and again at random moments and goes on with it: the weights are those of an undisturbed one.

    python benchmarks/kill_training.py --kills 30

A small network is trained from a folder of rendered frames, once without disturbance and once killed by SIGKILL,
SIGTERM and SIGINT in turn, each time at a random moment after its start, and started again with the same command. Then
the exported weights of both are compared byte by byte, and whether a loader process is left. Exit code 1 if anything
differs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from graspcut.frames.dataset import DatasetWriter
from graspcut.runtime.model_folder import WEIGHTS_NAME, save_model_folder
from graspcut.segmentation.models import DenseAttentionSmall, DenseAttentionSmallConfig, model_config
from graspcut.segmentation.training import train_segmentation
from graspcut.segmentation.training_options import SegmentationTraining
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.train.run_config import RunConfig

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NETWORK = DenseAttentionSmallConfig(
    widths=(4, 4, 8, 8, 8),
    blocks=(0, 1, 0, 0, 0),
    context_width=8,
    squeeze_width=4,
    decoder_widths=(8, 8, 4, 4, 4),
    working_focal_px=120.0,
)


def prepare(work: Path) -> list[str]:
    """Frames, a network to start from, and the command without its run folder."""
    generator = FrameGenerator(SynthConfig(width=160, height=120, sensor="sr300", colour=False), seed=5)
    writer = DatasetWriter(work / "frames", depth_unit_mm=0.125, description={})
    for index in range(12):
        writer.write(index, generator[index])
    writer.finish(12)
    network = DenseAttentionSmall(NETWORK)
    labels = ["background", "hand", "object"]
    config = {"task": "segmentation", "model": model_config(network), "labels": labels}
    save_model_folder(work / "start", config, network.state_dict(), "# Start")
    return [sys.executable, __file__, "--work", str(work)]


def train(work: Path, folder: Path, steps: int) -> int:
    """The command that is killed; its exit code."""
    training = SegmentationTraining(
        data=(work / "frames",), start=str(work / "start"), rendered_share=0.0, batch_size=2, steps=steps
    )
    run = RunConfig(
        folder,
        accelerator="cpu",
        threads=1,
        progress_bar=False,
        checkpoint_every_steps=7,
        validate_every_steps=0,
        log_every_steps=5,
    )
    return 0 if train_segmentation(training, run).finished else 1


def loaders_of(folder: Path) -> list[int]:
    """Processes that still name a run folder on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def killed(command: list[str], folder: Path, kills: int, longest_s: float, rng: np.random.Generator) -> tuple[int, int]:
    """Runs to the end with interruptions; how many kills met the command alive, and how often a loader was left."""
    met = left = 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            out, _ = process.communicate(timeout=float(rng.uniform(0, longest_s)) if met < kills else None)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, SIGNALS[met % len(SIGNALS)])
            met += 1
            process.communicate()
            time.sleep(1.0)
            left += bool(loaders_of(folder))
            print(f"kill {met}: {SIGNALS[(met - 1) % len(SIGNALS)].name}, exit code {process.returncode}", flush=True)
            continue
        if process.returncode == 0:
            return met, left
        raise SystemExit(f"the command failed by itself:\n{out.decode()}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=400, help="of the training; more than fit between two kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="used by itself: only train there")
    parser.add_argument("--folder", type=Path, help="used by itself: the run folder")
    options = parser.parse_args()
    if options.work is not None:
        raise SystemExit(train(options.work, options.folder, options.steps))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        command = [*prepare(work), "--steps", str(options.steps)]
        began = time.monotonic()
        subprocess.run([*command, "--folder", str(work / "whole")], check=True, stdout=subprocess.DEVNULL)
        whole_s = time.monotonic() - began
        folder = work / "killed"
        rng = np.random.default_rng(options.seed)
        met, left = killed([*command, "--folder", str(folder)], folder, options.kills, 0.8 * whole_s, rng)
        weights = [(run / "model" / WEIGHTS_NAME).read_bytes() for run in (work / "whole", folder)]
        same = weights[0] == weights[1]
        print(f"{met} kills, {left} times a process was left, weights {'equal' if same else 'DIFFER'}")
        if left or not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
