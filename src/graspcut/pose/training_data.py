"""Where the training of hand pose gets its hands from: files, dataset folders or the renderer, and predicted parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.frames.dataset import open_dataset
from graspcut.frames.errors import FrameError
from graspcut.pose.crops import HandCrops, hand_windows, render_crops
from graspcut.pose.data import (
    ALL_VIEWS,
    UPRIGHT_VIEWS,
    CropTarget,
    PoseBatch,
    ViewConfig,
    arrays_of,
)
from graspcut.pose.models import build_model
from graspcut.pose.models.local_contrast import LocalContrast
from graspcut.pose.models.part_network import PartNetwork
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig
from graspcut.synth.sensors.names import SensorName

_HANDS = SceneConfig(room=0.0, nothing=0.0, object_only=0.0, hand_only=0.25, two_hands=0.1, background_none=1.0)
_SENSORS: tuple[SensorName, ...] = ("sr300", "kinect", "sr300", "ideal")
_RENDERED_FILE = "crops.npz"


@dataclass(frozen=True)
class HandData:
    """Which hands are trained on.

    Attributes:
        crops: Files of hand crops (`HandCrops.save`); they and `data` together.
        data: Dataset folders with instances, joints and, for parts, part maps, such as graspcut synth writes.
        render: Hands to render where neither is given; they are kept in the run folder.
        validation: File of hand crops to validate on; by default a twentieth of the hands, at most 500.
        upright: Show right hands, upright and without the arm, as NYU's frames do; by default any view of any hand.
        data_seed: Seed of rendering and views.
        workers: Processes that prepare batches.
    """

    crops: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    render: int = 20_000
    validation: Path | None = None
    upright: bool = False
    data_seed: int = 0
    workers: int = 1

    @property
    def views(self) -> ViewConfig:
        """How cubes are placed."""
        return UPRIGHT_VIEWS if self.upright else ALL_VIEWS


def load_hands(data: HandData, folder: Path, *, arm: bool = False) -> HandCrops:
    """The hands of a training: files, folders, or rendered ones, which are kept in the run's folder.

    Args:
        data: Which.
        folder: The run's.
        arm: Windows with forearms.

    Raises:
        FrameError: If a file or folder cannot be read or has no hands.
    """
    sets = [HandCrops.load(path) for path in data.crops]
    for path in data.data:
        reader = open_dataset(path)
        windows = [window for index in range(len(reader)) for window in hand_windows(reader[index], arm=arm)]
        if not windows:
            raise FrameError(
                f"{path} has no hands with instances and joints; expected frames as graspcut synth writes."
            )
        sets.append(HandCrops.stack(windows))
    if sets:
        return HandCrops.join(sets)
    kept = folder / _RENDERED_FILE
    if not kept.exists():
        cv2.setNumThreads(1)
        folder.mkdir(parents=True, exist_ok=True)
        each = -(-data.render // len(_SENSORS))
        rendered = []
        for number, sensor in enumerate(_SENSORS):
            config = SynthConfig(
                sensor=sensor,
                colour=False,
                window=None if arm else (200, 200),
                scene=_HANDS,
                focal_jitter=0.1,
                cut_background=0.0,
            )
            generator = FrameGenerator(config, seed=data.data_seed * len(_SENSORS) + number)
            rendered.append(render_crops(generator.__getitem__, each, arm=arm))
        HandCrops.join(rendered).save(kept)
    return HandCrops.load(kept)


def split_hands(data: HandData, hands: HandCrops) -> tuple[HandCrops, HandCrops]:
    """Hands to train on and to validate on."""
    if data.validation is not None:
        return hands, HandCrops.load(data.validation)
    held = max(1, min(500, len(hands) // 20))
    if len(hands) <= held:
        raise FrameError(f"{len(hands)} hand(s) are too few to train and validate on; expected at least 2.")
    return hands.subset(slice(0, len(hands) - held)), hands.subset(slice(len(hands) - held, None))


def fixed_batch(hands: HandCrops, views: ViewConfig) -> PoseBatch:
    """All hands in their measuring views."""
    return CropTarget(views, fixed=True)(arrays_of(hands), np.random.default_rng(0))


def load_part_network(name: str | Path) -> PartNetwork:
    """A part network of a model folder, in evaluation mode.

    Raises:
        ValueError: If the folder holds something else.
    """
    config, weights = load_model_folder(name)
    network = build_model(config["model"])
    if not isinstance(network, PartNetwork):
        raise ValueError(
            f"{name} holds a {type(network).__name__}; expected the part network (graspcut train pose-parts)."
        )
    fill_network(network, weights, name)
    return network.eval()


@torch.no_grad()
def predict_parts(
    network: PartNetwork, crops: NDArray[np.floating], *, output_stride: int = 1, batch: int = 16
) -> NDArray[np.uint8]:
    """Parts of crops.

    Args:
        network: The part network.
        crops: (n, 48, 48) of `crop_cube`.
        output_stride: 1, or 2 for a class at every second row and column, repeated.
        batch: Crops at a time.

    Returns:
        (n, 48, 48) uint8, 0 background, 1..20 parts, 21 forearm.
    """
    contrast = LocalContrast()
    out = np.zeros(crops.shape, np.uint8)
    for first in range(0, len(crops), batch):
        some = torch.from_numpy(np.ascontiguousarray(crops[first : first + batch], dtype=np.float32))[:, None]
        found = network(contrast(some), output_stride).argmax(1).to(torch.uint8).numpy() + 1
        found = found.repeat(output_stride, axis=1).repeat(output_stride, axis=2)
        out[first : first + batch] = np.where(crops[first : first + batch] < 1.0, found, 0)
    return out


def joint_samples(
    hands: HandCrops,
    network: PartNetwork | None,
    views: ViewConfig,
    views_per_hand: int,
    seed: int,
    joints: Sequence[int] | None = None,
) -> dict[str, NDArray[Any]]:
    """Views of hands with predicted parts, made once, by name of the fields of `PoseBatch`.

    Args:
        hands: what is seen.
        network: predicts the parts; None leaves them out.
        views: how the cubes lie. Half as many again lie as `views.worse` says, without parts, as where a network is
            asked to place them better.
        views_per_hand: random views of each hand; 0 makes one view for measuring.
        seed: of all draws.
        joints: which joints; None takes all.
    """
    rng = np.random.default_rng([seed, 77])
    target = CropTarget(views, fixed=views_per_hand == 0)
    batches = [target(arrays_of(hands), rng) for _ in range(max(1, views_per_hand))]
    crops = np.concatenate([batch.crop for batch in batches])
    # The fast output: what the joint network is used with, and its masks are coarser still.
    parts = np.zeros(crops.shape, np.uint8) if network is None else predict_parts(network, crops, output_stride=2)
    if views.worse is not None and views_per_hand > 0:
        badly = CropTarget(views.worse)
        batches += [badly(arrays_of(hands.at_knuckles()), rng) for _ in range((views_per_hand + 1) // 2)]
        crops = np.concatenate([batch.crop for batch in batches])
        parts = np.concatenate([parts, np.zeros((len(crops) - len(parts), *parts.shape[1:]), np.uint8)])
    if joints is not None:
        taken = list(joints)
        batches = [batch._replace(joints=batch.joints[:, taken], visible=batch.visible[:, taken]) for batch in batches]
    return {
        "crop": crops.astype(np.float16),
        "parts": parts,
        **{
            name: np.concatenate([getattr(batch, name) for batch in batches]) for name in ("joints", "visible", "right")
        },
    }


def dictionary_images(hands: HandCrops, views: ViewConfig, views_per_hand: int, seed: int) -> NDArray[np.uint8]:
    """Part maps (n, 48, 48) of random views of hands, without forearms, for a `PatchDictionary`."""
    rng = np.random.default_rng([seed, 92])
    target = CropTarget(dataclasses.replace(views, forearm=False, mask_errors=0.0))
    return np.concatenate([target(arrays_of(hands), rng).parts for _ in range(views_per_hand)])
