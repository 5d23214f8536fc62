"""The graph from raw millimetres to labels: what it promises, eager, prepared and traced."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.runtime.contract import BackendError
from graspcut.segmentation.graph import SegmentationGraph
from graspcut.segmentation.predictor import Segmenter, inputs_of
from graspcut.segmentation.result import labels_of
from tests.mini_network import mini_network, scene_mm

SIZES = [((48, 64), 240.0), ((41, 57), 240.0), ((97, 131), 480.0), ((47, 61), 365.0), ((20, 24), 120.0)]


class Fixed(nn.Module):
    """Gives the logits it was made with, whatever it sees; they have the size of the frame."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        return self.logits.expand(depth_mm.shape[0], -1, -1, -1)  # type: ignore[operator]


def frames(size: tuple[int, int], batch: int = 2) -> Tensor:
    """Different frames of one size."""
    return torch.from_numpy(np.stack([scene_mm(*size, seed) for seed in range(batch)]))


@pytest.fixture(scope="module")
def graph() -> SegmentationGraph:
    return SegmentationGraph(mini_network()).eval()


@pytest.mark.parametrize(("size", "focal"), SIZES)
def test_labels_are_the_most_likely_classes_and_missing_depth_is_certain_background(
    graph: SegmentationGraph, size: tuple[int, int], focal: float
) -> None:
    depth = frames(size)
    with torch.no_grad():
        labels, probabilities = graph(depth, torch.tensor([focal]))
        unmasked = graph.scaled(depth.unsqueeze(1), torch.tensor([focal]))
    assert labels.dtype == torch.uint8 and labels.shape == (2, *size)
    assert probabilities.dtype == torch.float32 and probabilities.shape == (2, 3, *size)
    assert torch.equal(labels.long(), probabilities.argmax(dim=1))
    valid = (depth > 0).unsqueeze(1).expand(-1, 3, -1, -1)
    assert torch.equal(probabilities[valid], unmasked[valid])
    certain = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand_as(probabilities)
    assert torch.equal(probabilities[~valid], certain[~valid]) and not valid.all()
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(2, *size), atol=1e-6)
    assert labels[(depth > 0)].unique().numel() > 1


def test_ties_go_to_the_first_class() -> None:
    logits = torch.zeros(1, 3, 16, 16)
    logits[:, 0, :4] = -1.0
    logits[:, 1, 4:8] = -1.0
    logits[:, 2, 8:12] = 1.0
    labels, _ = SegmentationGraph(Fixed(logits))(torch.full((1, 16, 16), 500.0), torch.tensor([240.0]))
    assert labels[0, :, 0].tolist() == [1] * 4 + [0] * 4 + [2] * 4 + [0] * 4


def test_whole_millimetres_of_two_bytes_are_the_same_depth(graph: SegmentationGraph) -> None:
    depth = frames((48, 64)).round()
    with torch.no_grad():
        for found, expected in zip(
            graph(depth.to(torch.uint16), torch.tensor([240.0])), graph(depth, torch.tensor([240.0])), strict=True
        ):
            assert torch.equal(found, expected)


@pytest.mark.parametrize(("size", "focal"), SIZES)
def test_prepared_for_a_size_it_computes_the_same(
    graph: SegmentationGraph, size: tuple[int, int], focal: float
) -> None:
    depth = frames(size, 3)
    settings = {"focal_px": np.array([focal], np.float32), "sensitivity": np.ones(1, np.float32)}
    prepared = graph.prepare({"depth_mm": tuple(depth.shape)}, settings, depth.device)
    with torch.no_grad():
        for found, expected in zip(prepared(depth), graph(depth, torch.tensor([focal])), strict=True):
            assert torch.equal(found, expected)


def test_traced_at_one_size_it_holds_for_all(graph: SegmentationGraph) -> None:
    """Sizes, focal lengths and batch sizes are unlike the example's: smaller, larger, odd, and at the working scale."""
    with torch.no_grad():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns of each branch on a size
            example = torch.full((1, 96, 128), 500.0), torch.tensor([480.0])
            traced = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
        for (size, focal), batch in zip(SIZES, (1, 2, 3, 2, 1), strict=True):
            depth = frames(size, batch)
            labels, probabilities = traced(depth, torch.tensor([focal]))
            expected_labels, expected = graph(depth, torch.tensor([focal]))
            assert torch.allclose(probabilities, expected, atol=1e-5)
            assert torch.equal(labels, expected_labels)


def test_the_session_computes_what_the_graph_does(graph: SegmentationGraph) -> None:
    session = Segmenter.torch_session(mini_network(), device="cpu")
    assert (session.backend, session.device, session.precision, session.parallel_calls) == ("pytorch", "cpu", "fp32", 1)
    for size, focal in (*SIZES, SIZES[0]):
        depth = frames(size)
        found = session.run(inputs_of(depth.numpy(), focal))
        with torch.no_grad():
            labels, probabilities = graph(depth, torch.tensor([focal]))
        np.testing.assert_allclose(found["probabilities"], probabilities.numpy(), atol=1e-4)
        assert np.mean(found["labels"] != labels.numpy()) < 1e-3


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_precisions_that_pytorch_has_not_here_are_refused(precision: str) -> None:
    with pytest.raises(BackendError, match=rf"PyTorch on cpu runs fp32 here, not '{precision}'"):
        Segmenter.torch_session(mini_network(), device="cpu", precision=precision)


def test_what_is_no_number_above_zero_is_no_data(graph: SegmentationGraph) -> None:
    """Robots and cameras write NaN and infinity; one such pixel must not spoil the others."""
    depth = frames((48, 64))
    bad = depth.clone()
    rows, columns = torch.nonzero(depth[0] == 0)[:8].T
    values = torch.tensor([float("nan"), float("inf"), float("-inf"), -1.0, -0.0, float("nan"), float("inf"), -5e30])
    bad[0, rows, columns] = values
    with torch.no_grad():
        for found, expected in zip(graph(bad, torch.tensor([240.0])), graph(depth, torch.tensor([240.0])), strict=True):
            assert torch.equal(found, expected)


def test_sensitivity_moves_the_labels_and_not_the_probabilities() -> None:
    graph = SegmentationGraph(mini_network()).eval()
    depth = torch.from_numpy(scene_mm(48, 64)).unsqueeze(0)
    focal = torch.tensor([240.0])
    with torch.no_grad():
        labels, probabilities = graph(depth, focal)
        for sensitivity in (1.0, 0.2, 4.0):
            found, same = graph(depth, focal, torch.tensor([sensitivity]))
            torch.testing.assert_close(same, probabilities, rtol=0, atol=0)
            weighted = probabilities * torch.tensor([1 / sensitivity, 1.0, 1.0]).reshape(1, 3, 1, 1)
            assert torch.equal(found, weighted.argmax(dim=1).to(torch.uint8))
            assert not found[depth == 0].any()
            np.testing.assert_array_equal(labels_of(probabilities.numpy(), sensitivity), found.numpy())
            settings = {"focal_px": np.array([240.0], np.float32), "sensitivity": np.array([sensitivity], np.float32)}
            prepared = graph.prepare({"depth_mm": tuple(depth.shape)}, settings, torch.device("cpu"))
            assert torch.equal(prepared(depth)[0], found)
            if sensitivity == 1.0:
                assert torch.equal(found, labels)
            else:
                assert ((found > 0).sum() > (labels > 0).sum()) == (sensitivity > 1)
