"""The same weights under the names of other publishers, written out by hand for a small ResNet-D and VGG-16."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graspcut.matting.models.resnet_d import ResNetDTrunk
from graspcut.nn.pretrained import load_pretrained
from graspcut.nn.resnet import ResNetTrunk
from graspcut.nn.vgg import VGG16Trunk
from graspcut.nn.weight_layouts import in_our_names


def small_resnet_d(seed: int) -> ResNetDTrunk:
    torch.manual_seed(seed)
    return ResNetDTrunk(3, width=8, blocks=(2, 1, 1, 1)).eval()


def as_timm(name: str) -> str:
    for ours, theirs in (("0.0", "conv1.0"), ("0.1", "conv1.1"), ("1.0", "conv1.3"), ("1.1", "conv1.4")):
        name = re.sub(rf"^stem\.{ours}\.", f"{theirs}.", name)
    return re.sub(r"^stem\.2\.1\.", "bn1.", re.sub(r"^stem\.2\.0\.", "conv1.6.", name))


def as_openmmlab(name: str) -> str:
    name = re.sub(r"^stem\.(\d)\.0\.", r"stem.\1.conv.", re.sub(r"^stem\.(\d)\.1\.", r"stem.\1.bn.", name))
    # The first stage does not stride, so its shortcut has no pool to count.
    name = name.replace("layer1.0.downsample.1.", "layer1.0.downsample.0.")
    name = name.replace("layer1.0.downsample.2.", "layer1.0.downsample.1.")
    return f"backbone.{name}"


def as_caffe(name: str) -> str:
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    named = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]
    place = int(name.split(".")[1])
    return f"conv{named[places.index(place)]}.{name.split('.')[2]}"


def stored(module: nn.Module, rename: object, path: Path, **more: Tensor) -> Path:
    assert callable(rename)
    torch.save({"state_dict": {rename(name): value for name, value in module.state_dict().items()} | more}, path)
    return path


@pytest.mark.parametrize("rename", [as_timm, as_openmmlab, lambda name: f"module.{name}"])
def test_resnet_d_answers_the_same_from_each_layout(rename: object, tmp_path: Path) -> None:
    published, own = small_resnet_d(1), small_resnet_d(2)
    path = stored(published, rename, tmp_path / "weights.pth", **{"head.fc.weight": torch.zeros(10, 256)})
    report = load_pretrained(own, path, stem="stem.0.0.weight")
    assert report.missing == () and report.unexpected == ()
    image = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(own(image), published(image), strict=True):
        assert torch.equal(ours, theirs)


def test_vgg_converted_from_caffe(tmp_path: Path) -> None:
    torch.manual_seed(3)
    published, own = VGG16Trunk(3, width=4), VGG16Trunk(1, width=4)
    extra = {"fc6.weight": torch.zeros(4, 4), "score_fr.bias": torch.zeros(2)}
    path = stored(published, as_caffe, tmp_path / "vgg.pth", **extra)
    report = load_pretrained(own, path, stem="features.0.weight", head_prefixes=("fc", "score"))
    assert report.missing == () and report.unexpected == () and report.stem_converted
    grey = torch.randn(1, 1, 32, 32)
    assert torch.allclose(own(grey)[0][-1], published(grey.expand(-1, 3, -1, -1))[0][-1], atol=1e-5)


def test_names_of_torchvision_stay_as_they_are() -> None:
    for trunk in (ResNetTrunk(50, 1, 16, width=8), VGG16Trunk(1, width=4), small_resnet_d(0)):
        names = trunk.state_dict()
        assert list(in_our_names(names)) == list(names)
