"""From millimetres to masks: the graph on every engine, the predictor, its result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import graspcut
from graspcut.catalogue import method_of_model
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.instances.coco import decode_mask
from graspcut.instances.graph import InstanceGraph
from graspcut.instances.models import InstanceFCN, InstanceFCNConfig
from graspcut.instances.predictor import InstanceProposer, geometry_of, inputs_of, pyramid_of
from graspcut.instances.proposing import ProposalConfig
from graspcut.instances.result import InstanceProposals, distinct_instances, draw_instances, instance_colours
from graspcut.instances.scoring import score_windows
from graspcut.runtime import export
from graspcut.runtime.model_folder import find_model_folder
from tests.instances.made_frames import made_frame
from tests.instances.mini_proposer import mini_network, save_mini_folder, scene_mm


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_SIZES", ((57, 41),))
        for engine in ("onnx_session", "openvino_session"):
            patch.setattr(f"graspcut.runtime.{engine}.usable_cores", lambda: 1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an exported graph."""
    made = save_mini_folder(tmp_path_factory.mktemp("model") / "mini")
    method = method_of_model(made)
    assert method.task == "instances"
    export.export_model(method, made, made, form="onnx", precision="fp32")
    return made


@pytest.fixture(scope="module")
def reference() -> InstanceProposer:
    return InstanceProposer.from_network(mini_network(), device="cpu")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "pytorch"])
@pytest.mark.parametrize("size", [(57, 41), (60, 80), (120, 161)])
def test_engines_agree(folder: Path, reference: InstanceProposer, backend: str, size: tuple[int, int]) -> None:
    proposer = InstanceProposer.load(folder, backend=backend)
    depth = np.stack([scene_mm(*size, seed) for seed in range(2)])
    expected, found = (each.run(inputs_of(depth, 60.0)) for each in (reference, proposer))
    for name, value in expected.items():
        assert found[name].shape == value.shape
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-3 * np.abs(value).max())


def test_int8_stores_the_weights_once_for_all_scales(folder: Path, reference: InstanceProposer, tmp_path: Path) -> None:
    frames = [made_frame(seed, 80, 60) for seed in range(8)]
    method = method_of_model(folder)
    report = export.export_model(method, folder, tmp_path, precision="int8", samples=frames, largest_loss=100.0)
    assert report.score_name == "AR@100" and report.exact_score is not None and report.int8_score is not None
    stored = onnx.load(report.path).graph
    weights = [
        entry for entry in stored.initializer if entry.data_type == onnx.TensorProto.INT8 and len(entry.dims) == 4
    ]
    convolutions = [part for part in mini_network().modules() if isinstance(part, torch.nn.Conv2d)]
    assert len(weights) == len(convolutions)
    assert sum(node.op_type == "Conv" for node in stored.node) >= 2 * len(convolutions)  # at two scales
    depth = scene_mm(60, 80)
    inputs = inputs_of(depth[None], 60.0)
    exact, rounded = (each.run(inputs) for each in (reference, InstanceProposer.load(report.path)))
    for name in ("score_maps", "objectness"):
        assert np.corrcoef(exact[name].ravel(), rounded[name].ravel())[0, 1] > 0.98


def test_the_graph_is_the_network_over_the_pyramid() -> None:
    network = mini_network()
    depth = scene_mm(61, 83, 3)
    outputs = InstanceProposer.from_network(network, device="cpu").run(inputs_of(depth[None], 62.0))
    geometry = geometry_of(outputs["levels"])
    assert geometry == network.config.geometry
    found = pyramid_of(outputs["score_maps"][0], outputs["objectness"][0], outputs["levels"], depth.shape, geometry)
    expected = score_windows(network, depth[..., None], 62.0)
    for one, other in zip(found, expected, strict=True):
        assert one.scale == other.scale
        np.testing.assert_allclose(one.objectness, other.objectness, rtol=1e-3, atol=1e-4)
        centres = np.array([[0, 0], [3, 5]])
        np.testing.assert_allclose(one.masks_at(centres), other.masks_at(centres), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="colour"), torch.device("meta"):
        InstanceGraph(InstanceFCN(InstanceFCNConfig(inputs="colour")))


def test_proposals_of_a_frame(reference: InstanceProposer) -> None:
    depth = scene_mm(60, 80, 1)
    reference.settings = ProposalConfig(most=9)
    result = reference(Frame(depth, Camera.from_focal_length(80, 60, 60.0)))
    assert 0 < len(result) <= 9 and result.masks.shape == (len(result), 60, 80)
    assert (np.diff(result.scores) <= 0).all() and result.camera is not None
    for mask, (x0, y0, x1, y1) in zip(result.masks, result.boxes, strict=True):
        assert mask[y0:y1, x0:x1].sum() == mask.sum() > 0
    whole = reference(depth.astype(np.uint16))
    np.testing.assert_array_equal(whole.masks, reference(depth).masks)
    with pytest.raises(FrameError, match="same size"):
        reference(depth, Camera.from_focal_length(90, 60, 60.0))
    reference.warm_up((64, 48))


def test_a_shipped_file_opens_by_name_only_where_it_is(folder: Path) -> None:
    assert graspcut.InstanceProposer is InstanceProposer
    proposer = InstanceProposer.load(folder)
    assert proposer.digest and proposer.config["task"] == "instances"
    with pytest.raises(ValueError, match="instances"):
        graspcut.Segmenter.load(folder)


def test_result_is_saved_and_drawn(tmp_path: Path) -> None:
    depth = scene_mm(60, 80, 1)
    masks = np.zeros((3, 60, 80), bool)
    masks[0, 10:30, 10:30], masks[1, 11:30, 10:30], masks[2, 20:50, 40:70] = True, True, True
    result = InstanceProposals(
        masks, np.array([0.9, 0.8, 0.7], np.float32), depth, Camera.from_focal_length(80, 60, 60)
    )
    result.save(tmp_path / "frame.npz")
    again = InstanceProposals.load(tmp_path / "frame.npz")
    np.testing.assert_array_equal(again.masks, masks)
    np.testing.assert_array_equal(again.scores, result.scores)
    assert again.camera == result.camera
    ids = result.instance_map()
    # The second is the first once more.
    assert np.unique(ids).tolist() == [0, 1, 2] and (ids == 1).sum() == 400 and (ids == 2).sum() == 900
    assert np.unique(result.instance_map(0.85)).tolist() == [0, 1]
    assert result.draw().shape == (60, 80, 3)
    entries = result.coco_entries(7, 2)
    assert json.loads(json.dumps(entries))[2]["bbox"] == [40, 20, 30, 30]
    np.testing.assert_array_equal(decode_mask(entries[2]["segmentation"]), masks[2])
    with pytest.raises(FrameError, match="belong"):
        dataclasses.replace(result, scores=result.scores[:2])
    (tmp_path / "bad.npz").write_bytes(b"x")
    with pytest.raises(FrameError, match="saved proposals"):
        InstanceProposals.load(tmp_path / "bad.npz")


def test_things_without_depth_are_nothing() -> None:
    masks = np.ones((1, 20, 20), bool)
    depth = np.full((20, 20), 500.0, np.float32)
    depth[:, :15] = 0
    ids = distinct_instances(masks, np.array([0.9]), depth)
    assert (ids > 0).sum() == 100 and not ids[:, :15].any()
    assert not distinct_instances(masks, np.array([0.9]), depth, smallest_px=101).any()
    colours = instance_colours()
    assert colours[0].tolist() == [0, 0, 0] and len({tuple(colour) for colour in colours[:20].tolist()}) == 20
    assert draw_instances(depth, ids).dtype == np.uint8


def test_the_shipped_network_finds_what_is_plain_to_see() -> None:
    """Two balls before a wall, without torch's network: the shipped graph, from millimetres to ids."""
    proposer = InstanceProposer.load(threads=1)
    rows, columns = np.mgrid[:240, :320]
    depth = np.full((240, 320), 900.0, np.float32)
    truth = [np.hypot(rows - 110, columns - x) < 32 for x in (100, 220)]
    for mask in truth:
        depth[mask] = 500
    found = proposer(depth, Camera.sr300(320, 240))
    for mask in truth:
        overlaps = (found.masks & mask).sum(axis=(1, 2)) / (found.masks | mask).sum(axis=(1, 2))
        assert overlaps[:10].max() > 0.7
    folder = find_model_folder(InstanceProposer.default_model)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8_000_000
    graph = onnx.load(folder / "model.onnx").graph
    assert max(len(name) for node in graph.node if node.op_type != "Cast" for name in node.output) < 16
    assert "network.heads.masks.0.weight_half" in {entry.name for entry in graph.initializer}
