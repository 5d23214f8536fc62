"""Everything between a raw depth frame and its labels as one graph, the one that is exported and run.

Raw millimetres go in, so preprocessing cannot be forgotten or done wrongly beside an exported file; labels and
probabilities of the frame's own pixels come out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.labels import BACKGROUND
from graspcut.nn.working_scale import WorkingScale

_LARGEST_MM = torch.finfo(torch.float32).max


def with_data(depth_mm: Tensor) -> Tensor:
    """Depth with 0 wherever it is not a number above 0: cameras and robots write NaN and infinity for "no data"."""
    return torch.where((depth_mm > 0) & (depth_mm <= _LARGEST_MM), depth_mm, 0.0)


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

    def forward(self, depth_mm: Tensor, focal_px: Tensor, sensitivity: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Segment frames.

        Args:
            depth_mm: (B, H, W) float32 or uint16 millimetres, 0 = no data; any H, W.
            focal_px: (1,) float32, focal length of all frames in pixels.
            sensitivity: (1,) float32, what the odds of hand and object against background are multiplied by in the
                labels; 1 takes the likeliest class, as does None.

        Returns:
            labels: (B, H, W) uint8, 0 background, 1 hand, 2 object.
            probabilities: (B, 3, H, W) float32, certain background where there is no depth; the network's own,
                whatever the sensitivity.
        """
        depth = with_data(depth_mm.float().unsqueeze(1))
        scale = 1.0 if sensitivity is None else sensitivity.reshape(1, 1, 1, 1)
        return self._labelled(depth, self.scaled(depth, focal_px), scale)

    def prepare(
        self, shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, NDArray[Any]], device: torch.device
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """`forward` for one size, focal length and sensitivity; see `graspcut.runtime.torch_session.Prepare`.

        Returns:
            (B, H, W) float32 millimetres -> labels and probabilities; it never waits for a GPU.
        """
        _, height, width = shapes["depth_mm"]
        focal_px = float(settings["focal_px"][0])
        plan = self.scaled.plan(height, width, focal_px, device)
        focal = torch.full((1,), focal_px, device=device)
        sensitivity = float(settings["sensitivity"][0])

        def run(depth_mm: Tensor) -> tuple[Tensor, Tensor]:
            depth = with_data(depth_mm.unsqueeze(1))
            return self._labelled(depth, self.scaled.run(depth, focal, plan), sensitivity)

        return run

    @staticmethod
    def _labelled(depth: Tensor, probabilities: Tensor, sensitivity: Tensor | float) -> tuple[Tensor, Tensor]:
        valid = (depth > 0).float()
        classes = []
        for label in range(probabilities.shape[1]):
            given = probabilities[:, label : label + 1] * valid
            classes.append(given + (1.0 - valid) if label == BACKGROUND else given)
        # Comparisons instead of argmax: engines fuse them, and their argmax sorts.
        best, labels = classes[0] / sensitivity, torch.zeros_like(classes[0])
        for label, given in enumerate(classes[1:], start=1):
            labels = torch.where(given > best, torch.full_like(labels, float(label)), labels)
            best = torch.maximum(best, given)
        return labels[:, 0].to(torch.uint8), torch.cat(classes, dim=1)
