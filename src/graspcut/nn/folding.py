"""The same function in fewer operations: what a trained network is turned into before it is run or exported."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norm(network: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """A copy of a network with every batch norm behind a convolution folded into its weights.

    Which batch norm follows which convolution is seen while the network runs once: one that is given exactly what a
    convolution returned. In the networks here such a result goes nowhere else.

    Args:
        network: a network in evaluation mode.
        run: calls the network it is given on an example.

    Returns:
        A copy; its folded batch norms are identities.

    Raises:
        ValueError: the network is in training mode, where batch norm depends on the batch.
    """
    if network.training:
        raise ValueError("the network is in training mode; call eval() before folding its batch norms")
    folded = copy.deepcopy(network)
    makers: dict[int, tuple[Convolution, Tensor]] = {}
    pairs: list[tuple[Convolution, nn.BatchNorm2d]] = []

    def remember(module: nn.Module, _: tuple[Tensor, ...], result: Tensor) -> None:
        assert isinstance(module, Convolution)
        makers[id(result)] = (module, result)  # holding the result keeps its id from being used again

    def match(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if id(inputs[0]) in makers:
            pairs.append((makers[id(inputs[0])][0], module))

    handles = [
        module.register_forward_hook(remember)
        if isinstance(module, Convolution)
        else module.register_forward_pre_hook(match)
        for module in folded.modules()
        if isinstance(module, Convolution | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad():
            run(folded)
    finally:
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in folded.named_modules()}
    # A network that runs over several scales calls each layer several times.
    for convolution, norm in dict.fromkeys(pairs):
        assert norm.running_mean is not None and norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
            transpose=isinstance(convolution, nn.ConvTranspose2d),
        )
        convolution.weight, convolution.bias = weight, bias
        _replace(folded, names[norm], nn.Identity())
    return folded


def doubling_as_convolution(deconvolution: nn.ConvTranspose2d) -> nn.Sequential:
    """A transposed convolution that doubles the size, as a 3x3 convolution to the four phases and a pixel shuffle.

    It multiplies 9 weights a phase instead of 4, but with few output channels engines run it several times faster.

    Args:
        deconvolution: kernel 4, stride 2, padding 1, one group.

    Raises:
        ValueError: another kernel, stride or padding.
    """
    found = (deconvolution.kernel_size, deconvolution.stride, deconvolution.padding, deconvolution.groups)
    others = (deconvolution.output_padding, deconvolution.dilation)
    if found != ((4, 4), (2, 2), (1, 1), 1) or others != ((0, 0), (1, 1)):
        raise ValueError(f"kernel, stride, padding and groups are {found}, expected 4, 2, 1 and one group")
    inputs, outputs = deconvolution.in_channels, deconvolution.out_channels
    # Output 2y + phase gets input y + offset through kernel element 1 + phase - 2 * offset.
    taps = ((0, -1, 3), (0, 0, 1), (1, 0, 2), (1, 1, 0))
    old = deconvolution.weight.detach()
    weight = old.new_zeros(outputs, 2, 2, inputs, 3, 3)
    for row_phase, row, row_tap in taps:
        for column_phase, column, column_tap in taps:
            weight[:, row_phase, column_phase, :, row + 1, column + 1] = old[:, :, row_tap, column_tap].T
    convolution = nn.Conv2d(inputs, 4 * outputs, 3, padding=1, bias=deconvolution.bias is not None)
    convolution.weight = nn.Parameter(weight.reshape(4 * outputs, inputs, 3, 3))
    if deconvolution.bias is not None:
        convolution.bias = nn.Parameter(deconvolution.bias.detach().repeat_interleave(4))
    return nn.Sequential(convolution, nn.PixelShuffle(2)).to(old.device)


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module.train(network.training))


def replace_small_deconvolutions(network: nn.Module, most_outputs: int = 8) -> None:
    """Replaces, in place, every doubling transposed convolution with at most `most_outputs` output channels."""
    for name, module in list(network.named_modules()):
        if (
            isinstance(module, nn.ConvTranspose2d)
            and module.kernel_size == (4, 4)
            and module.stride == (2, 2)
            and module.padding == (1, 1)
            and module.out_channels <= most_outputs
        ):
            _replace(network, name, doubling_as_convolution(module))


def folded(network: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """A copy of a network, in evaluation mode, that computes the same in fewer operations: all of the above.

    Args:
        network: in any mode, which is left as it is.
        run: calls the network it is given on an example.
    """
    was_training = network.training
    copied = fold_batch_norm(network.eval(), run)
    network.train(was_training)
    replace_small_deconvolutions(copied)
    return copied
