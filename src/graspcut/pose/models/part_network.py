"""f_s, the part network of Neverova et al. (2017): table 1 and section 4, three convolutions with shift-and-pool.

Max-pooling of every one-pixel shift, interleaved, is max-pooling of stride 1 followed by convolutions that are dilated
by 2 for each pooling before them. So a 32x32 patch decides the part of one pixel, and a crop that is padded by 15 and
16 pixels gives a part for every pixel. The paper's "hidden layers" see one position: they are 1x1 convolutions.

Deviation: none in the layers. Batch normalisation over the pixels of one image, in training and use, is instance
normalisation with affine parameters and no running statistics, so that batches may hold more than one image.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from graspcut.labels import PART_NAMES

PATCH_PX = 32
_BEFORE, _AFTER = 15, 16


@dataclass(frozen=True)
class PartNetworkConfig:
    """What a part network is built from.

    Attributes:
        classes: Number of classes: 20 as in the paper, or 21 with the forearm as the last.
        channels: Filters of the three convolutions.
        hidden: Units of the two hidden layers.
    """

    classes: int = len(PART_NAMES)
    channels: tuple[int, int, int] = (32, 64, 128)
    hidden: int = 500


class PartNetwork(nn.Module):
    """Parts of every pixel of a hand's crop: 584,492 parameters with the defaults.

    Args:
        config: What it is built from.
    """

    def __init__(self, config: PartNetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or PartNetworkConfig()
        first, second, third = self.config.channels
        classes, hidden = self.config.classes, self.config.hidden
        self.conv1 = nn.Conv2d(1, first, 5)
        self.norm1 = _per_image(first)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.norm2 = _per_image(second)
        self.conv3 = nn.Conv2d(second, third, 5)
        self.norm3 = _per_image(third)
        self.hidden1 = nn.Conv2d(third, hidden, 1)
        self.norm4 = _per_image(hidden)
        self.hidden2 = nn.Conv2d(hidden, hidden, 1)
        self.norm5 = _per_image(hidden)
        self.output = nn.Conv2d(hidden, classes, 1)
        for layer in (self.conv1, self.conv2, self.conv3, self.hidden1, self.hidden2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, output_stride: int = 1, shift: tuple[int, int] = (0, 0)) -> Tensor:
        """Logits of the parts.

        Args:
            image: (n, 1, H, W) float32, the crop after local contrast normalisation, where background far from the hand
                is 0.
            output_stride: 1 for a class at every pixel; 2 for every second row and column at a quarter of the price; 4
                for the plain strided network, which is enough for training when the shift is another at each step.
            shift: With stride 2 or 4, which rows and columns: the output at (i, j) belongs to pixel
                (stride i + shift[0], stride j + shift[1]).

        Returns:
            (n, classes, H / stride, W / stride).
        """
        if output_stride not in (1, 2, 4):
            raise ValueError(f"output stride {output_stride} came; expected 1 (48x48), 2 (24x24) or 4 (12x12).")
        down, right = shift
        padded = functional.pad(image, (_BEFORE - right, _AFTER + right, _BEFORE - down, _AFTER + down))
        return self.forward_padded(padded, output_stride)

    def forward_padded(self, padded: Tensor, output_stride: int = 1) -> Tensor:
        """The same without padding: (n, 1, H + 31, W + 31) in, every 32x32 patch gives one pixel."""
        # A pooling that keeps its stride of 2 leaves less to interleave: what follows is dilated by what it left out.
        first, second = min(output_stride, 2), 2 if output_stride == 4 else 1
        spread = 2 // first
        x = functional.relu(self.norm1(self.conv1(padded)))
        x = functional.max_pool2d(x, 2, stride=first)
        x = functional.relu(self.norm2(_dilated(self.conv2, x, spread)))
        x = functional.max_pool2d(x, 2, stride=second, dilation=spread)
        x = functional.relu(self.norm3(_dilated(self.conv3, x, 2 * spread // second)))
        x = functional.relu(self.norm4(self.hidden1(x)))
        x = functional.relu(self.norm5(self.hidden2(x)))
        logits: Tensor = self.output(x)
        return logits


def _per_image(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


def _dilated(layer: nn.Conv2d, x: Tensor, dilation: int) -> Tensor:
    return functional.conv2d(x, layer.weight, layer.bias, dilation=dilation)
