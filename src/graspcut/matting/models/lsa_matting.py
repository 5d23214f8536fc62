"""LSAMatting: ResNet-50-D with a 4-channel stem and a decoder of five squeeze-excited blocks.

Source: "Improving Deep Image Matting via Local Smoothness Assumption", section 3. 38,067,809 parameters, 75.6 GMACs at
640x640.

The published network is called with colours normalised by ImageNet's mean and deviation; here that is part of the
network, which takes colours in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graspcut.matting.models.decoder import MattingDecoder, Modulation
from graspcut.matting.models.resnet_d import ResNetDTrunk

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class LSAMattingConfig:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        encoder_width: channels of the encoder's stem.
        encoder_blocks: bottlenecks of its four stages.
        decoder_widths: channels of decoder blocks 1 (finest) to 5.
        head_width: channels of the head.
    """

    encoder_width: int = 64
    encoder_blocks: tuple[int, ...] = (3, 4, 6, 3)
    decoder_widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    head_width: int = 32


class LSAMatting(nn.Module):
    """The paper's network.

    Args:
        config: sizes.

    Attributes:
        config: as given.
        size_multiple: images' sides must be multiples of this.
    """

    size_multiple = 32

    def __init__(self, config: LSAMattingConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else LSAMattingConfig()
        self.encoder = ResNetDTrunk(4, self.config.encoder_width, self.config.encoder_blocks)
        self.decoder = MattingDecoder(
            self.encoder.channels, self.config.decoder_widths, inputs=4, head=self.config.head_width
        )
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Estimate alpha.

        Args:
            image: (B, 3, H, W) RGB in 0..1.
            trimap: (B, 1, H, W): 0, 128/255 (unknown) and 1.

        Returns:
            (B, 1, H, W), not bounded: values below 0 and above 1 are cut off by the caller.
        """
        return self.decode(self.encode(image, trimap))

    def encode(self, image: Tensor, trimap: Tensor) -> list[Tensor]:
        """What no refinement changes: the input at full size and the encoder's levels; arguments of `forward`."""
        inputs = torch.cat(((image - self.mean) / self.deviation, trimap), dim=1)  # type: ignore[operator]
        return [inputs, *self.encoder(inputs)]

    def decode(self, encoded: list[Tensor], modulation: Modulation | None = None) -> Tensor:
        """Alpha (B, 1, H, W) from what `encode` gave; see `MattingDecoder.forward`."""
        found: Tensor = self.decoder(encoded[1:], encoded[0], modulation)
        return found
