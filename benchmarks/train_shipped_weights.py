"""Trains the shipped `dense-attention-small` weights: synthetic frames only, rendered while it trains, never written.

    nice -n 19 python benchmarks/train_shipped_weights.py --out runs/shipped
    python benchmarks/train_shipped_weights.py --out runs/shipped --show

The first command works off `PLAN`, one phase after the other, each in a run folder of its own that starts from the
model of the phase before; the first starts from the weights that are shipped now, grown without a change of what they
compute. Stopped by Ctrl-C, SIGTERM or a power cut, and typed again, it goes on where it stood. After every phase the
batch-norm statistics are taken anew over whole rendered frames, and the model is scored on frames of unseen kinds of
objects, of the first version of the renderer and of the newest one: OUT/scores.json, beside the same scores of the
shipped weights. So are averages of it with the weights that the phase started from (OUT/PHASE/average-SHARE), which
forget less of what those knew. Ship a model only if it wins.

Most batches are windows around a hand: they teach more per second than whole frames, of which later phases have more.
Frames come from all cameras that the renderer knows, at 320x240 and at 640x480, sampled as the network meets them in
use. From phase 5 on half of the hands of the second version are drawn with a skinned mesh (`hand_mesh.py`), which is
fetched when it is needed; --hand-mesh FILE names it where nothing can be fetched. With --processes each trains on one
core and their gradients are averaged; their number is part of a phase. The longest phase was left to a GPU: see
`train_on_gpu.py`, whose result is taken where it stands in the phase's folder. No real frame and no held-out kind of
object is seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.hand_mesh import fetched_hand_mesh
from torch import nn

from graspcut.frames.camera import Camera
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import HAND, OBJECT
from graspcut.nn.averaging import between
from graspcut.nn.normalisation import recompute_batch_norms
from graspcut.runtime.model_folder import fill_network, find_model_folder, load_model_folder, save_model_folder
from graspcut.segmentation.careful import stepped_nearer, window_around
from graspcut.segmentation.data import WorkingTarget
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmallConfig
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import ProfileName, SceneConfig
from graspcut.train.augmentation import AugmentationConfig
from graspcut.train.sources import FrameSequence, RenderedSamples
from graspcut.train.streams import TrainingData, ValidationPart, View, as_tensors, stacked
from graspcut.train.trainer import RunConfig, prepare_run, run_training

NETWORK = DenseAttentionSmallConfig(neighbours=True)
BATCH = 16  # windows of 128 x 128 at the scale of the network; other batches hold about as many pixels
AVERAGES = (0.6, 0.8)  # shares of the new weights in averages with those that a phase started from
_STEM = "encoder.levels.0.0.0.weight"


@dataclass(frozen=True)
class Phase:
    """One part of the plan.

    Attributes:
        name: of its run folder.
        steps: batches.
        learning_rate: the highest one.
        whole_share: share of the batches with whole frames; the others are windows.
        first_version_share: share of the batches from the first version of the renderer.
        class_weights: of background, hand and object.
        contour_part: last part of the phase, in which the contour loss is added.
        nearer_share: share of the batches with what the closer look of `graspcut segment --careful` shows.
        mesh_share: share of the second version's hands that are drawn with the skinned mesh.
        area_exponent: how much more small hands and objects count in the loss.
        open_handed: share of the second version's grasps in which most fingers stay stretched.
        next_share: share of its weights in the average, with those it started from, that the next phase starts from.
    """

    name: str
    steps: int
    learning_rate: float
    whole_share: float
    first_version_share: float = 0.2
    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.6)
    contour_part: float = 0.0
    nearer_share: float = 0.0
    mesh_share: float = 0.0
    area_exponent: float = 0.0
    open_handed: float = 0.25
    next_share: float = 1.0


# Most of what is yet to come, and what the phases since the fifth differ from.
_LATER = Phase(
    "later",
    8_000,
    1.5e-3,
    whole_share=0.7,
    first_version_share=0.3,
    nearer_share=0.15,
    mesh_share=0.5,
    area_exponent=0.25,
    open_handed=0.4,
    next_share=0.8,
)
ON_GPU = "8-gpu"
# 156,000 batches of 16 windows, or as many pixels: two and a half million frames and windows.
PLAN = (
    Phase("1-new-places", 6_000, 1e-3, whole_share=0.4, next_share=0.6),
    Phase("2-skin-and-cloth", 7_000, 1e-3, whole_share=0.45, first_version_share=0.4, next_share=0.8),
    Phase("3-slower", 3_500, 7e-4, whole_share=0.5, first_version_share=0.4, next_share=0.6),
    Phase("4-nearer", 16_000, 1.5e-3, whole_share=0.45, first_version_share=0.3, nearer_share=0.15, next_share=0.8),
    # Its first 7,700 batches were trained on hands of cones alone.
    dataclasses.replace(_LATER, name="5-whole", steps=16_000, area_exponent=0.0, open_handed=0.25),
    # Each of the following half an hour of two cores or less, after which there is something to ship.
    dataclasses.replace(_LATER, name="6-mesh", area_exponent=0.5, open_handed=0.25, next_share=0.4),
    # With 0.5 large objects lost what small ones won, unless the phase counted for less than half of the average.
    dataclasses.replace(
        _LATER, name="7-open", steps=4_000, learning_rate=1e-3, whole_share=0.5, first_version_share=0.4
    ),
    # Trained by `train_on_gpu.py`, in eight minutes; as many pixels take two cores five and a half hours.
    dataclasses.replace(_LATER, name=ON_GPU, steps=79_000, whole_share=0.85, contour_part=0.2, next_share=1.0),
    dataclasses.replace(
        _LATER,
        name="9-last",
        steps=16_500,
        learning_rate=5e-4,
        whole_share=0.9,
        contour_part=0.5,
        next_share=1.0,
    ),
)


def grown(folder: Path) -> nn.Module:
    """`NETWORK` that computes what a stored network with fewer residual blocks, or without neighbours, computes.

    New blocks come last in their level and their last batch norm has scale 0, and the first convolution has weights of
    0 for the neighbours: they add nothing before they are trained.

    Raises:
        ModelFolderError: the stored network differs in more.
    """
    _, tensors = load_model_folder(folder)
    network = build_model({"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORK)})
    filled = network.state_dict()
    new = {name.rpartition(".")[0] for name in filled if name not in tensors}
    for module in new:
        if module.endswith(".norm"):
            filled[f"{module}.weight"].zero_()
    wanted, stem = filled[_STEM].shape, tensors[_STEM]
    if stem.shape[1] < wanted[1]:
        more = np.zeros((stem.shape[0], wanted[1] - stem.shape[1], *stem.shape[2:]), stem.dtype)
        tensors[_STEM] = np.concatenate([stem, more], axis=1)
    fill_network(network, {**{name: value.numpy() for name, value in filled.items()}, **tensors}, folder)
    return network


class NearerFrames:
    """Frames as the closer look shows them, around what truly is hand or object; others, if there is no such window.

    Args:
        frames: whole frames.
    """

    def __init__(self, frames: FrameSequence) -> None:
        self.frames = frames

    def __getitem__(self, index: int) -> LabelledFrame:
        """Frame `index`."""
        labelled = self.frames[index]
        depth = labelled.frame.depth_mm
        found = np.isin(labelled.labels, (HAND, OBJECT)) & (depth > 0)
        window = window_around(found)
        if window is None:
            return labelled
        nearer = stepped_nearer(depth, found, labelled.frame.camera, window)
        return LabelledFrame(nearer, labelled.labels[window.rows, window.columns])


@dataclass(frozen=True)
class Hands:
    """How the second version of the renderer draws hands.

    Attributes:
        mesh: skinned hand, or a folder of them; None for cones alone.
        mesh_share: share of the hands that are drawn with it.
        open_handed: share of the grasps in which most fingers stay stretched.
    """

    mesh: Path | None = None
    mesh_share: float = 0.0
    open_handed: float = 0.25


def rendered(
    size: tuple[int, int],
    window: tuple[int, int] | None,
    profile: ProfileName,
    seed: int,
    nearer: bool = False,
    hands: Hands | None = None,
) -> RenderedSamples:
    """Frames of all cameras of a version of the renderer, or windows out of them, or closer looks at them."""
    jitter = 0.1 if profile == "v1" else 0.0  # the second version varies focal lengths by itself
    synth = SynthConfig(*size, profile=profile, colour=False, focal_jitter=jitter, window=window)
    if profile == "v2":
        drawn = hands if hands is not None else Hands()
        scene = SceneConfig(open_handed=drawn.open_handed, own_hand=drawn.mesh_share)
        mesh = None if drawn.mesh is None else str(drawn.mesh)
        synth = dataclasses.replace(synth, scene=scene, hand_mesh=mesh)
    frames = FrameGenerator(synth, seed)
    return RenderedSamples(NearerFrames(frames) if nearer else frames)


@dataclass(frozen=True)
class Kind:
    """Frames of one size, or what is cut out of them.

    Attributes:
        frame: (width, height) of the frames.
        window: (width, height) of windows out of them; None takes whole frames.
        part: items of one batch for each window of 128 x 128.
        item: (width, height) at the scale of the network.
        share: of the batches.
        nearer: whether to take closer looks.
    """

    frame: tuple[int, int]
    window: tuple[int, int] | None
    part: float
    item: tuple[int, int]
    share: float
    nearer: bool = False


def views_of(phase: Phase, batch: int, seed: int, hand_mesh: Path | None = None) -> list[View]:
    """What a phase trains on: whole frames and windows, of two sizes and two versions of the renderer.

    Args:
        phase: which.
        batch: windows of 128 x 128 a batch.
        seed: of the frames.
        hand_mesh: skinned hand, or a folder of them; only where the phase has a `mesh_share`.
    """
    hands = Hands(hand_mesh, phase.mesh_share, phase.open_handed)
    others = 1 - phase.nearer_share
    whole, windows = others * phase.whole_share, others * (1 - phase.whole_share)
    kinds = (
        Kind((320, 240), None, 0.25, (320, 240), 0.5 * whole),
        Kind((640, 480), None, 0.25, (320, 240), 0.5 * whole),
        Kind((320, 240), (128, 128), 1.0, (128, 128), 0.25 * windows),
        Kind((320, 240), (176, 144), 0.65, (176, 144), 0.25 * windows),
        Kind((640, 480), (256, 256), 1.0, (128, 128), 0.5 * windows),
        Kind((640, 480), None, 0.25, (320, 240), 0.7 * phase.nearer_share, nearer=True),
        Kind((320, 240), None, 0.25, (320, 240), 0.3 * phase.nearer_share, nearer=True),
    )
    versions: tuple[tuple[ProfileName, float], ...] = (
        ("v2", 1 - phase.first_version_share),
        ("v1", phase.first_version_share),
    )
    return [
        View(
            rendered(kind.frame, kind.window, profile, 100 * seed + 10 * number + version, kind.nearer, hands),
            WorkingTarget(NETWORK.working_focal_px, kind.item, NETWORK.neighbours),
            probability=kind.share * version_share,
            batch_size=max(1, round(kind.part * batch)),
            augmentation=AugmentationConfig(flip=0.5),
            missing_depth_label=None if profile == "v2" else 255,  # the second version knows what lies in a shadow
        )
        for version, (profile, version_share) in enumerate(versions)
        for number, kind in enumerate(kinds)
        if kind.share * version_share > 0
    ]


def phase_config(phase: Phase) -> TaskConfig:
    """The recipe of a phase."""
    config = TaskConfig.quick(phase.steps, learning_rate=phase.learning_rate, contour_part=phase.contour_part)
    return dataclasses.replace(config, class_weights=phase.class_weights, area_exponent=phase.area_exponent)


def with_statistics_of_whole_frames(network: nn.Module, frames: int = 640, seed: int = 970_001) -> nn.Module:
    """Takes the batch-norm statistics anew, in place, over whole frames of both sizes."""
    target = WorkingTarget(NETWORK.working_focal_px, (320, 240), neighbours=True)
    kinds = (((320, 240), "v2"), ((640, 480), "v2"), ((320, 240), "v1"))
    sources = [rendered(size, None, profile, seed + number) for number, (size, profile) in enumerate(kinds)]  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)

    def batches() -> Any:
        for first in range(0, frames, 8):
            source = sources[first // 8 % len(sources)]
            yield as_tensors(stacked([target(source.sample(index), rng) for index in range(first, first + 8)])).inputs

    recompute_batch_norms(network, batches())
    return network


def scores(model: Path, frames: int) -> dict[str, dict[str, float]]:
    """Percent, on whole frames of unseen kinds of objects, each version of the renderer and size by itself."""
    segmenter = Segmenter.load(model, device="cpu", threads=1, backend="pytorch")
    found = {}
    for name, size, profile in (
        ("v1 320x240", (320, 240), "v1"),
        ("v2 320x240", (320, 240), "v2"),
        ("v2 640x480", (640, 480), "v2"),
    ):
        synth = SynthConfig(*size, profile=profile, colour=False, held_out_kinds=True)  # type: ignore[arg-type]
        generator = FrameGenerator(synth, 960_001)
        counts, false_pixels, empty_pixels = ConfusionCounts(), 0, 0
        for index in range(frames):
            labelled = generator[index]
            labels = segmenter(labelled.frame, labelled.frame.camera or Camera.sr300(*size)).labels
            if np.isin(labelled.labels, (1, 2)).any():
                counts.add(labelled.labels, labels)
            else:
                false_pixels, empty_pixels = false_pixels + int((labels > 0).sum()), empty_pixels + labels.size
        result = counts.scores()
        found[name] = {
            "mean_iou": 100 * result.mean_iou,
            "hand_iou": 100 * result.hand_iou,
            "object_iou": 100 * result.object_iou,
            "false_without_hand": 100 * false_pixels / max(1, empty_pixels),
        }
    return found


def finish_phase(folder: Path, model: Path, start: Path, frames: int, next_share: float) -> None:
    """New statistics, OUT/PHASE/final and the averages, and their scores beside those of the shipped weights."""
    config, weights = load_model_folder(model)
    trained, network = (build_model(config["model"]).eval() for _ in range(2))
    fill_network(trained, weights, model)
    card = (model / "card.md").read_text(encoding="utf-8")
    path = folder.parent / "scores.json"
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "shipped" not in table:
        table["shipped"] = scores(find_model_folder("dense-attention-small"), frames)
    for share in sorted({*AVERAGES, next_share, 1.0}):
        network.load_state_dict(between(grown(start).state_dict(), trained.state_dict(), share))
        with_statistics_of_whole_frames(network.eval())
        name = "final" if share == 1.0 else f"average-{share:g}"
        found = save_model_folder(folder / name, config, network.state_dict(), card)
        table[f"{folder.name} {name}"] = scores(found, frames)
        write_json_atomically(path, table)
    print(json.dumps({name: row for name, row in table.items() if folder.name in name}, indent=1), flush=True)


def run_phase(phase: Phase, start: Path, options: argparse.Namespace) -> Path | None:
    """Trains a phase, or goes on with it; its model folder, or None if it was stopped."""
    folder = options.out / phase.name
    if (folder / "model").exists():
        return Path(folder / "model")
    run = RunConfig(
        folder,
        seed=options.seed,
        accelerator="cpu",
        devices=options.processes,
        strategy="ddp" if options.processes > 1 else "auto",
        precision=options.precision,
        threads=1,
        validate_every_steps=1000,
        checkpoint_every_minutes=options.checkpoint_minutes,
        keep_every_steps=5000,
        log_every_steps=20,
        accept_changes=options.accept_changes,
    )
    prepare_run(run)
    network_config: dict[str, Any] = {"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORK)}
    network = grown(start)
    target = WorkingTarget(NETWORK.working_focal_px, (320, 240), NETWORK.neighbours)
    validation = [
        ValidationPart(rendered(size, None, "v2", 950_001), target, count=60) for size in ((320, 240), (640, 480))
    ]
    number = 1 + [planned.name for planned in PLAN].index(phase.name)
    hand_mesh = hand_mesh_of(options) if phase.mesh_share > 0 else None
    data = TrainingData(views_of(phase, options.batch, number, hand_mesh), validation, seed=options.seed, workers=1)
    result = run_training(SegmentationTask(network_config, phase_config(phase), network), data, run)
    print(result, flush=True)
    return result.model_folder


def hand_mesh_of(options: argparse.Namespace) -> Path:
    """The skinned hand that was named, or the fetched one."""
    return options.hand_mesh.resolve() if options.hand_mesh else fetched_hand_mesh(options.out / "hand-mesh").resolve()


def show(out: Path, plan: Sequence[Phase]) -> None:
    """Where the plan stands."""
    for phase in plan:
        folder = out / phase.name
        state = "done" if (folder / "model").exists() else "not begun"
        checkpoint = folder / "checkpoints" / "last.ckpt"
        if state != "done" and checkpoint.exists():
            step = torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"]
            state = f"step {step} of {phase.steps}"
        print(f"{phase.name:16s} {state}")


def main() -> None:
    """Parse the arguments and work off the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the phases; an existing one is continued")
    parser.add_argument("--show", action="store_true", help="only say where the plan stands")
    parser.add_argument("--start", default="dense-attention-small", help="model folder or shipped model to grow from")
    parser.add_argument(
        "--hand-mesh", type=Path, help="skinned hand (.glb), or a folder of them; without, one is fetched (94 MB)"
    )
    parser.add_argument("--batch", type=int, default=BATCH, help="windows of 128 x 128 a batch and process")
    parser.add_argument("--processes", type=int, default=1, help="training processes, one core and one renderer each")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true", help="bf16 needs AVX512")
    parser.add_argument("--accept-changes", action="store_true", help="continue a phase with other settings")
    parser.add_argument("--checkpoint-minutes", type=float, default=4.0)
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of the plan's steps that phases take, for machines with less time"
    )
    parser.add_argument("--test-frames", type=int, default=300, help="frames of each kind that a phase is scored on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    plan = [dataclasses.replace(phase, steps=round(options.fraction * phase.steps)) for phase in PLAN]
    if options.show:
        show(options.out, plan)
        return
    start = find_model_folder(options.start)
    for phase in plan:
        before = start
        model = run_phase(phase, before, options)
        if model is None:
            print("stopped; the same command continues")
            return
        start = options.out / phase.name / ("final" if phase.next_share == 1.0 else f"average-{phase.next_share:g}")
        if not start.exists():
            finish_phase(options.out / phase.name, model, before, options.test_frames, phase.next_share)


if __name__ == "__main__":
    main()
