"""Batch-norm statistics over whole rendered frames, and the weights of the classes: what each brings without training.

    python benchmarks/operating_point.py dense-attention-small --save docs/results/operating-point.json

The model's batch-norm statistics are kept ("as trained") or taken anew over whole frames of one or both versions of the
renderer, and the probabilities of background (by 1 / `Segmenter.sensitivity`) and of object are multiplied by several
factors. Scored on frames with objects of unseen kinds, of both versions of the renderer and of two places by
themselves, as a mean over the pixels of all places says little of hands that are small in the picture: mean IOU where
there is a hand or an object, and the percentage of pixels called hand or object in frames without one. No real frame is
looked at, so that a point may be chosen here.

    python benchmarks/operating_point.py runs/shipped/1-new-places/average-0.6 --background 2 --write runs/calibrated

writes the model with the chosen factors built in: the shipped weights were made so.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.frames.camera import focal_length_px
from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import BACKGROUND, OBJECT
from graspcut.nn.normalisation import recompute_batch_norms
from graspcut.nn.working_scale import WorkingScale
from graspcut.runtime.model_folder import find_model_folder, load_model_folder, save_model_folder
from graspcut.segmentation.data import WorkingTarget
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import labels_of
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import ProfileName, SceneConfig
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import as_tensors, stacked

# Of background and of object.
FACTORS = (
    *((background, 1.0) for background in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)),
    *((background, 1.5) for background in (1.0, 1.5, 2.0, 3.0)),
    *((background, 2.0) for background in (1.0, 1.5, 2.0, 3.0)),
)
STATISTICS: dict[str, tuple[ProfileName, ...]] = {
    "as trained": (),
    "v1 frames": ("v1",),
    "v2 frames": ("v2",),
    "both": ("v1", "v2"),
}
SETS = {
    "v1": SynthConfig(profile="v1"),
    "v2": SynthConfig(),
    "people at a table, v2": SynthConfig(scene=SceneConfig(room=0.0, people_at_table=1.0)),
    "rooms without a hand, v2": SynthConfig(scene=SceneConfig(room=1.0, people_at_table=0.0)),
}
_STATISTICS_SEED, _TEST_SEED = 31_001, 31_011
_BATCH = 8


def with_odds(network: nn.Module, background: float, held: float = 1.0) -> nn.Module:
    """Multiplies the odds of background and of object of a compact network, in place, by the bias of its last layer."""
    bias = network.get_parameter("decoder.classify.bias")
    with torch.no_grad():
        bias[BACKGROUND] += math.log(background)
        bias[OBJECT] += math.log(held)
    return network


def whole_frame_batches(profiles: Sequence[ProfileName], frames: int) -> Iterator[tuple[Tensor, ...]]:
    """Inputs of the network: batches of whole frames at its scale, the versions of the renderer in turn."""
    target, rng = WorkingTarget(240.0, (320, 240)), np.random.default_rng(_STATISTICS_SEED)
    sources = [
        RenderedSamples(FrameGenerator(SynthConfig(profile=profile, colour=False), _STATISTICS_SEED))
        for profile in profiles
    ]
    for first in range(0, frames, _BATCH):
        source = sources[first // _BATCH % len(sources)]
        yield as_tensors(stacked([target(source.sample(i), rng) for i in range(first, first + _BATCH)])).inputs


def probabilities_of(network: nn.Module, depth_mm: NDArray[np.float32], focal_px: float) -> NDArray[np.float32]:
    """(1, 3, H, W), certain background where there is no depth."""
    scaled = WorkingScale(network, 240.0)
    with torch.no_grad():
        found = scaled(torch.from_numpy(depth_mm)[None, None], torch.tensor([focal_px])).numpy()
    found[:, :, depth_mm <= 0] = np.array([1.0, 0.0, 0.0], np.float32)[None, :, None]
    result: NDArray[np.float32] = found
    return result


def scored(
    networks: dict[str, nn.Module], synth: SynthConfig, frames: int
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Scores of all networks and factors on one set of frames, which are rendered one at a time."""
    generator = FrameGenerator(dataclasses.replace(synth, colour=False, held_out_kinds=True), _TEST_SEED)
    counts = {(name, factor): ConfusionCounts() for name in networks for factor in FACTORS}
    false_px = dict.fromkeys(counts, 0)
    empty_px = 0
    for index in range(frames):
        labelled = generator[index]
        frame = labelled.frame
        has_hand = bool(np.isin(labelled.labels, (1, 2)).any())
        empty_px += 0 if has_hand else frame.depth_mm.size
        for name, network in networks.items():
            found = probabilities_of(network, frame.depth_mm, focal_length_px(frame.camera, frame.width))
            for factor in FACTORS:
                weights = np.array([factor[0], 1.0, factor[1]], np.float32).reshape(1, 3, 1, 1)
                labels = labels_of(weights * found)[0]
                if has_hand:
                    counts[name, factor].add(labelled.labels, labels)
                else:
                    false_px[name, factor] += int((labels > 0).sum())
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for (name, factor), count in counts.items():
        result = count.scores() if count.matrices().size else None
        table.setdefault(name, {})["{:g} {:g}".format(*factor)] = {
            "mean_iou": 100 * result.mean_iou if result else None,
            "hand_iou": 100 * result.hand_iou if result else None,
            "object_iou": 100 * result.object_iou if result else None,
            "false_without_hand": 100 * false_px[name, factor] / max(1, empty_px),
        }
    return table


def markdown(results: dict[str, Any]) -> str:
    """A table for each set."""
    lines = []
    for name, table in results["sets"].items():
        lines += [f"Frames of {name}: mean IOU (false pixels in frames without a hand), percent", ""]
        lines += ["| background, object times | " + " | ".join(table) + " |", "|---" * (1 + len(table)) + "|"]
        for factor in FACTORS:
            scores = [row["{:g} {:g}".format(*factor)] for row in table.values()]
            cells = [
                ("" if score["mean_iou"] is None else f"{score['mean_iou']:.1f} ")
                + f"({score['false_without_hand']:.2f})"
                for score in scores
            ]
            lines.append("| {:g}, {:g} | ".format(*factor) + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder")
    parser.add_argument("--statistics-frames", type=int, default=640)
    parser.add_argument("--test-frames", type=int, default=300, help="of each set")
    parser.add_argument("--save", type=Path, help="JSON of the scores")
    parser.add_argument("--as-trained", action="store_true", help="take no statistics anew")
    parser.add_argument("--background", type=float, default=1.0, help="factor for --write")
    parser.add_argument("--object", type=float, default=1.0, help="factor for --write")
    parser.add_argument("--write", type=Path, help="only write the model with these factors built in, to this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.write is not None:
        config, _ = load_model_folder(find_model_folder(options.model))
        network = with_odds(Segmenter.load_network(options.model), options.background, options.object)
        card = f"# Background times {options.background:g}, object times {options.object:g}\n"
        save_model_folder(options.write, config, network.state_dict(), card)
        return
    shipped = Segmenter.load_network(options.model)
    networks = {}
    for name, profiles in list(STATISTICS.items())[: 1 if options.as_trained else None]:
        networks[name] = copy.deepcopy(shipped)
        if profiles:
            recompute_batch_norms(networks[name], whole_frame_batches(profiles, options.statistics_frames))
    results: dict[str, Any] = {
        "model": options.model,
        "statistics_frames": options.statistics_frames,
        "test_frames": options.test_frames,
        "sets": {},
    }
    for name, synth in SETS.items():
        results["sets"][name] = scored(networks, synth, options.test_frames)
        if options.save is not None:
            write_json_atomically(options.save, results)
    print(markdown(results))


if __name__ == "__main__":
    main()
