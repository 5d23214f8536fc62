"""Loading of local weights: stem conversion, reports, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from graspcut.nn.pretrained import convert_stem, load_pretrained, read_weights


class _Tiny(nn.Module):
    """A trunk small enough for a test, with torchvision's names at both ends."""

    def __init__(self, inputs: int, outputs: int = 6, head: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 5, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.layer1 = nn.Conv2d(5, outputs, 1)
        if head:
            self.fc = nn.Linear(outputs, 10)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.layer1(functional.relu(self.bn1(self.conv1(image))))
        return result


@pytest.fixture
def colour_file(tmp_path: Path) -> tuple[_Tiny, Path]:
    torch.manual_seed(0)
    network = _Tiny(3, head=True).eval()
    path = tmp_path / "colour.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_depth_stem_answers_like_a_grey_image(colour_file: tuple[_Tiny, Path]) -> None:
    network, path = colour_file
    depth_network = _Tiny(1).eval()
    report = load_pretrained(depth_network, path)
    assert report.stem_converted and report.missing == () and report.unexpected == ()
    image = torch.randn(2, 1, 9, 9)
    assert torch.allclose(depth_network(image), network(image.expand(-1, 3, -1, -1)), atol=1e-5)


def test_extra_channels_are_ignored_at_first(colour_file: tuple[_Tiny, Path]) -> None:
    network, path = colour_file
    wide = _Tiny(4).eval()
    load_pretrained(wide, path)
    image = torch.randn(2, 4, 9, 9)
    assert torch.allclose(wide(image), network(image[:, :3]), atol=1e-6)


def test_channel_order_is_rgb(colour_file: tuple[_Tiny, Path]) -> None:
    network, path = colour_file
    same = _Tiny(3).eval()
    assert not load_pretrained(same, path).stem_converted
    red, blue = torch.zeros(1, 3, 9, 9), torch.zeros(1, 3, 9, 9)
    red[:, 0], blue[:, 2] = 1.0, 1.0
    assert torch.equal(same(red), network(red))
    assert not torch.allclose(same(red), network(blue))


def test_what_does_not_fit_is_reported(tmp_path: Path) -> None:
    tensors = {name: value for name, value in _Tiny(3).state_dict().items() if name != "layer1.bias"}
    tensors["decoder.weight"] = torch.zeros(2)
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    report = load_pretrained(_Tiny(3), path)
    assert report.missing == ("layer1.bias",)
    assert report.unexpected == ("decoder.weight",)


def test_other_shapes_are_an_error(colour_file: tuple[_Tiny, Path]) -> None:
    with pytest.raises(ValueError, match=r"layer1\.weight"):
        load_pretrained(_Tiny(3, outputs=7), colour_file[1])


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    torch.save({"backbone.stem": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"backbone\.stem"):
        load_pretrained(_Tiny(3), tmp_path / "other.pth")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("x")}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        read_weights(tmp_path / "evil.pth")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        read_weights(tmp_path / "absent.pth")


def test_impossible_conversions_are_refused() -> None:
    weight = torch.randn(5, 3, 3, 3)
    assert torch.equal(convert_stem(weight, 3), weight)
    for channels, conversion in ((2, None), (1, "zero_extra"), (4, "sum")):
        with pytest.raises(ValueError, match="cannot convert"):
            convert_stem(weight, channels, conversion)  # type: ignore[arg-type]
