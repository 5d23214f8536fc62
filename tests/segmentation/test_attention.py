"""Dense attention: order, empty products, both readings, symmetry."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from graspcut.nn.blocks import resize_to
from graspcut.nn.counting import count_parameters
from graspcut.segmentation.models.attention import ATTENTION_FORMS, DenseAttention, SqueezeNet

SIZES = ((32, 48), (16, 24), (8, 12), (4, 6), (4, 6), (4, 6))


def random_levels(channels: int = 3, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(2, channels, *size, generator=generator, dtype=torch.float64) for size in SIZES]


def bilinear(features: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("recursive", [False, True])
def test_dependency_matrix_is_strictly_triangular(recursive: bool) -> None:
    attention = DenseAttention(recursive=recursive)
    base = attention.products(random_levels())
    for changed in range(6):
        gates = random_levels()
        gates[changed] = gates[changed] + 0.5
        for side, (before, after) in enumerate(zip(base, attention.products(gates), strict=True)):
            for level, (old, new) in enumerate(zip(before, after, strict=True)):
                depends = changed < level if side == 0 else changed > level
                differs = old is not None and new is not None and not torch.equal(old, new)
                assert differs == depends, (side, changed, level)


@pytest.mark.parametrize("recursive", [False, True])
def test_gates_of_one_give_attention_of_one(recursive: bool) -> None:
    fine, coarse = DenseAttention(recursive=recursive).products([torch.ones_like(level) for level in random_levels()])
    assert fine[0] is None and coarse[-1] is None
    for attention in (*fine[1:], *coarse[:-1]):
        assert attention is not None and torch.equal(attention, torch.ones_like(attention))


def test_direct_reading_equals_the_formula() -> None:
    gates = random_levels()
    fine, coarse = DenseAttention(recursive=False).products(gates)
    for level, size in enumerate(SIZES):
        for attention, others in ((fine[level], gates[:level]), (coarse[level], gates[level + 1 :])):
            expected = torch.ones(2, 3, *size, dtype=torch.float64)
            for gate in others:
                expected = expected * bilinear(gate, size)
            assert attention is None or torch.allclose(attention, expected)
            assert (attention is None) == (not others)


def test_recursive_reading_equals_the_formula() -> None:
    gates = random_levels()
    fine, _ = DenseAttention(recursive=True).products(gates)
    running = gates[0]
    for level in range(1, 6):
        running = bilinear(running, SIZES[level])
        assert torch.allclose(fine[level], running)  # type: ignore[arg-type]
        running = running * gates[level]


@pytest.mark.parametrize("form", ATTENTION_FORMS)
def test_forms(form: str) -> None:
    squeezed = [2.0 * level - 1.0 for level in random_levels()]
    attention = DenseAttention(form)
    skips = attention(squeezed)
    fine, coarse = attention.products([torch.sigmoid(level) for level in squeezed])
    ones = [torch.ones_like(level) for level in squeezed]
    for level, skip in enumerate(skips):
        own = functional.relu(squeezed[level])
        left, right = fine[level], coarse[level]
        low, high = ones[level] if left is None else left, ones[level] if right is None else right
        if form == "gate":
            expected = own * (1.0 if left is None else 1.0 + left) * (1.0 if right is None else 1.0 + right)
        elif form == "mul":
            expected = own * low * high
        elif form == "concat":
            expected = torch.cat([part for part in (own, left, right) if part is not None], dim=1)
        else:
            expected = own
        assert torch.allclose(skip, expected)
    assert attention.skip_widths(3) == tuple(skip.shape[1] for skip in skips)


@pytest.mark.parametrize(("form", "recursive"), list(itertools.product(ATTENTION_FORMS, (False, True))))
def test_mirrored_levels_give_mirrored_skips(form: str, recursive: bool) -> None:
    attention = DenseAttention(form, recursive=recursive)
    plain = attention(random_levels())
    mirrored = attention([level.flip(-1) for level in random_levels()])
    for one, other in zip(plain, mirrored, strict=True):
        assert torch.allclose(one.flip(-1), other, atol=1e-12)


def test_halving_by_pooling_is_bilinear() -> None:
    features = torch.rand(1, 2, 10, 14, dtype=torch.float64)
    assert torch.allclose(resize_to(features, (5, 7)), bilinear(features, (5, 7)))
    assert resize_to(features, (10, 14)) is features
    assert not torch.allclose(resize_to(features, (5, 7), antialias=True), bilinear(features, (5, 7)))


@pytest.mark.parametrize(
    ("inputs", "parameters"), [(64, 41_216), (256, 53_504), (512, 69_888), (1024, 102_656), (2048, 168_192)]
)
def test_squeeze_net_has_the_reference_count(inputs: int, parameters: int) -> None:
    assert count_parameters(SqueezeNet(inputs, 64)) == parameters


def test_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="gate, mul, concat, none"):
        DenseAttention("add")
