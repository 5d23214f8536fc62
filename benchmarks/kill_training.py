"""Kills a training again and again at random moments and goes on with it: the weights are those of an undisturbed one.

    python -m benchmarks.kill_training --kills 30 --save docs/results/kill_training.json

A small network is trained from a folder of rendered frames, once without disturbance and once killed by SIGKILL,
SIGTERM and SIGINT in turn, each time after a random part of its work (see `kill_moments.py`), and started again with
the same command. When it ends before it has been killed often enough, a fresh run folder follows. The exported
weights of all are compared byte by byte, and whether a loader process is left. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.kill_moments import run_and_kill

from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.json_files import write_json_atomically
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
    return [sys.executable, "-m", "benchmarks.kill_training", "--work", str(work)]


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


def killed(command: list[str], work: Path, kills: int, worked_s: float, chance: random.Random) -> dict[str, int]:
    """Runs with interruptions until all kills met it alive; what happened."""
    counts = dict.fromkeys(("kills", "runs", "different", "survivors", "stalled", "refused"), 0)
    expected = weights_of(work / "whole")
    while counts["kills"] < kills:
        folder = work / f"killed-{counts['runs']}"
        while True:
            kill_with = SIGNALS[counts["kills"] % len(SIGNALS)]
            moment_s = chance.uniform(0.0, worked_s) if counts["kills"] < kills else None
            ending = run_and_kill([*command, "--folder", str(folder)], moment_s, work / "output.txt", kill_with)
            counts["survivors"] += ending.survived
            counts["stalled"] += ending.stalled
            if not ending.was_killed:
                break
            counts["kills"] += 1
            print(f"kill {counts['kills']}: {kill_with.name}, exit code {ending.code}", flush=True)
        counts["runs"] += 1
        if ending.code:
            counts["refused"] += 1
            print(ending.output, file=sys.stderr)
        counts["different"] += ending.code != 0 or weights_of(folder) != expected
        print(counts, flush=True)
    return counts


def weights_of(folder: Path) -> bytes:
    """The exported weights of a finished run."""
    return (folder / "model" / WEIGHTS_NAME).read_bytes()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=200, help="of the training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="JSON")
    parser.add_argument("--work", type=Path, help="used by itself: only train there")
    parser.add_argument("--folder", type=Path, help="used by itself: the run folder")
    options = parser.parse_args()
    if options.work is not None:
        raise SystemExit(train(options.work, options.folder, options.steps))
    with tempfile.TemporaryDirectory(prefix="graspcut-kills-") as temporary:
        work = Path(temporary)
        command = [*prepare(work), "--steps", str(options.steps)]
        whole = run_and_kill([*command, "--folder", str(work / "whole")], None, work / "output.txt")
        if whole.code:
            raise SystemExit(whole.output)
        counts = killed(command, work, options.kills, whole.worked_s, random.Random(options.seed))
    print(counts)
    if options.save is not None:
        write_json_atomically(options.save, {"steps": options.steps, "seed": options.seed, **counts})
    if any(counts[name] for name in ("different", "survivors", "stalled", "refused")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
