"""ResNet-50-D, the encoder of LSA matting: three small convolutions as stem, shortcuts that average before they stride.

Source: He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", 2019, figure 2. Stages
and names within them are those of `graspcut.nn.resnet`; the shortcut's convolution and norm are `downsample.1` and
`downsample.2`, as in public ResNet-D weights with an average pool before them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.blocks import convolution_bn_relu
from graspcut.nn.resnet import Bottleneck

_EXPANSION = 4


class ResNetDTrunk(nn.Module):
    """The convolutional part of a ResNet-D with output stride 32.

    Args:
        input_channels: 4 for colour with a trimap. The first convolution treats all channels alike.
        width: of the first stage's 3x3 convolutions; 64 in the paper. The stem has `width // 2` and `width` channels.
        blocks: of the four stages; (3, 4, 6, 3) for ResNet-50-D.

    Attributes:
        channels: of the five levels, at strides 2, 4, 8, 16 and 32.
    """

    def __init__(self, input_channels: int = 4, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.channels = (width, *(width * _EXPANSION * 2**stage for stage in range(len(blocks))))
        self.stem = nn.Sequential(
            convolution_bn_relu(input_channels, width // 2, stride=2),
            convolution_bn_relu(width // 2, width // 2),
            convolution_bn_relu(width // 2, width),
        )
        inputs = width
        for stage, count in enumerate(blocks):
            stride = 1 if stage == 0 else 2
            layers = [_bottleneck(inputs, width * 2**stage, stride)]
            inputs = width * 2**stage * _EXPANSION
            layers += [Bottleneck(inputs, width * 2**stage, 1, 1) for _ in range(count - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (B, input_channels, H, W) to the five levels, finest first; sizes are rounded up."""
        levels: list[Tensor] = [self.stem(image)]
        features = functional.max_pool2d(levels[0], 3, 2, padding=1)
        for stage in range(self.stages):
            features = self.get_submodule(f"layer{stage + 1}")(features)
            levels.append(features)
        return levels


def _bottleneck(inputs: int, width: int, stride: int) -> Bottleneck:
    """The first block of a stage, with the shortcut of ResNet-D."""
    block = Bottleneck(inputs, width, stride, 1)
    outputs = width * _EXPANSION
    # Without stride the shortcut only has the convolution; the empty place keeps the names equal.
    pool: nn.Module = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
    block.downsample = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return block
