"""SqueezeNet and dense attention of DenseAttentionSeg (Bo et al., section 4.2, figure 5).

With q_j = SN_j(level_j), all k channels, and R_i the bilinear resize to the size of level i:
    fine_i = product over j < i of R_i(gate(q_j)),  coarse_i = product over j > i of R_i(gate(q_j)).

What the paper leaves open, and the choice:
    - activation: gate = sigmoid for the attention role, ReLU for the skip role s_i of the same SqueezeNet;
    - how attention meets the skip: "gate" s_i (1 + fine_i)(1 + coarse_i), "mul" s_i fine_i coarse_i,
      "concat" [s_i, fine_i, coarse_i], "none" s_i. An empty product is 1; in "gate" its factor is left out,
      so that the first and last level are not doubled;
    - "step by step": every level resized on its own (default), or the running product resized (`recursive`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.blocks import resize_to

ATTENTION_FORMS = ("gate", "mul", "concat", "none")
LEVELS = 6


class SqueezeNet(nn.Module):
    """1x1 convolution, batch norm, ReLU, 3x3 convolution, batch norm: any channels -> k channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(outputs)
        self.spread = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.spread_norm = nn.BatchNorm2d(outputs)

    def forward(self, level: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, k, H, W), not yet activated."""
        reduced = functional.relu(self.reduce_norm(self.reduce(level)), inplace=True)
        squeezed: Tensor = self.spread_norm(self.spread(reduced))
        return squeezed


class DenseAttention(nn.Module):
    """Fine and coarse attention over all levels, and the skips they guide. No parameters.

    Args:
        form: one of `ATTENTION_FORMS`.
        recursive: resize the running product instead of every level.
        antialias: low-pass before reducing (the paper does not say; off).
        levels: n, how many levels there are; 6 in the paper.
    """

    def __init__(
        self, form: str = "gate", *, recursive: bool = False, antialias: bool = False, levels: int = LEVELS
    ) -> None:
        super().__init__()
        if form not in ATTENTION_FORMS:
            raise ValueError(f"unknown attention {form!r}, expected one of {', '.join(ATTENTION_FORMS)}")
        self.form = form
        self.levels = levels
        self.recursive = recursive
        self.antialias = antialias

    def skip_widths(self, squeeze_width: int) -> tuple[int, ...]:
        """Channels of the guided skips, finest level first."""
        if self.form != "concat":
            return (squeeze_width,) * self.levels
        return (2 * squeeze_width, *(3 * squeeze_width,) * (self.levels - 2), 2 * squeeze_width)

    def products(self, gates: Sequence[Tensor]) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Fine and coarse attention of every level; None stands for an empty product.

        Args:
            gates: the levels' gates, finest first, all with k channels.

        Returns:
            fine, coarse: lists of (B, k, H_i, W_i) or None.
        """
        fine = self._gather(gates)
        coarse = self._gather(gates[::-1])[::-1]
        return fine, coarse

    def _gather(self, gates: Sequence[Tensor]) -> list[Tensor | None]:
        """Product of the gates before each one, at its size."""
        gathered: list[Tensor | None] = [None]
        for number in range(1, len(gates)):
            size = gates[number].shape[-2:]
            before = gathered[-1]
            if self.recursive:
                running = gates[number - 1] if before is None else before * gates[number - 1]
                gathered.append(resize_to(running, size, self.antialias))
                continue
            product = resize_to(gates[0], size, self.antialias)
            for gate in gates[1:number]:
                product = product * resize_to(gate, size, self.antialias)
            gathered.append(product)
        return gathered

    def forward(self, squeezed: Sequence[Tensor]) -> list[Tensor]:
        """Guide the skips.

        Args:
            squeezed: SqueezeNet outputs q_1 .. q_n, finest first, each (B, k, H_i, W_i).

        Returns:
            n skips, (B, k, H_i, W_i), or more channels with "concat".
        """
        skips = [functional.relu(level) for level in squeezed]
        if self.form == "none":
            return skips
        fine, coarse = self.products([torch.sigmoid(level) for level in squeezed])
        return [self._guide(*parts) for parts in zip(skips, fine, coarse, strict=True)]

    def _guide(self, skip: Tensor, fine: Tensor | None, coarse: Tensor | None) -> Tensor:
        present = [attention for attention in (fine, coarse) if attention is not None]
        if self.form == "concat":
            return torch.cat([skip, *present], dim=1)
        for attention in present:
            # skip + skip * attention is skip * (1 + attention) with one operation less in memory.
            skip = torch.addcmul(skip, skip, attention) if self.form == "gate" else skip * attention
        return skip
