"""Public ImageNet weights from a local file into a trunk.

Nothing is downloaded (`graspcut fetch-weights` says where they lie), and pickles are read with `weights_only`. Names
are torchvision's, timm's, OpenMMLab's or Caffe's (`weight_layouts`); what does not fit is reported, and a wrong shape
is an error except in the stem, which is converted to the trunk's input channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from graspcut.nn.weight_layouts import in_our_names

StemConversion = Literal["sum", "zero_extra"]


@dataclass(frozen=True)
class LoadReport:
    """What did not fit.

    Attributes:
        missing: parameters of the trunk the file lacks, in the trunk's order.
        unexpected: entries of the file the trunk has no place for, the classifier left out.
        stem_converted: whether the stem was changed to another number of input channels.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    stem_converted: bool


def convert_stem(weight: Tensor, input_channels: int, conversion: StemConversion | None = None) -> Tensor:
    """First convolution for other inputs than RGB.

    3 -> 1 sums over RGB: exactly the response to a grey image repeated three times ("sum"). 3 -> more copies RGB and
    gives the other channels zeros, so that at first the network ignores them ("zero_extra"; Liu et al. do so for the
    trimap).

    Args:
        weight: (outputs, 3, k, k).
        input_channels: channels wanted.
        conversion: None chooses by the number of channels.

    Returns:
        (outputs, input_channels, k, k).

    Raises:
        ValueError: the weight is not for three channels, or the conversion cannot give that number.
    """
    if weight.shape[1] == input_channels:
        return weight
    if weight.shape[1] != 3:
        raise ValueError(f"the stem has {weight.shape[1]} input channels, expected 3 (RGB) to convert from")
    chosen = conversion if conversion is not None else ("sum" if input_channels == 1 else "zero_extra")
    if chosen == "sum" and input_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    if chosen == "zero_extra" and input_channels > 3:
        extra = weight.new_zeros(weight.shape[0], input_channels - 3, *weight.shape[2:])
        return torch.cat((weight, extra), dim=1)
    raise ValueError(
        f"cannot convert a stem of 3 channels to {input_channels} by {chosen!r}: "
        "'sum' gives 1 channel, 'zero_extra' gives more than 3"
    )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file or of a pickled state dict, read without running code from it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}: nothing is downloaded by itself; graspcut fetch-weights says where public ones lie"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(f"{path} holds {type(loaded).__name__}, expected a state dict of tensors by name")
    return dict(loaded)


def load_pretrained(
    trunk: nn.Module,
    path: str | Path,
    *,
    stem: str = "conv1.weight",
    head_prefixes: tuple[str, ...] = ("fc.", "head."),
    conversion: StemConversion | None = None,
) -> LoadReport:
    """Load weights by name into a trunk.

    Args:
        trunk: module with the file's parameter names.
        path: local file.
        stem: name of the first convolution.
        head_prefixes: names of the classifier, which is left out.
        conversion: see `convert_stem`.

    Returns:
        what was missing and unexpected; look at it.

    Raises:
        ValueError: a shape differs outside the stem, or nothing in the file has a place in the trunk.
        FileNotFoundError: no such file.
    """
    stored = read_weights(path)
    tensors = in_our_names(stored)
    own = trunk.state_dict()
    converted = False
    if stem in tensors and stem in own and tensors[stem].shape != own[stem].shape:
        tensors[stem] = convert_stem(tensors[stem], own[stem].shape[1], conversion)
        converted = True
    fitting = {name: tensor for name, tensor in tensors.items() if name in own}
    if not fitting:
        raise ValueError(f"{path} has no name in common with the trunk; it begins with {', '.join(list(stored)[:3])}")
    wrong = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in fitting.items()
        if tensor.shape != own[name].shape
    ]
    if wrong:
        raise ValueError(f"{path} is for another network: {'; '.join(wrong[:5])}")
    trunk.load_state_dict(fitting, strict=False)
    # Files older than PyTorch 0.4.1 lack the batch counters, which no forward pass needs.
    missing = tuple(name for name in own if name not in fitting and not name.endswith("num_batches_tracked"))
    unexpected = tuple(name for name in tensors if name not in own and not name.startswith(head_prefixes))
    return LoadReport(missing, unexpected, converted)
