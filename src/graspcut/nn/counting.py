"""Parameters and multiply-accumulate operations (MACs) of a network, by the usual convention of papers.

Convolutions, transposed convolutions and linear layers count, each multiply-accumulate once; biases, norms,
activations, pooling, resizing and products of maps do not. A transposed convolution counts every input pixel times
its whole kernel, also the part that falls outside and is cropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


def count_parameters(module: nn.Module) -> int:
    """Number of parameters; buffers such as running means are not parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def layer_macs(layer: nn.Module, inputs: Tensor, output: Tensor) -> int:
    """MACs of one layer for the given input and output; 0 for layers that do not count."""
    if isinstance(layer, nn.ConvTranspose2d):
        return inputs.numel() * layer.weight[0].numel()
    if isinstance(layer, nn.Conv2d):
        return output.numel() * layer.weight[0].numel()
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    return 0


def layer_elements(layer: nn.Module, inputs: Tensor, output: Tensor) -> int:
    """Numbers that one layer reads or writes: weights, input and output; 0 for layers that do not count."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        return layer.weight.numel() + inputs.numel() + output.numel()
    return 0


@dataclass(frozen=True)
class Work:
    """What one call of a network takes.

    Attributes:
        macs: multiply-accumulates.
        elements: numbers read or written: weights, input and output of every counted layer, as if each layer found
            nothing of the one before in a cache.
    """

    macs: int
    elements: int


def count_work(module: nn.Module, *inputs: Any) -> Work:
    """Work of one call `module(*inputs)` in evaluation mode; works on the meta device, without computing anything.

    Args:
        module: the network; its training flag is restored.
        inputs: what its `forward` takes.
    """
    macs = elements = 0

    def add(layer: nn.Module, layer_inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal macs, elements
        macs += layer_macs(layer, layer_inputs[0], output)
        elements += layer_elements(layer, layer_inputs[0], output)

    counted = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in counted]
    training = module.training
    try:
        module.eval()
        with torch.no_grad():
            module(*inputs)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return Work(macs, elements)


def count_macs(module: nn.Module, *inputs: Any) -> int:
    """Number of multiply-accumulates of one call; see `count_work`."""
    return count_work(module, *inputs).macs
