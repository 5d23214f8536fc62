"""The parts of a segmentation recipe: network, losses, optimiser, augmentation. No torch here.

Each part is a heading of `graspcut train segmentation --help` and a table of a recipe file. None leaves what the preset
says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

NetworkName = Literal[
    "dense-attention-small",
    "dense-attention-seg",
    "deeplabv3plus",
    "fcn-32s",
    "fcn-16s",
    "fcn-8s",
    "large-kernel-matters",
    "refinenet",
]
NETWORK_NAMES: tuple[str, ...] = get_args(NetworkName)


@dataclass(frozen=True)
class NetworkOptions:
    """Which network, and its form.

    Attributes:
        network: dense-attention-small, dense-attention-seg, deeplabv3plus, fcn-32s, fcn-16s, fcn-8s,
            large-kernel-matters, refinenet, or with `network_file` the class to take of it; by default that of the
            preset, dense-attention-small or dense-attention-seg.
        network_file: Python file of a network of your own, see docs/add-a-network.md; its digest is stored in the run
            and in the model folder.
        start: Model folder or shipped model to go on from; its network is taken instead of `network`.
        pretrained: File with public ImageNet weights (.safetensors or .pth, torchvision's names) for the encoder of
            networks that have one: ResNet, or VGG-16 for fcn-*.
        attention: Form of the attention of dense-attention-seg.
        network_depth: Layers of the ResNet: 50, 101 or 152; of dense-attention-seg, deeplabv3plus,
            large-kernel-matters and refinenet.
        encoding: What the network sees of the depth: a slab behind the nearest thing, raw, or geometry.
        network_argument: NAME=VALUE of any other argument of the network's configuration; may be given several times.
    """

    network: str | None = None
    network_file: Path | None = None
    start: str | None = None
    pretrained: Path | None = None
    attention: Literal["gate", "mul", "concat", "none"] | None = None
    network_depth: Literal[50, 101, 152] | None = None
    encoding: Literal["slab", "raw", "geometry"] | None = None
    network_argument: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossOptions:
    """What is minimised.

    Attributes:
        class_weights: Weights of background, hand and object in the cross entropy.
        area_exponent: How much more hands and objects count that are small in their picture: by (4000 px / area) to
            this power, up to five times; 0.5 finds small things better, 0 counts every pixel the same.
        cross_entropy_weight: Weight of the cross entropy.
        contour_weight: Weight of the contour loss in the last phase.
        contour_part: Part of the run that is the last phase.
        contour_normalisation: What the contour loss is divided by: all pixels, or those of the contours.
        contour_per_class: Square the contours of each class on their own instead of their sum.
        contour_on: Contours of probabilities, or of logits (the paper's wording).
        batch_norm_penalty: Weight of the penalty on parameters.
        penalty_target: Which parameters the penalty is on.
        loss_file: Python file with loss terms of your own, see docs/add-a-network.md.
        loss_term: NAME=WEIGHT of a term of `loss_file`, may be given several times; by default all, with weight 1.
    """

    class_weights: tuple[float, float, float] | None = None
    area_exponent: float | None = None
    cross_entropy_weight: float | None = None
    contour_weight: float | None = None
    contour_part: float | None = None
    contour_normalisation: Literal["pixels", "contour"] | None = None
    contour_per_class: bool | None = None
    contour_on: Literal["prob", "logits"] | None = None
    batch_norm_penalty: float | None = None
    penalty_target: Literal["bn", "all", "none"] | None = None
    loss_file: Path | None = None
    loss_term: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimisationOptions:
    """How it is minimised.

    Attributes:
        optimiser: sgd, adam or adamw.
        learning_rate: Highest learning rate; when fine-tuning (`start` and `data`) 0.0003 if not given.
        momentum: Of sgd.
        weight_decay: Of convolution weights.
        norm_weight_decay: Of scales and shifts of normalisation layers.
        bias_weight_decay: Of biases.
        schedule: Learning rate over the run.
        decay_factor: Of the schedule step: what the rate is multiplied by.
        decay_steps: Of the schedule step: every so many batches.
        inverse_decay: Of the schedule inverse: rate / (1 + inverse_decay * batches).
        warm_up: Of the schedule warm_up_cosine: part of the run in which the rate grows.
        final_learning_rate: Of both cosines: where they end, as a part of the learning rate.
        average_decay: Decay of the moving average of the weights, which is what is scored and exported; 0 for none.
        gradient_clip: Largest norm of the gradient; 0 does not clip.
    """

    optimiser: Literal["sgd", "adam", "adamw"] | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    norm_weight_decay: float | None = None
    bias_weight_decay: float | None = None
    schedule: Literal["constant", "step", "inverse", "cosine", "warm_up_cosine"] | None = None
    decay_factor: float | None = None
    decay_steps: int | None = None
    inverse_decay: float | None = None
    warm_up: float | None = None
    final_learning_rate: float | None = None
    average_decay: float | None = None
    gradient_clip: float | None = None


@dataclass(frozen=True)
class AugmentationOptions:
    """How frames are changed at random.

    Attributes:
        augmentation: What to begin with: full (for recorded frames), rendered (only what the renderer lacks), paper or
            none; by default what suits preset and data. The options below change it.
        flip: Probability of a mirrored frame.
        warp: Probability of a rotation, zoom and shift.
        rotation_deg: Largest rotation to either side.
        scale_low: Smallest zoom.
        scale_high: Largest zoom.
        shift: Largest shift as a part of width and height.
        noise: Probability of Gaussian noise.
        noise_mm: Its largest standard deviation.
        holes: Probability of holes.
        hole_count: Most holes in a frame.
        hole_radius: Largest radius of a hole as a part of the width.
        cut_far: Probability that everything beyond a random distance behind the nearest foreground is lost.
        distance: Probability of moving the scene along the optical axis.
        distance_mm: Largest move to either side.
    """

    augmentation: Literal["full", "rendered", "paper", "none"] | None = None
    flip: float | None = None
    warp: float | None = None
    rotation_deg: float | None = None
    scale_low: float | None = None
    scale_high: float | None = None
    shift: float | None = None
    noise: float | None = None
    noise_mm: float | None = None
    holes: float | None = None
    hole_count: int | None = None
    hole_radius: float | None = None
    cut_far: float | None = None
    distance: float | None = None
    distance_mm: float | None = None


def given(options: Any, part: type[Any], *leave_out: str) -> dict[str, Any]:
    """The fields of one part that are set.

    Args:
        options: has the fields of the part.
        part: one of the classes above.
        leave_out: names of fields that are not asked for.
    """
    found = {field.name: getattr(options, field.name) for field in fields(part) if field.name not in leave_out}
    return {name: value for name, value in found.items() if value is not None and value != ()}
