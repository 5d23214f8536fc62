"""How well each kind of held object is told from the hand, kinds that were trained on and kinds that never were.

    python benchmarks/object_kinds.py dense-attention-small --frames 400

Rendered frames of 320x240. For each kind: how many frames, the intersection over union of object, and what share of its
pixels is taken for hand and for background. A frame with two things counts for both. If kinds that were trained on are
no better than others, more kinds in the renderer will not help.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import get_args

import numpy as np

from graspcut.frames.camera import Camera
from graspcut.labels import BACKGROUND, HAND, OBJECT
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import ProfileName

SEEDS = {True: 960_001, False: 961_001}  # kinds held out of training; kinds that were trained on
ALL = "all frames with a hand"


def counts_by_kind(
    segmenter: Segmenter, profile: ProfileName, held_out: bool, frames: int
) -> dict[str, ConfusionCounts]:
    """Confusions in the frames with each kind of object, and in all frames with a hand or an object."""
    synth = SynthConfig(320, 240, profile=profile, colour=False, held_out_kinds=held_out)
    generator = FrameGenerator(synth, SEEDS[held_out])
    found: dict[str, ConfusionCounts] = defaultdict(ConfusionCounts)
    for index in range(frames):
        frame = generator[index]
        if not np.isin(frame.labels, (HAND, OBJECT)).any():
            continue
        labels = segmenter(frame.frame, frame.frame.camera or Camera.sr300(320, 240)).labels
        for kind in {ALL} | {instance.name for instance in frame.instance_table if instance.label == OBJECT}:
            found[kind].add(frame.labels, labels)
    return found


def row(kind: str, counts: ConfusionCounts) -> str:
    """A line of the table."""
    scores, taken_for = counts.scores(), counts.total()[OBJECT]
    shares = 100 * taken_for / max(1, int(taken_for.sum()))
    return (
        f"| {kind} | {len(counts.matrices())} | {100 * scores.hand_iou:.1f} | {100 * scores.object_iou:.1f} "
        f"| {shares[HAND]:.0f} | {shares[BACKGROUND]:.0f} |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder")
    parser.add_argument("--frames", type=int, default=400, help="of each version of the renderer and set of kinds")
    parser.add_argument("--least", type=int, default=8, help="frames below which a kind is not listed")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, device="cpu", threads=1)
    for profile in get_args(ProfileName):
        for held_out in (False, True):
            print(f"\n{profile}, kinds {'never trained' if held_out else 'trained'} on\n")
            print(
                "| kind | frames | hand | object | object taken for hand | for background |\n|---|---|---|---|---|---|"
            )
            found = counts_by_kind(segmenter, profile, held_out, options.frames)
            print(row(ALL, found.pop(ALL)))
            listed = {kind: counts for kind, counts in found.items() if len(counts.matrices()) >= options.least}
            for kind in sorted(listed, key=lambda kind: listed[kind].scores().object_iou):
                print(row(kind, listed[kind]))


if __name__ == "__main__":
    main()
