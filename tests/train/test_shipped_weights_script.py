"""The script that trains the shipped weights: a network that grows begins as the one it grew from."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.hand_mesh import extracted
from benchmarks.operating_point import with_odds
from benchmarks.train_shipped_weights import (
    NETWORK,
    PLAN,
    NearerFrames,
    grown,
    phase_config,
    rendered,
    views_of,
)

from graspcut.nn.fetching import FetchError
from graspcut.runtime.model_folder import ModelFolderError, save_model_folder
from graspcut.segmentation.models import DenseAttentionSmall, DenseAttentionSmallConfig, model_config
from graspcut.synth.generator import FrameGenerator
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import View, as_tensors
from tests.mini_network import randomise_batch_norms, scene_mm
from tests.synth.skinned_file import write_hand


def stored(folder: Path, config: DenseAttentionSmallConfig) -> DenseAttentionSmall:
    """A network of this configuration, saved in a model folder."""
    torch.manual_seed(0)
    network = DenseAttentionSmall(config)
    randomise_batch_norms(network)
    network.half().float()
    save_model_folder(folder, {"task": "segmentation", "model": model_config(network)}, network.state_dict(), "")
    return network.eval()


def with_blocks(more: int) -> DenseAttentionSmallConfig:
    """The script's network with more, or fewer, residual blocks a level."""
    one, two, three, four, five = (max(0, count + more) for count in NETWORK.blocks)
    return dataclasses.replace(NETWORK, blocks=(one, two, three, four, five), neighbours=False)


@pytest.mark.parametrize("fewer", [1, 2])
def test_new_blocks_add_nothing_at_first_and_can_be_trained(fewer: int, tmp_path: Path) -> None:
    old = stored(tmp_path / "old", with_blocks(-fewer))
    new = grown(tmp_path / "old")
    assert isinstance(new, DenseAttentionSmall) and new.config == NETWORK
    assert len(list(new.parameters())) > len(list(old.parameters()))
    depth, focal = torch.from_numpy(scene_mm(48, 64)).reshape(1, 1, 48, 64), torch.tensor([240.0])
    near = torch.from_numpy(np.stack([scene_mm(48, 64, seed) for seed in (1, 2, 3)])).unsqueeze(0)
    with torch.no_grad():
        assert torch.allclose(new.eval()(depth, focal, near), old(depth, focal), atol=1e-4)
    names = {name for name, _ in old.named_parameters()}
    added = {name: value for name, value in new.named_parameters() if name not in names}
    logits = new.train()(depth.expand(2, -1, -1, -1), focal.expand(2), near.expand(2, -1, -1, -1))
    logits.square().mean().backward()
    stem = new.get_parameter("encoder.levels.0.0.0.weight")
    assert not stem[:, 6:].any() and stem.grad is not None and stem.grad[:, 6:].any()
    scales = [value for name, value in added.items() if name.endswith(".norm.weight")]
    assert scales and all(scale.grad is not None and scale.grad.any() for scale in scales)


def test_a_network_that_differs_in_more_is_refused(tmp_path: Path) -> None:
    stored(tmp_path / "wide", dataclasses.replace(NETWORK, squeeze_width=20, neighbours=False))
    with pytest.raises(ModelFolderError, match="wrong shape"):
        grown(tmp_path / "wide")
    stored(tmp_path / "long", with_blocks(1))
    with pytest.raises(ModelFolderError, match="unexpected"):
        grown(tmp_path / "long")


def test_every_phase_has_views_whose_items_the_network_takes() -> None:
    assert sum(phase.steps for phase in PLAN) * 16 >= 2_000_000
    for phase in PLAN:
        assert sum(view.probability for view in views_of(phase, 16, 1)) == pytest.approx(1.0)
        assert phase_config(phase).steps == phase.steps
    sizes = set()
    for view in views_of(PLAN[0], 2, 1)[:5]:
        batch = as_tensors(view.batch(0, 0))
        count, _, height, width = batch.depth_mm.shape
        sizes.add((width, height))
        assert count == view.batch_size and batch.neighbours_mm.shape == (count, 3, height, width)
        assert batch.labels.shape == (count, height, width)
    assert sizes == {(320, 240), (128, 128), (176, 144)}


def test_closer_looks_are_taken_at_the_scale_of_the_network() -> None:
    nearer, whole = (rendered((640, 480), None, "v1", 5, nearer) for nearer in (True, False))
    closer = 0
    for index in range(4):
        look, frame = nearer.sample(index), whole.sample(index)
        zoom = frame.size[1] / look.size[1]
        assert look.focal_px == pytest.approx(frame.focal_px / zoom)
        closer += zoom > 1
        if zoom > 1:
            is_found = [np.isin(sample["labels"], (1, 2)) & (sample["depth_mm"] > 0) for sample in (look, frame)]
            assert np.count_nonzero(is_found[0]) > 0.9 * np.count_nonzero(is_found[1])
    assert closer > 0


def hand_meshes_of(views: list[View]) -> dict[str, set[tuple[str | None, float]]]:
    """For each version of the renderer, the mesh that hands are drawn with, and how many."""
    found: dict[str, set[tuple[str | None, float]]] = {}
    for view in views:
        assert isinstance(view.samples, RenderedSamples)
        frames = view.samples.frames
        frames = frames.frames if isinstance(frames, NearerFrames) else frames
        assert isinstance(frames, FrameGenerator)
        synth = frames.config
        found.setdefault(synth.profile, set()).add((synth.hand_mesh, synth.scene.own_hand))
    return found


def test_later_phases_draw_half_of_the_second_versions_hands_with_a_mesh(tmp_path: Path) -> None:
    write_hand(tmp_path / "hand.glb")
    path = str(tmp_path / "hand.glb")
    phase = next(phase for phase in PLAN if phase.mesh_share > 0)
    views = views_of(phase, 2, 1, tmp_path / "hand.glb")
    found = hand_meshes_of(views)
    assert found["v2"] == {(path, 0.5)} and {mesh for mesh, _ in found["v1"]} == {None}
    assert {mesh for meshes in hand_meshes_of(views_of(PLAN[0], 2, 1)).values() for mesh, _ in meshes} == {None}
    batch = as_tensors(views[0].batch(0, 0))
    assert batch.labels.shape[0] == views[0].batch_size


@pytest.mark.parametrize("name", ["package/dist/profiles/generic-hand/right.glb", "package/other.glb"])
def test_another_archive_than_the_known_one_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "assets.tgz"
    with tarfile.open(path, "w:gz") as files:
        member = tarfile.TarInfo(name)
        member.size = 4
        files.addfile(member, io.BytesIO(b"mesh"))
    with pytest.raises(FetchError, match=r"not the known file|no archive with"):
        extracted(path)


def test_the_odds_of_background_and_object_are_multiplied(tmp_path: Path) -> None:
    network = stored(tmp_path / "old", NETWORK)
    depth, focal = torch.from_numpy(scene_mm(48, 64)).reshape(1, 1, 48, 64), torch.tensor([240.0])

    def odds() -> torch.Tensor:
        with torch.no_grad():
            found = torch.softmax(network(depth, focal), dim=1)
        return found[:, :1] / found[:, 1:]  # of background against hand and object

    before = odds()
    with_odds(network, 2.0)
    assert torch.allclose(odds(), 2 * before, rtol=1e-3)
    with_odds(network, 0.5, held=2.0)
    after = odds()
    assert torch.allclose(after[:, :1], before[:, :1], rtol=1e-3)
    assert torch.allclose(after[:, 1:], before[:, 1:] / 2, rtol=1e-3)
