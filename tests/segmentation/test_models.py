"""One test matrix over all segmentation networks, and the reference's counts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.nn.blocks import LightContext
from graspcut.nn.counting import count_macs, count_parameters
from graspcut.segmentation.losses import contour_loss, weighted_cross_entropy
from graspcut.segmentation.models import (
    MODEL_NAMES,
    MODELS,
    DeepLabV3PlusConfig,
    DenseAttentionSeg,
    DenseAttentionSegConfig,
    DenseAttentionSmall,
    DenseAttentionSmallConfig,
    build_model,
    model_config,
)

NETWORKS = tuple(MODELS)
# The ResNet and VGG networks are large; the matrix looks at them with few channels.
SLIM: dict[str, dict[str, Any]] = {
    "DenseAttentionSeg": {"trunk_width": 16},
    "DeepLabV3Plus": {"trunk_width": 16},
    "FCN": {"trunk_width": 8, "hidden_width": 32, "dropout": 0.0},
    "LargeKernelMatters": {"trunk_width": 16},
    "RefineNet": {"trunk_width": 16, "width": 16, "dropout": 0.0},
}
SMALL_FORMS: tuple[dict[str, Any], ...] = (
    {},
    {"attention": "mul"},
    {"attention": "concat", "recursive_attention": False},
    {"attention": "none", "encoding": "slab"},
    {"encoding": "raw", "decoder_widths": [32, 32, 16, 16, 16, 8]},
)


def frames(batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A hand-sized box and an object-sized box before a wall: depth, focal length and labels."""
    generator = np.random.default_rng(seed)
    depth = np.full((batch, 1, height, width), 900.0, np.float32)
    labels = np.zeros((batch, height, width), np.int64)
    for index in range(batch):
        for label, distance in ((1, 480.0), (2, 520.0)):
            top, left = generator.integers(0, height // 2), generator.integers(0, width // 2)
            box = (index, slice(top, top + height // 3), slice(left, left + width // 3))
            depth[box[0], 0, box[1], box[2]] = distance
            labels[box] = label
    depth += generator.normal(0, 1, depth.shape).astype(np.float32)
    depth[generator.random(depth.shape) < 0.02] = 0
    return torch.from_numpy(depth), torch.full((batch,), 240.0), torch.from_numpy(labels)


def network(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(1)
    return build_model({"class": name, "arguments": {**SLIM.get(name, {}), **arguments}})


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(472, 630), (241, 317), (32, 33)])
def test_logits_have_the_size_of_the_input(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        model = network(name).eval()
        logits = model(torch.empty(2, 1, *size), torch.empty(2))
    assert logits.shape == (2, 3, *size)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(61, 83), (64, 96)])
def test_every_parameter_gets_a_finite_gradient(name: str, size: tuple[int, int]) -> None:
    model = network(name).train()
    for module_name, module in model.named_modules():
        if module_name.startswith("score") and isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight)  # FCN's scores begin at zero and let nothing through
    depth, focal, labels = frames(2, *size)
    logits = model(depth, focal)
    assert torch.isfinite(logits).all()
    (weighted_cross_entropy(logits, labels) + contour_loss(logits, labels)).backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.any() or "pool" in parameter_name, parameter_name


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_fewer_levels_are_the_coarsest_ones(levels: int) -> None:
    model = network("DenseAttentionSeg", levels=levels).train()
    assert isinstance(model, DenseAttentionSeg) and len(model.squeeze) == levels
    depth, focal, labels = frames(2, 61, 83)
    weighted_cross_entropy(model(depth, focal), labels).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())
    whole = network("DenseAttentionSeg")
    names = {name for name, _ in model.named_parameters()}
    assert names < {name for name, _ in whole.named_parameters()}
    assert count_parameters(model) < count_parameters(whole)
    assert model_config(model)["arguments"]["levels"] == levels
    with torch.device("meta"):
        assert network("DenseAttentionSeg", levels=levels)(torch.empty(2, 1, 241, 317), torch.empty(2)).shape[2:] == (
            241,
            317,
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_of_one_equals_batch_of_three(name: str) -> None:
    model = network(name).eval()
    depth, focal, _ = frames(3, 48, 64)
    with torch.no_grad():
        together = model(depth, focal)
        apart = torch.cat([model(depth[index : index + 1], focal[:1]) for index in range(3)])
    assert torch.allclose(together, apart, atol=1e-4 * float(together.abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_image_can_be_trained_on(name: str) -> None:
    model = network(name).train()
    depth, focal, labels = frames(1, 48, 64)
    weighted_cross_entropy(model(depth, focal), labels).backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_configuration_and_weights_survive_the_way_through_files(name: str, tmp_path: Path) -> None:
    model = network(name).eval()
    (tmp_path / "config.json").write_text(json.dumps(model_config(model)))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    again = build_model(json.loads((tmp_path / "config.json").read_text())).eval()
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    depth, focal, _ = frames(1, 48, 64)
    with torch.no_grad():
        assert torch.equal(model(depth, focal), again(depth, focal))
    assert model_config(again) == model_config(model)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("DenseAttentionSmall", 40),
        ("DenseAttentionSeg", 14),
        ("DeepLabV3Plus", 14),
        ("FCN", 60),
        ("LargeKernelMatters", 40),
        ("RefineNet", 40),
    ],
)
def test_one_batch_can_be_learnt(name: str, steps: int) -> None:
    dropout: dict[str, Any] = {"aspp_dropout": 0.0} if name in ("DenseAttentionSeg", "DeepLabV3Plus") else {}
    model = network(name, **dropout).train()
    depth, focal, labels = frames(2, 48, 64)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3 if dropout else 3e-3)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = weighted_cross_entropy(model(depth, focal), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0], losses


@pytest.mark.parametrize("arguments", SMALL_FORMS, ids=str)
def test_small_network_in_all_forms_at_odd_sizes(arguments: dict[str, Any]) -> None:
    model = network("DenseAttentionSmall", **arguments).train()
    depth, focal, labels = frames(2, 45, 79)
    logits = model(depth, focal)
    assert logits.shape == (2, 3, 45, 79)
    weighted_cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("arguments", SMALL_FORMS, ids=str)
def test_exported_graph_gives_the_same_logits(arguments: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the exporter needs onnx (extra dev)")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network("DenseAttentionSmall", **arguments).eval()
    depth, focal, _ = frames(1, 45, 79)
    with torch.inference_mode():
        model(depth, focal)  # tensors kept from here would break the export
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (depth, focal), str(path), input_names=["depth_mm", "focal_px"], dynamo=False, opset_version=17
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    other, _, _ = frames(1, 45, 79, seed=5)
    inputs = {"depth_mm": other.numpy(), "focal_px": np.array([300.0], np.float32)}
    known = {entry.name for entry in session.get_inputs()}
    exported = session.run(None, {key: value for key, value in inputs.items() if key in known})[0]
    with torch.no_grad():
        expected = model(other, torch.tensor([300.0])).numpy()
    assert np.abs(exported - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("form", ["none", "mul"])
def test_attention_has_no_parameters_but_changes_the_labels(form: str) -> None:
    gated, other = network("DenseAttentionSmall"), network("DenseAttentionSmall", attention=form)
    assert count_parameters(gated) == count_parameters(other)
    other.load_state_dict(gated.state_dict())
    depth, focal, _ = frames(1, 48, 64)
    with torch.no_grad():
        assert not torch.allclose(gated.eval()(depth, focal), other.eval()(depth, focal))
    with torch.device("meta"):
        paper = [
            count_parameters(DenseAttentionSeg(DenseAttentionSegConfig(attention=name))) for name in ("gate", form)
        ]
    assert paper[0] == paper[1] == 42_640_867


@pytest.mark.parametrize(
    ("name", "arguments", "parameters", "gigamacs"),
    [
        ("DenseAttentionSeg", {}, 42_640_867, 75.04),
        ("DenseAttentionSeg", {"decoder_widths": (256, 256, 128, 128, 64, 64)}, 41_788_803, 78.05),
        ("DenseAttentionSeg", {"decoder_widths": (64,) * 6}, 40_161_667, 73.98),
        ("DeepLabV3Plus", {}, 40_341_283, 80.55),
        ("DeepLabV3Plus", {"decoder_convolutions": 1}, 39_750_947, 69.23),
    ],
)
def test_reference_counts_at_640x480(name: str, arguments: dict[str, Any], parameters: int, gigamacs: float) -> None:
    with torch.device("meta"):
        model = build_model({"class": name, "arguments": arguments})
        macs = count_macs(model, torch.empty(1, 1, 480, 640), torch.empty(1))
    assert count_parameters(model) == parameters
    assert round(macs / 1e9, 2) == gigamacs


def test_shape_table_of_the_paper_network() -> None:
    """Reference 1.3 and 1.5 at 480x640."""
    with torch.device("meta"):
        model = DenseAttentionSeg()
        squeezed, decoded = _shapes(model.squeeze), _shapes(model.decoder.deconvolutions)
        levels = _shapes(model.squeeze, of_input=True)
        model(torch.empty(2, 1, 480, 640), torch.empty(2))
    sizes = [(240, 320), (120, 160), (60, 80), (30, 40), (30, 40), (30, 40)]
    channels = (64, 256, 512, 1024, 2048, 256)
    assert levels == [(2, number, *size) for number, size in zip(channels, sizes, strict=True)]
    assert squeezed == [(2, 64, *size) for size in sizes]
    widths = (256, 256, 256, 128, 64, 32)
    grown = [(30, 40), (30, 40), (60, 80), (120, 160), (240, 320), (480, 640)]
    assert decoded == [(2, width, *size) for width, size in zip(widths, grown, strict=True)]
    assert sum(count_parameters(layer) for layer in model.squeeze) == 488_960


def _shapes(layers: nn.ModuleList, of_input: bool = False) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    for layer in layers:
        layer.register_forward_hook(
            lambda _, inputs, output: shapes.append(tuple((inputs[0] if of_input else output).shape))
        )
    return shapes


def test_small_network_keeps_its_budget() -> None:
    with torch.device("meta"):
        model = DenseAttentionSmall()
        macs = count_macs(model, torch.empty(1, 1, 240, 320), torch.empty(1))
    assert 0.8e6 < count_parameters(model) < 2.5e6
    assert macs < 0.9e9


def test_folded_classifier_is_a_linear_deconvolution() -> None:
    """With five widths the last layer equals a deconvolution without activation followed by a 1x1 convolution."""
    decoder = DenseAttentionSmall(DenseAttentionSmallConfig()).decoder
    folded = decoder.classify
    assert isinstance(folded, nn.ConvTranspose2d)
    deconvolution, point = nn.ConvTranspose2d(folded.in_channels, 8, 4, 2, padding=1, bias=False), nn.Conv2d(8, 3, 1)
    with torch.no_grad():
        folded.weight.copy_(torch.einsum("iokl,co->ickl", deconvolution.weight, point.weight[..., 0, 0]))
        assert folded.bias is not None and point.bias is not None
        folded.bias.copy_(point.bias)
        features = torch.randn(1, folded.in_channels, 5, 6)
        assert torch.allclose(folded(features), point(deconvolution(features)), atol=1e-5)


def test_context_sees_the_whole_image() -> None:
    context = LightContext(4, 6, (2, 4)).eval()
    features = torch.zeros(1, 4, 21, 21)
    changed = features.clone()
    changed[..., 0, 0] = 50.0
    with torch.no_grad():
        difference = (context(features) - context(changed)).abs().sum(dim=1)[0]
    assert difference[20, 20] > 0


def test_deconvolutions_have_no_checkerboard() -> None:
    """A constant input with constant weights stays constant inside, and sizes double exactly."""
    for layer in DenseAttentionSmall().decoder.deconvolutions:
        assert isinstance(layer, nn.Sequential)
        deconvolution = layer[0]
        assert isinstance(deconvolution, nn.ConvTranspose2d)
        with torch.no_grad():
            deconvolution.weight.fill_(1.0)
            out = deconvolution(torch.ones(1, deconvolution.in_channels, 7, 9))
        assert out.shape[-2:] == (7 * deconvolution.stride[0], 9 * deconvolution.stride[1])
        assert torch.allclose(out[..., 2:-2, 2:-2], out[..., 4:5, 4:5])


def test_wrong_configurations_say_what_is_expected() -> None:
    with pytest.raises(
        ValueError, match="DenseAttentionSmall, DenseAttentionSeg, DeepLabV3Plus, FCN, LargeKernelMatters, RefineNet"
    ):
        build_model({"class": "UNet"})
    with pytest.raises(ValueError, match="squeeze_width"):
        build_model({"class": "DenseAttentionSmall", "arguments": {"k": 3}})
    with pytest.raises(ValueError, match="gate, mul, concat, none"):
        DenseAttentionSmallConfig(attention="add")
    with pytest.raises(ValueError, match="levels is 7, expected 2 to 6"):
        DenseAttentionSegConfig(levels=7)
    with pytest.raises(ValueError, match="5, 5 and 5 or 6"):
        DenseAttentionSmallConfig(decoder_widths=(8, 8))
    with pytest.raises(ValueError, match="at least 1"):
        DeepLabV3PlusConfig(decoder_convolutions=0)
    with pytest.raises(TypeError, match="Linear"):
        model_config(nn.Linear(1, 1))


def test_every_network_has_a_name_that_builds_it() -> None:
    with torch.device("meta"):
        built = [build_model(config) for config in MODEL_NAMES.values()]
    assert {type(model).__name__ for model in built} == set(MODELS)
