"""ResNet-50, ResNet-101 and ResNet-152 trunks with a choice of input channels and output stride.

Source: He et al., "Deep Residual Learning for Image Recognition", 2016, in the later form with the stride in the 3x3
convolution ("v1.5"). Parameter names are torchvision's (conv1, bn1, layer1.0.conv1, ..., downsample.0,
downsample.1), so its public ImageNet weights load (see `graspcut.nn.pretrained`). There is no classifier.

Output stride below 32: the stride of the last stages becomes dilation. The first block of such a stage keeps the
dilation of the stage before, the others get the new one (torchvision's scheme). Then every output at even positions
is exactly the output of the network with stride, and pretrained weights mean the same.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
LEVEL_CHANNELS = (64, 256, 512, 1024, 2048)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 - 3x3 - 1x1 convolutions with batch norm, and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 4 * width, ceil(H / stride), ceil(W / stride))."""
        shortcut = features if self.downsample is None else self.downsample(features)
        branch = functional.relu(self.bn1(self.conv1(features)), inplace=True)
        branch = functional.relu(self.bn2(self.conv2(branch)), inplace=True)
        return functional.relu(self.bn3(self.conv3(branch)) + shortcut, inplace=True)


class ResNetTrunk(nn.Module):
    """The convolutional part of a ResNet, returning all five levels.

    Args:
        depth: 50, 101 or 152.
        input_channels: 1 for depth, 3 for colour, 4 for colour with a trimap.
        output_stride: 8, 16 or 32.
        width: channels of the stem; 64 in the paper, fewer for comparisons on small machines.

    Attributes:
        channels: of the five levels: width times 1, 4, 8, 16, 32.
        strides: of the five levels.

    Raises:
        ValueError: another depth or output stride.
    """

    def __init__(self, depth: int = 50, input_channels: int = 3, output_stride: int = 32, *, width: int = 64) -> None:
        super().__init__()
        self.strides = tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))
        if depth not in STAGE_BLOCKS:
            raise ValueError(f"ResNet depth is {depth}, expected one of {sorted(STAGE_BLOCKS)}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output stride is {output_stride}, expected 8, 16 or 32")
        self.channels = tuple(width * channels // LEVEL_CHANNELS[0] for channels in LEVEL_CHANNELS)
        self.conv1 = nn.Conv2d(input_channels, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self._inputs, self._stride, self._dilation = width, 4, 1
        blocks = STAGE_BLOCKS[depth]
        self.layer1 = self._stage(width, blocks[0], stride=1, output_stride=output_stride)
        self.layer2 = self._stage(2 * width, blocks[1], stride=2, output_stride=output_stride)
        self.layer3 = self._stage(4 * width, blocks[2], stride=2, output_stride=output_stride)
        self.layer4 = self._stage(8 * width, blocks[3], stride=2, output_stride=output_stride)
        self._initialise()

    def _stage(self, width: int, count: int, stride: int, output_stride: int) -> nn.Sequential:
        first_dilation = self._dilation
        if self._stride * stride > output_stride:
            self._dilation *= stride
            stride = 1
        self._stride *= stride
        blocks = [Bottleneck(self._inputs, width, stride, first_dilation)]
        self._inputs = width * _EXPANSION
        blocks += [Bottleneck(self._inputs, width, 1, self._dilation) for _ in range(count - 1)]
        return nn.Sequential(*blocks)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute all levels.

        Args:
            image: (B, input_channels, H, W).

        Returns:
            five tensors, finest first: the stem before max-pooling (stride 2, 64 channels), then layer1 to layer4 with
            256, 512, 1024, 2048 channels at strides 4, 8, 16, 32, none above the output stride; sizes are rounded up.
        """
        levels = [functional.relu(self.bn1(self.conv1(image)), inplace=True)]
        features = functional.max_pool2d(levels[0], 3, 2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            levels.append(features)
        return levels
