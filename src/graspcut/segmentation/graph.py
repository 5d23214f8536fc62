"""Everything between a raw depth frame and its labels as one graph, the one that is exported and run.

Raw millimetres go in, so preprocessing cannot be forgotten or done wrongly beside an exported file; labels and
probabilities of the frame's own pixels come out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.labels import BACKGROUND
from graspcut.nn.folding import fold_batch_norm, replace_small_deconvolutions
from graspcut.nn.working_scale import WorkingScale
from graspcut.runtime.torch_session import TorchSession

INPUT_NAMES = ("depth_mm", "focal_px")
OUTPUT_NAMES = ("labels", "probabilities")


class SegmentationGraph(nn.Module):
    """Raw depth -> labels and probabilities (see the module).

    Args:
        network: one of `graspcut.segmentation.models`; where its configuration has `working_focal_px`, it runs at that
            scale.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        focal = getattr(getattr(network, "config", None), "working_focal_px", None)
        self.scaled = WorkingScale(network, None if focal is None else float(focal))

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> tuple[Tensor, Tensor]:
        """Segment frames.

        Args:
            depth_mm: (B, H, W) float32 or uint16 millimetres, 0 = no data; any H, W.
            focal_px: (1,) float32, focal length of all frames in pixels.

        Returns:
            labels: (B, H, W) uint8, 0 background, 1 hand, 2 object.
            probabilities: (B, 3, H, W) float32, certain background where there is no depth.
        """
        depth = depth_mm.float().unsqueeze(1)
        return self._labelled(depth, self.scaled(depth, focal_px))

    def prepare(
        self, height: int, width: int, focal_px: float, device: torch.device
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """`forward` for one size and focal length, with everything worked out that depends on them only.

        Args:
            height, width: of the frames in pixels.
            focal_px: their focal length in pixels.
            device: where the frames will be.

        Returns:
            (B, H, W) float32 millimetres -> labels and probabilities; it never waits for a GPU.
        """
        plan = self.scaled.plan(height, width, focal_px, device)
        focal = torch.full((1,), focal_px, device=device)

        def run(depth_mm: Tensor) -> tuple[Tensor, Tensor]:
            depth = depth_mm.unsqueeze(1)
            return self._labelled(depth, self.scaled.run(depth, focal, plan))

        return run

    @staticmethod
    def _labelled(depth: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        valid = (depth > 0).float()
        classes = []
        for label in range(probabilities.shape[1]):
            given = probabilities[:, label : label + 1] * valid
            classes.append(given + (1.0 - valid) if label == BACKGROUND else given)
        # Comparisons instead of argmax: engines fuse them, and their argmax sorts.
        best, labels = classes[0], torch.zeros_like(classes[0])
        for label, given in enumerate(classes[1:], start=1):
            labels = torch.where(given > best, torch.full_like(labels, float(label)), labels)
            best = torch.maximum(best, given)
        return labels[:, 0].to(torch.uint8), torch.cat(classes, dim=1)


def torch_session(
    network: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
) -> TorchSession:
    """A network in PyTorch: batch norms folded, channels last, resampling worked out once for each size.

    Args:
        network: one of `graspcut.segmentation.models`; it is copied.
        device, threads, precision: see `TorchSession`.
    """
    graph = SegmentationGraph(folded(network)).eval()

    def prepare(
        shape: tuple[int, ...], settings: Mapping[str, NDArray[Any]], where: torch.device
    ) -> Callable[[Tensor], tuple[Tensor, ...]]:
        placed = graph.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        found: Callable[[Tensor], tuple[Tensor, ...]] = placed.prepare(
            shape[1], shape[2], float(np.asarray(settings["focal_px"])[0]), where
        )
        return found

    names = (INPUT_NAMES[0], INPUT_NAMES[1:], OUTPUT_NAMES)
    return TorchSession(prepare, names, device=device, precision=precision, threads=threads)


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, that computes the same in fewer operations."""
    was_training = network.training
    example = torch.full((1, 1, 64, 64), 500.0), torch.full((1,), 240.0)
    copied = fold_batch_norm(network.eval(), lambda module: module(*example))
    network.train(was_training)
    replace_small_deconvolutions(copied)
    return copied
