"""The convolutional part of VGG-16, with a choice of input channels, border and output stride.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015,
configuration D. Parameter names are torchvision's (features.0, ..., features.28), so its public ImageNet weights load
(see `graspcut.nn.pretrained`, with ``stem="features.0.weight"``). There is no classifier.

Output stride 8 (InstanceFCN, section 4.1): pool4 gets stride 1 and the convolutions of conv5 a dilation of 2. With one
row and column of minus infinity below and to the right of pool4's input, the output at even positions is exactly the
output of the network with stride 16, so pretrained weights mean the same.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

STAGE_WIDTHS = (1, 2, 4, 8, 8)
STAGE_CONVOLUTIONS = (2, 2, 3, 3, 3)


class VGG16Trunk(nn.Module):
    """VGG-16 up to conv5_3 or pool5, returning what each stage gives.

    Args:
        input_channels: 1 for depth, 3 for colour, 4 for both.
        first_padding: border of the first convolution; 1, or 100 as in FCN (Long et al. 2015).
        ceil_mode: whether the pools round sizes up, as Caffe does.
        output_stride: of conv5: 16, or 8 with a dilated conv5.
        width: channels of the first stage; 64 in the paper, fewer for comparisons on small machines.

    Attributes:
        channels: of the five stages: width times 1, 2, 4, 8, 8.

    Raises:
        ValueError: another output stride.
    """

    def __init__(
        self,
        input_channels: int = 3,
        *,
        first_padding: int = 1,
        ceil_mode: bool = False,
        output_stride: int = 16,
        width: int = 64,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ValueError(f"output stride is {output_stride}, expected 8 or 16")
        self.channels = tuple(width * factor for factor in STAGE_WIDTHS)
        dilated = output_stride == 8
        layers: list[nn.Module] = []
        channels = input_channels
        for stage, (outputs, count) in enumerate(zip(self.channels, STAGE_CONVOLUTIONS, strict=True)):
            dilation = 2 if dilated and stage == 4 else 1
            for number in range(count):
                padding = first_padding if stage == number == 0 else dilation
                layers += [nn.Conv2d(channels, outputs, 3, padding=padding, dilation=dilation), nn.ReLU(inplace=True)]
                channels = outputs
            layers.append(nn.MaxPool2d(2, 1 if dilated and stage == 3 else 2, ceil_mode=ceil_mode))
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute all stages.

        Args:
            image: (B, input_channels, H, W).

        Returns:
            the five outputs of conv1_2, conv2_2, conv3_3, conv4_3, conv5_3, and the five of pool1 to pool5 behind them.
        """
        convolved, pooled = [], []
        features = image
        for layer in self.features:
            if not isinstance(layer, nn.MaxPool2d):
                features = layer(features)
                continue
            convolved.append(features)
            if layer.stride == 1:
                features = functional.pad(features, (0, 1, 0, 1), value=float("-inf"))
            features = layer(features)
            pooled.append(features)
        return convolved, pooled
