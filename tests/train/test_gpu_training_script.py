"""Training the shipped weights on a GPU, `benchmarks/train_on_gpu.py`, as far as a processor shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.train_on_gpu import MEDIUM, STORED, Store, Trainee, averaged_weights, recipe, stored, widened
from benchmarks.train_shipped_weights import NETWORK
from safetensors.torch import save_file

from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmall
from tests.mini_network import randomise_batch_norms


def item(seed: int) -> SegmentationBatch:
    """Depth that tells row and column, a hand and an object."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:240, :320]
    depth = (300 + seed + rows + columns / 4).astype(np.float32)
    labels = np.zeros((240, 320), np.uint8)
    top, left = rng.integers(0, 150, 2)
    labels[top : top + 60, left : left + 60] = HAND
    labels[top : top + 20, left : left + 20] = OBJECT
    neighbours = np.stack([depth - 1, depth - 0.25, depth - 1.25])
    return SegmentationBatch(depth[np.newaxis], np.float32(240), labels, neighbours)


def filled(count: int) -> Store:
    store = Store(count, torch.device("cpu"))
    records = np.stack([stored(item(seed), np.random.default_rng(seed)) for seed in range(count)])
    store._bytes[:] = torch.from_numpy(records.view(np.uint8).reshape(count, STORED.itemsize))
    store.rendered = count // 2  # the others are not there yet
    return store


def test_a_wider_network_begins_as_the_one_it_grew_from() -> None:
    torch.manual_seed(0)
    small = DenseAttentionSmall(NETWORK).eval()
    randomise_batch_norms(small)
    medium = widened(small, MEDIUM).eval()
    depth, focal = torch.rand(1, 1, 96, 128) * 300 + 300, torch.tensor([240.0])
    with torch.no_grad():
        assert torch.allclose(medium(depth, focal), small(depth, focal), atol=1e-4)
    assert sum(value.numel() for value in medium.parameters()) > 2 * sum(value.numel() for value in small.parameters())


def test_frames_come_out_of_the_store_as_they_went_in() -> None:
    batch = filled(8).frames(16)
    for depth, neighbours, labels in zip(batch.depth_mm, batch.neighbours_mm, batch.labels, strict=True):
        seed = int(depth[0, 0, 0]) - 300
        given = item(seed)
        assert 0 <= seed < 4
        assert np.array_equal(depth.numpy(), given.depth_mm) and np.array_equal(neighbours.numpy(), given.neighbours_mm)
        assert np.array_equal(labels.numpy(), given.labels)
    assert batch.focal_px.tolist() == [240.0] * 16


def test_windows_are_parts_of_frames_around_hands_and_objects() -> None:
    batch = filled(8).windows(64)
    assert batch.depth_mm.shape == (64, 1, 128, 128) and batch.neighbours_mm.shape == (64, 3, 128, 128)
    assert torch.equal(batch.neighbours_mm[:, 0], batch.depth_mm[:, 0] - 1)
    for depth, labels in zip(batch.depth_mm[:, 0].numpy(), batch.labels.numpy(), strict=True):
        assert np.allclose(np.diff(depth, axis=0), 1) and np.allclose(np.diff(depth, axis=1), 0.25)
        fits = []
        for seed in range(4):
            place = depth[0, 0] - 300 - seed
            rows = np.arange(113)
            columns = np.round(4 * (place - rows)).astype(int)
            inside = (columns >= 0) & (columns <= 192)
            whole = item(seed).labels
            fits += [
                np.array_equal(whole[row : row + 128, column : column + 128], labels)
                for row, column in zip(rows[inside], columns[inside], strict=True)
            ]
        assert any(fits)
    shares = [float((batch.labels == label).flatten(1).any(1).float().mean()) for label in (HAND, OBJECT)]
    assert shares[0] > 0.8 and shares[1] > 0.5


def test_a_step_lowers_the_loss_and_moves_the_averaged_weights_less() -> None:
    torch.manual_seed(0)
    network = DenseAttentionSmall(NETWORK)
    trainee = Trainee(network, recipe(2e-3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    store = filled(4)
    batches = (store.frames(1), store.windows(2))
    losses = [float(trainee.step(batches, progress)) for progress in (0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 1.0)]
    assert losses[4] < losses[0] and losses[5] > losses[4], "the contour loss comes in the last part"
    name = "decoder.classify.weight"
    moved, averaged = network.state_dict()[name], trainee.average.module.state_dict()[name]
    assert 0 < float((averaged - before[name]).norm()) < float((moved - before[name]).norm())


def test_weights_of_several_runs_count_alike(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        save_file({"a": torch.full((2,), 3.0**number)}, folder / "small-1-of-2.safetensors")
        save_file({"b": torch.tensor([number])}, folder / "small-2-of-2.safetensors")
    mean = averaged_weights(folders, "small")
    assert mean["a"].tolist() == pytest.approx([13 / 3] * 2) and mean["b"].tolist() == [2]
    assert averaged_weights(folders[:1], "small")["a"].tolist() == [1, 1]
    with pytest.raises(FileNotFoundError, match="medium"):
        averaged_weights(folders, "medium")
