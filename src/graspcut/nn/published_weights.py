"""Where public ImageNet weights lie, for people who are online. Nothing here downloads by itself, or imports torch.

The names of the files end in the first eight hexadecimal digits of their SHA-256, a custom of PyTorch's hub that
OpenMMLab shares; that is what a downloaded file is checked against.
"""

from __future__ import annotations

from dataclasses import dataclass

_TORCHVISION = "https://download.pytorch.org/models/"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision)"
_OPENMMLAB = "https://download.openmmlab.com/mmclassification/v0/resnet/"
IMAGENET_TERMS = (
    "All were trained on ImageNet, whose pictures may be used for non-commercial research and education only; whether "
    "that binds the weights is for you to judge."
)


@dataclass(frozen=True)
class PublishedWeights:
    """One file of weights.

    Attributes:
        name: for the command line.
        url: of the file, https.
        megabytes: about how large it is.
        licence: of the weights, as their publisher states it.
        fits: for whom: networks of this package.
        note: what one should know before choosing it.
    """

    name: str
    url: str
    megabytes: int
    licence: str
    fits: str
    note: str = ""

    @property
    def file_name(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]

    @property
    def checksum_start(self) -> str:
        """First eight digits of the SHA-256 in hexadecimal."""
        return self.file_name.partition(".")[0].rpartition("-")[2]


_RESNET_50 = "dense-attention-seg, deeplabv3plus, large-kernel-matters, refinenet"
_DEEPER = "the same with --network-depth {}"

PUBLISHED_WEIGHTS = (
    PublishedWeights(
        "resnet50", _TORCHVISION + "resnet50-0676ba61.pth", 98, _TORCHVISION_LICENCE, _RESNET_50, "76.1 % top-1"
    ),
    PublishedWeights(
        "resnet50-v2",
        _TORCHVISION + "resnet50-11ad3fa6.pth",
        98,
        _TORCHVISION_LICENCE,
        _RESNET_50,
        "80.9 % top-1, by a longer recipe; resnet50 is what the papers began with",
    ),
    PublishedWeights(
        "resnet101",
        _TORCHVISION + "resnet101-63fe2227.pth",
        171,
        _TORCHVISION_LICENCE,
        _DEEPER.format(101),
        "77.4 % top-1",
    ),
    PublishedWeights(
        "resnet152",
        _TORCHVISION + "resnet152-394f9c45.pth",
        230,
        _TORCHVISION_LICENCE,
        _DEEPER.format(152),
        "78.3 % top-1",
    ),
    PublishedWeights(
        "vgg16",
        _TORCHVISION + "vgg16-397923af.pth",
        528,
        _TORCHVISION_LICENCE,
        "fcn-32s, fcn-16s, fcn-8s; InstanceFCN",
        "71.6 % top-1",
    ),
    PublishedWeights(
        "vgg16-features",
        _TORCHVISION + "vgg16_features-amdegroot-88682ab5.pth",
        528,
        _TORCHVISION_LICENCE,
        "fcn-32s, fcn-16s, fcn-8s; InstanceFCN",
        "Caffe's weights, for pictures of 0..255 less their mean: the convolutions alone have values",
    ),
    PublishedWeights(
        "resnet50-d",
        _OPENMMLAB + "resnetv1d50_b32x8_imagenet_20210531-db14775a.pth",
        103,
        "Apache-2.0 (OpenMMLab)",
        "matting (LSA)",
        "77.5 % top-1; what the paper began with",
    ),
)


def published(name: str) -> PublishedWeights:
    """The weights of this name.

    Raises:
        ValueError: there are none.
    """
    for entry in PUBLISHED_WEIGHTS:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in PUBLISHED_WEIGHTS)
    raise ValueError(f"no weights are known as {name!r}; choose of {known}")
