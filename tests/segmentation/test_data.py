"""Training items against what the network is given in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.working_scale import WorkingScale, adjacent_pixels, axis_sampling, sample_depth, working_size
from graspcut.segmentation.data import WorkingTarget, segmentation_target
from graspcut.segmentation.graph import SegmentationGraph
from graspcut.segmentation.models import DenseAttentionSmall, DenseAttentionSmallConfig
from graspcut.train.samples import DEPTH, LABELS, Map, Sample
from graspcut.train.streams import as_tensors, stacked
from tests.mini_network import mini_config, randomise_batch_norms, scene_mm

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:DeprecationWarning")


@dataclass
class Seen:
    """What a network was called with."""

    inputs: list[tuple[Tensor, ...]] = field(default_factory=list)


class Core(nn.Module):
    """Remembers what it is given."""

    takes_neighbours = True

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, depth_mm: Tensor, focal_px: Tensor, neighbours_mm: Tensor) -> Tensor:
        self.seen.inputs.append((depth_mm, focal_px, neighbours_mm))
        return torch.cat((depth_mm, depth_mm, depth_mm), dim=1)


def sample(height: int, width: int, focal_px: float) -> Sample:
    depth = scene_mm(height, width)
    labels = np.random.default_rng(0).integers(0, 3, depth.shape, dtype=np.uint8)
    return Sample({"depth_mm": Map(depth, DEPTH), "labels": Map(labels, LABELS)}, focal_px)


@pytest.mark.parametrize(
    ("size", "focal"), [((96, 128), 480.0), ((48, 64), 240.0), ((95, 127), 475.0), ((72, 100), 400.0)]
)
def test_an_item_is_what_the_network_gets_in_use(size: tuple[int, int], focal: float) -> None:
    taken = sample(*size, focal)
    seen = Seen()
    depth = torch.from_numpy(taken["depth_mm"]).reshape(1, 1, *size)
    WorkingScale(Core(seen), 240.0)(depth, torch.tensor([focal]))
    (expected,) = seen.inputs
    height, width = expected[0].shape[-2:]
    # A picture without room to move in has its item where the network's picture is: in the corner.
    item = WorkingTarget(240.0, (width, height), neighbours=True)(taken, _Corner())  # type: ignore[arg-type]
    np.testing.assert_array_equal(item.depth_mm, expected[0][0].numpy())
    np.testing.assert_array_equal(item.neighbours_mm, expected[2][0].numpy())
    assert item.focal_px == pytest.approx(float(expected[1][0]), rel=1e-5)


class _Corner:
    """A generator that always draws the smallest number."""

    def integers(self, _: int) -> int:
        return 0


def test_with_every_second_pixel_taken_all_pixels_are_seen() -> None:
    taken = sample(64, 96, 480.0)
    item = WorkingTarget(240.0, (48, 32), neighbours=True)(taken, np.random.default_rng(0))
    shown = np.sort(np.concatenate([item.depth_mm.ravel(), item.neighbours_mm.ravel()]))
    np.testing.assert_array_equal(shown, np.sort(taken["depth_mm"].ravel()))


def test_larger_pictures_are_cut_and_smaller_ones_lie_in_nothing() -> None:
    taken = sample(96, 128, 480.0)
    found = set()
    for seed in range(8):
        item = WorkingTarget(240.0, (32, 32))(taken, np.random.default_rng(seed))
        assert item.depth_mm.shape == (1, 32, 32) and item.labels.shape == (32, 32) and item.neighbours_mm is None
        found.add(item.depth_mm.tobytes())
    assert len(found) > 4
    item = WorkingTarget(240.0, (96, 80))(taken, np.random.default_rng(1))
    outside = item.labels == 255
    assert outside.sum() == 96 * 80 - 64 * 48 and not item.depth_mm[0][outside].any()
    batch = as_tensors(stacked([item, item]))
    assert batch.inputs == (batch.depth_mm, batch.focal_px)
    assert as_tensors(stacked([segmentation_target(taken, np.random.default_rng(0))])).inputs[0].shape == (
        1,
        1,
        96,
        128,
    )


def network(**changes: Any) -> DenseAttentionSmall:
    torch.manual_seed(0)
    config = DenseAttentionSmallConfig(**{**vars(mini_config()), "neighbours": True, **changes})
    made = DenseAttentionSmall(config)
    randomise_batch_norms(made)
    return made.eval()


def test_an_item_of_a_frame_that_grows_has_the_neighbours_of_use() -> None:
    taken = sample(64, 96, 150.0)
    height, width = working_size(64, 96, 150.0, 240.0)
    assert height > 64
    item = WorkingTarget(240.0, (160, 112), neighbours=True)(taken, np.random.default_rng(0))
    rows, columns = (axis_sampling(torch.tensor(a), torch.tensor(b)) for a, b in ((64, height), (96, width)))
    depth = torch.from_numpy(taken["depth_mm"]).reshape(1, 1, 64, 96)
    _, expected = sample_depth(depth, rows, columns)
    known = item.labels != 255
    row, column = (int(np.flatnonzero(known.any(axis=axis))[0]) for axis in (1, 0))
    assert item.neighbours_mm is not None
    found = item.neighbours_mm[:, row : row + height, column : column + width]
    np.testing.assert_array_equal(found, expected[0, :, :height, :width].numpy())


def test_neighbours_change_the_labels_and_are_adjacent_pixels_by_default() -> None:
    made = network()
    depth = torch.from_numpy(scene_mm(48, 64)).reshape(1, 1, 48, 64)
    focal = torch.tensor([240.0])
    with torch.no_grad():
        near, far = made(depth, focal, depth.expand(-1, 3, -1, -1)), made(depth, focal, depth.expand(-1, 3, -1, -1) + 9)
        adjacent = made(depth, focal)
        assert torch.equal(adjacent, made(depth, focal, adjacent_pixels(depth)))
    assert not torch.allclose(near, far)
    moved = adjacent_pixels(depth)[0].numpy()
    row, column = depth[0, 0].numpy()[[0, *range(47)]], np.r_[0, range(63)]
    np.testing.assert_array_equal(moved, [row, depth[0, 0].numpy()[:, column], row[:, column]])
    with pytest.raises(ValueError, match="without the option neighbours"):
        network(neighbours=False)(depth, focal, depth)


@pytest.mark.parametrize(
    ("size", "focal"), [((97, 131), 480.0), ((48, 64), 240.0), ((47, 61), 365.0), ((20, 24), 120.0)]
)
def test_traced_at_one_size_a_graph_with_neighbours_holds_for_all(size: tuple[int, int], focal: float) -> None:
    graph = SegmentationGraph(network()).eval()
    example = torch.from_numpy(scene_mm(96, 128)).unsqueeze(0), torch.tensor([480.0]), torch.ones(1)
    depth = torch.from_numpy(scene_mm(*size)).unsqueeze(0)
    with torch.no_grad():
        traced = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
        labels, probabilities = traced(depth, torch.tensor([focal]), torch.ones(1))
        expected_labels, expected = graph(depth, torch.tensor([focal]))
    assert torch.allclose(probabilities, expected, atol=1e-5)
    assert torch.equal(labels, expected_labels)
