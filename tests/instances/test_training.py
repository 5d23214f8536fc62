"""Items, the task and the recipe on tiny frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graspcut.frames.dataset import DatasetReader
from graspcut.instances.data import CropBatch, CropItems, FocusedItems, WindowBatch, WindowItems
from graspcut.instances.models import DeepMask, InstanceFCNSmall, InstanceFCNSmallConfig, build_model, model_config
from graspcut.instances.targets import POSITIVE, label_windows
from graspcut.instances.task import InstanceTask, TaskConfig, crop_place
from graspcut.instances.training import begin_encoder, train_instances
from graspcut.instances.training_options import InstanceTraining
from graspcut.instances.windows import Scale, WindowGeometry
from graspcut.runtime.model_folder import fill_network, load_model_folder
from graspcut.train.samples import Sample, sample_of
from graspcut.train.sources import FolderSamples
from graspcut.train.streams import View, as_tensors
from graspcut.train.trainer import RunConfig
from tests.instances.made_frames import made_dataset, made_frame
from tests.instances.test_models import TINY, TINY_DEEPMASK

GEOMETRY = WindowGeometry(4, 21, 1.5, (40, 60, 90))


def made_sample(seed: int) -> Sample:
    return sample_of(made_frame(seed), ("depth_mm", "instances"))


@pytest.mark.parametrize(
    "items", [WindowItems(GEOMETRY, 90, windows=32, smallest_px=20), FocusedItems(GEOMETRY, 96, 72, windows=32)]
)
def test_windows_lie_where_their_masks_are(items: WindowItems | FocusedItems) -> None:
    positives = 0
    for seed in range(8):
        batch = items(made_sample(seed), np.random.default_rng(seed))
        assert batch.image.dtype == np.float32 and batch.image.ndim == 3
        again = items(made_sample(seed), np.random.default_rng(seed))
        np.testing.assert_array_equal(batch.centres, again.centres)
        for centre, objectness, mask in zip(batch.centres, batch.objectness, batch.masks, strict=False):
            if objectness != 1:
                continue
            positives += 1
            # The disc is nearer than the wall: the target says where, in cells around the centre.
            rows, columns = np.nonzero(mask)
            y = int(np.clip(4 * (centre[0] + np.median(rows) - 10) + 1, 0, batch.image.shape[1] - 1))
            x = int(np.clip(4 * (centre[1] + np.median(columns) - 10) + 1, 0, batch.image.shape[2] - 1))
            assert batch.image[0, y, x] < 700
            assert mask.any(axis=0).sum() <= 20
    assert positives > 10


def test_focus_finds_objects_of_every_size() -> None:
    geometry = WindowGeometry(4, 21, 1.5, (40, 300))
    items = FocusedItems(geometry, 96, 72, windows=32, focus=1.0, smallest_px=20)
    found = [bool((items(made_sample(seed), np.random.default_rng(1)).objectness == 1).any()) for seed in range(12)]
    assert np.mean(found) > 0.7


@pytest.mark.parametrize("network", ["deepmask", "fcn"])
def test_crops_are_the_windows_of_the_pyramid(network: str) -> None:
    config: Any = TINY_DEEPMASK if network == "deepmask" else InstanceFCNSmallConfig(**TINY)
    side, centre = crop_place(config)
    items = CropItems(config.geometry, side, centre, smallest_px=20)
    assert side == 112
    kinds = []
    for seed in range(16):
        crop = items(made_sample(seed), np.random.default_rng(seed))
        kinds.append(float(crop.objectness))
        assert crop.image.shape == (1, side, side) and crop.masks.shape == (config.geometry.cells,) * 2
        assert crop.masks.any() == bool(crop.objectness)
        if crop.objectness:
            # What the mask calls the object is nearer than the wall.
            half = config.geometry.window_px / 2 - 0.5
            rows, columns = np.nonzero(crop.masks)
            cell = config.geometry.window_px / config.geometry.cells
            y = int(centre - half + cell * (np.median(rows) + 0.5))
            x = int(centre - half + cell * (np.median(columns) + 0.5))
            assert 0 < crop.image[0, y, x] < 700
    assert 0.2 < np.mean(kinds) < 0.8


def test_the_crop_and_the_whole_image_agree_on_the_window() -> None:
    """The crop-trained InstanceFCN asks for cell 14 of its crop: that must be the window the item is about."""
    config = InstanceFCNSmallConfig(**TINY)
    side, centre = crop_place(config)
    assert centre == config.geometry.first_centre_px + 14 * config.stride and side // config.stride == 28
    labels = label_windows(np.array([[32.0, 32, 80, 80]]), Scale(side, side, side, side), config.geometry)
    assert labels.kind[14, 14] == POSITIVE


def tensors(items: list[Any]) -> Any:
    kind = type(items[0])
    return as_tensors(kind(*(np.stack(parts) for parts in zip(*items, strict=True))))


@pytest.mark.parametrize("kind", ["windows", "crops", "fcn crops"])
def test_one_batch_can_be_learned(kind: str) -> None:
    torch.manual_seed(0)
    network: Any = DeepMask(TINY_DEEPMASK) if kind == "crops" else InstanceFCNSmall(InstanceFCNSmallConfig(**TINY))
    if kind == "windows":
        maker: Any = FocusedItems(network.config.geometry, 96, 72, windows=64, focus=1.0, smallest_px=20)
    else:
        maker = CropItems(network.config.geometry, *crop_place(network.config), smallest_px=20)
    rng = np.random.default_rng(0)
    batch = tensors([maker(made_sample(seed), rng) for seed in range(4)])
    assert isinstance(batch, WindowBatch if kind == "windows" else CropBatch)
    task = InstanceTask(model_config(network), TaskConfig.quick(10), network)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for step in range(25):
        terms = task.loss_terms(batch, step)
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
    counts = {name: np.asarray(float(value)) for name, value in task.counts(batch).items()}
    scores = task.scores(counts)
    assert 0 <= scores["positive_accuracy"] <= 1 and counts["positive"] + counts["negative"] > 0


def test_padding_windows_change_nothing() -> None:
    items = WindowItems(GEOMETRY, 40, windows=8, smallest_px=20)
    batch = items(made_sample(1), np.random.default_rng(0))
    more = batch._replace(
        centres=np.concatenate([batch.centres, np.full((8, 2), 3)]),
        objectness=np.concatenate([batch.objectness, np.full(8, -1, np.float32)]),
        masks=np.concatenate([batch.masks, np.ones((4, 21, 21), np.uint8)]),
    )
    network = InstanceFCNSmall(InstanceFCNSmallConfig(**TINY)).eval()
    task = InstanceTask(model_config(network), TaskConfig.quick(10), network)
    plain, padded = (task.loss_terms(tensors([entry]), 0) for entry in (batch, more))
    for name in plain:
        torch.testing.assert_close(plain[name], padded[name])


def test_the_schedule_of_the_paper() -> None:
    optimisation = TaskConfig.paper().optimisation
    rates = [optimisation.learning_rate_at(step) for step in (0, 31_999, 32_000, 39_999)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    assert optimisation.optimiser == "sgd" and optimisation.momentum == 0.9 and optimisation.weight_decay == 5e-4


def test_the_recipe_trains_and_exports(tmp_path: Path) -> None:
    data = made_dataset(tmp_path / "frames", 4)
    training = InstanceTraining(
        steps=2, batch_size=2, data=(data,), validation=data, validation_count=2, workers=0, smallest_px=20
    )
    run = RunConfig(tmp_path / "run", validate_every_steps=2, accelerator="cpu", progress_bar=False)
    result = train_instances(training, run)
    assert result.finished and result.model_folder is not None
    assert {"val/mask_iou", "val/positive_accuracy", "val/negative_accuracy"} <= set(result.metrics)
    config, weights = load_model_folder(result.model_folder)
    network = build_model(config["model"])
    fill_network(network, weights, result.model_folder)
    assert config["task"] == "instances" and config["short_sides"] == [59, 89, 133, 200, 300, 450]
    json.dumps(config)


def test_the_encoder_begins_with_the_segmentation_network(tmp_path: Path) -> None:
    network = InstanceFCNSmall()
    before = network.features.encoder.levels[2][0][0].weight.clone()  # type: ignore[index]
    begin_encoder(network, "none")
    assert torch.equal(before, network.features.encoder.levels[2][0][0].weight)  # type: ignore[index]
    begin_encoder(network, "dense-attention-small")
    assert not torch.equal(before, network.features.encoder.levels[2][0][0].weight)  # type: ignore[index]
    with pytest.raises(ValueError, match="encoder weights"):
        begin_encoder(InstanceFCNSmall(InstanceFCNSmallConfig(**TINY)), "dense-attention-small")


def test_a_batch_has_one_size(tmp_path: Path) -> None:
    reader = DatasetReader(made_dataset(tmp_path / "frames", 4))
    view = View(
        FolderSamples(reader, what=("depth_mm", "instances")),
        WindowItems(GEOMETRY, 60, windows=16, smallest_px=20),
        batch_size=3,
        missing_depth_label=None,
    )
    batch = view.batch(0, seed=0)
    assert batch.image.shape == (3, 1, 60, 80) and batch.masks.shape == (3, 8, 21, 21)
