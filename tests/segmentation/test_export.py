"""Exported graphs: the same answers as PyTorch at every size, precisions, refusals, and what `Segmenter.load` takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.runtime import engines, export, opening
from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription
from graspcut.runtime.export import ExportReport, Int8LossError, describe_graph
from graspcut.runtime.graph_files import graph_name
from graspcut.runtime.graphs import with_half_weights
from graspcut.runtime.method import Method
from graspcut.runtime.openvino_core import shared_core
from graspcut.segmentation.method import METHOD
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter, inputs_of
from tests.mini_network import mini_network, randomise_batch_norms, save_mini_folder, scene_mm

# (height, width), focal length, frames a batch
CAMERAS: list[tuple[tuple[int, int], float, tuple[int, ...]]] = [
    ((241, 317), 480.0, (1, 3)),  # shrinks, odd
    ((424, 512), 365.0, (1,)),  # shrinks by no whole factor
    ((120, 160), 120.0, (2,)),  # grows
    ((240, 320), 240.0, (1,)),  # as it is
    ((41, 57), 240.0, (2,)),  # only filled up
]
FILES = [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]
needs_bf16 = pytest.mark.skipif(
    "BF16" not in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor has no bfloat16 arithmetic",
)


@pytest.fixture(scope="module", autouse=True)
def quick_exports() -> Iterator[None]:
    """Exports compare themselves with PyTorch on small frames; `test_parity_frames` is for the real ones.

    The same network is traced once only, which takes longer than everything else. And one thread each: on a busy
    machine engines lose many times the work of such a small network by waiting for each other's threads.
    """
    traced: dict[tuple[str, bytes], bytes] = {}
    trace = export.onnx_of_model

    def traced_once(method: Method, network: nn.Module, description: GraphDescription) -> bytes:
        key = description.to_json(), b"".join(value.numpy().tobytes() for value in network.state_dict().values())
        if key not in traced:
            traced[key] = trace(method, network, description)
        return traced[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_SIZES", ((57, 41),))
        patch.setattr(export, "onnx_of_model", traced_once)
        for engine in ("onnx_session", "openvino_session"):
            patch.setattr(f"graspcut.runtime.{engine}.usable_cores", lambda: 1)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


def export_model(
    model: str | Path, out: Path, frames: list[LabelledFrame] | None = None, **options: Any
) -> ExportReport:
    """Of segmentation."""
    return export.export_model(METHOD, model, out, samples=frames, **options)


def onnx_of(network: nn.Module, name: str = "mini") -> bytes:
    """The float32 graph."""
    return export.onnx_of_model(METHOD, network, describe_graph(METHOD, name, "fp32"))


def with_scores(monkeypatch: pytest.MonkeyPatch, exact: float, int8: float) -> None:
    """Lets PyTorch and the int8 graph score so."""
    found = iter((exact, int8))
    quantization = METHOD.quantization
    assert quantization is not None
    changed = replace(quantization, score=lambda *_: next(found))
    monkeypatch.setitem(vars(METHOD), "quantization", changed)


@pytest.fixture(scope="module")
def reference() -> Segmenter:
    return Segmenter.from_network(mini_network(), device="cpu")


@pytest.fixture(scope="module")
def frames(reference: Segmenter) -> list[LabelledFrame]:
    """Small frames whose truth is what PyTorch says."""
    camera = Camera.sr300(64, 48)
    scenes = [scene_mm(48, 64, seed) for seed in range(12)]
    return [LabelledFrame(Frame(depth, camera), reference(depth, camera).labels) for depth in scenes]


@pytest.fixture(scope="module")
def graphs(frames: list[LabelledFrame], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports the mini network; each kind of file is written once."""
    folder = save_mini_folder(tmp_path_factory.mktemp("model") / "mini")
    out = tmp_path_factory.mktemp("graphs")

    def exported(form: Any = "onnx", precision: Any = "fp32") -> Path:
        path = out / graph_name(form, precision)
        if not path.exists():
            report = export_model(folder, out, form=form, precision=precision, frames=frames, largest_loss=100.0)
            assert report.path == path and report.precision == precision
        return path

    return exported


@pytest.fixture
def folder(graphs: Callable[..., Path], tmp_path: Path) -> Path:
    """A model folder with a float32 and an int8 graph."""
    made = save_mini_folder(tmp_path / "mini")
    for precision in ("fp32", "int8"):
        shutil.copy(graphs("onnx", precision), made)
    return made


def batch_mm(size: tuple[int, int], count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(count, H, W) different frames."""
    return np.stack([scene_mm(*size, seed) for seed in range(count)])


def difference(
    reference: Segmenter, other: Segmenter, size: tuple[int, int], focal: float, count: int
) -> tuple[float, float]:
    """Fraction of other labels and largest difference of a probability; all three classes are there."""
    depth = batch_mm(size, count)
    expected_labels, expected = reference.run(inputs_of(depth, focal)).values()
    labels, probabilities = other.run(inputs_of(depth, focal)).values()
    assert labels.dtype == np.uint8 and labels.shape == depth.shape
    assert probabilities.dtype == np.float32 and probabilities.shape == (count, 3, *size)
    assert np.unique(expected_labels).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    missing = np.moveaxis(probabilities, 1, -1)[depth == 0]
    assert len(missing) > 0 and (missing == np.array([1, 0, 0])).all()
    return float(np.mean(labels != expected_labels)), float(np.abs(probabilities - expected).max())


@pytest.mark.parametrize(("form", "backend"), FILES)
def test_one_file_agrees_with_pytorch_at_every_size_and_batch(
    graphs: Callable[..., Path], reference: Segmenter, form: str, backend: str
) -> None:
    segmenter = Segmenter.load(graphs(form), backend=backend)
    for size, focal, counts in CAMERAS:
        for count in counts:
            differing, largest = difference(reference, segmenter, size, focal, count)
            assert differing <= 1e-4 and largest < 1e-3, (size, count)


def test_parity_frames(graphs: Callable[..., Path], reference: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an export checks itself: rendered frames of the sizes that cameras have."""
    monkeypatch.setattr(export, "PARITY_SIZES", ((320, 240), (512, 424), (640, 480)))
    near = export.parity(reference, Segmenter.load(graphs(), backend="onnxruntime"))
    assert near.differing is not None and near.differing < 1e-4 and near.largest < 1e-3
    other = Segmenter.from_network(mini_network(seed=1), device="cpu")
    far = export.parity(reference, other)
    assert far.differing is not None and far.differing > 0.05 and far.largest > 0.05


@pytest.mark.parametrize(
    ("form", "precision", "backend", "pixels", "probability"),
    [
        ("onnx", "fp16", "onnxruntime", 2e-3, 0.02),
        ("openvino", "fp16", "openvino", 2e-3, 0.02),
        pytest.param("openvino", "bf16", "openvino", 2e-2, 0.2, marks=needs_bf16),
        ("onnx", "int8", "onnxruntime", 3e-2, 0.3),
        ("onnx", "int8", "openvino", 3e-2, 0.3),
        ("openvino", "int8", "openvino", 3e-2, 0.3),
    ],
)
def test_lower_precisions_come_near(
    graphs: Callable[..., Path],
    reference: Segmenter,
    form: str,
    precision: str,
    backend: str,
    pixels: float,
    probability: float,
) -> None:
    segmenter = Segmenter.load(graphs(form, precision), backend=backend, precision=precision)
    assert segmenter.session.precision == precision and segmenter.description.endswith(precision)
    for size, focal in (((48, 64), 47.68), ((97, 131), 95.0)):
        differing, largest = difference(reference, segmenter, size, focal, 2)
        assert differing <= pixels and largest < probability
    if precision in ("bf16", "int8"):
        assert largest > 1e-4  # else it would be float32 by another name


def test_weights_that_are_not_halves_are_rounded_only_when_asked(tmp_path: Path) -> None:
    network = mini_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.0 + 4e-4)
    exact = onnx_of(network)
    description = GraphDescription.from_json(_metadata(exact), "graph")
    assert (description.model, description.precision, description.labels) == (
        "mini", "fp32", ("background", "hand", "object"),
    )  # fmt: skip
    rounded = with_half_weights(exact, description)
    (tmp_path / "exact.onnx").write_bytes(exact)
    (tmp_path / "rounded.onnx").write_bytes(rounded)
    reference = Segmenter.from_network(network, device="cpu")
    found = [
        difference(reference, Segmenter.load(tmp_path / name, backend="onnxruntime"), (48, 64), 48.0, 1)[1]
        for name in ("exact.onnx", "rounded.onnx")
    ]
    assert found[0] < 1e-5 and 5e-5 < found[1] < 2e-2
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert len(exact) - len(rounded) > 1.6 * weights


def _metadata(graph: bytes) -> str:
    import onnx

    entries = {entry.key: entry.value for entry in onnx.load_from_string(graph).metadata_props}
    return str(entries[METADATA_KEY])


def test_reports_say_what_was_written(frames: list[LabelledFrame], tmp_path: Path) -> None:
    folder, told = save_mini_folder(tmp_path / "mini"), []
    report = export_model(folder, tmp_path / "new" / "out", progress=lambda *done: told.append(done))
    assert report.path == tmp_path / "new" / "out" / "model.onnx" and not told
    assert report.megabytes == pytest.approx(report.path.stat().st_size / 1e6)
    assert report.exact_score is None and report.int8_score is None
    assert report.differing is not None and report.differing <= 1e-4 and report.largest_difference < 1e-3
    report = export_model(
        folder, folder, precision="int8", frames=frames, largest_loss=100.0, progress=lambda *done: told.append(done)
    )
    assert told == [(done, 18) for done in range(1, 19)]  # of 12 frames 9 are scored, twice
    assert report.exact_score == 100.0  # the truth is what PyTorch says
    assert report.int8_score is not None and 80 < report.int8_score < 100
    assert {path.name for path in folder.iterdir()} == {
        "card.md", "config.json", "model.safetensors", "model.int8.onnx",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_int8_that_loses_too_much_leaves_nothing_behind(form: Any, frames: list[LabelledFrame], tmp_path: Path) -> None:
    folder, out = save_mini_folder(tmp_path / "mini"), tmp_path / "out"
    with pytest.raises(
        Int8LossError, match=r"float32 100\.00 .* on 9 frames: a loss of .* more than -100\.0\. Nothing"
    ):
        export_model(folder, out, form=form, precision="int8", frames=frames, largest_loss=-100.0)
    assert list(out.iterdir()) == []


def test_int8_limit_is_for_the_loss_and_not_for_the_score(
    frames: list[LabelledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_mini_folder(tmp_path / "mini")
    with_scores(monkeypatch, 51.0, 50.0)
    report = export_model(folder, tmp_path, precision="int8", frames=frames, largest_loss=1.0)
    assert (report.exact_score, report.int8_score) == (51.0, 50.0) and report.path.is_file()


def test_int8_needs_a_few_frames(frames: list[LabelledFrame], tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="3 calibration frames, expected at least 4"):
        export_model(save_mini_folder(tmp_path / "mini"), tmp_path / "out", precision="int8", frames=frames[:3])
    assert not (tmp_path / "out").exists()


def test_a_graph_unlike_pytorch_is_not_written_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = save_mini_folder(tmp_path / "mini"), tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_bytes(b"an older one")
    wrong = onnx_of(mini_network(seed=1))
    monkeypatch.setattr(export, "onnx_of_model", lambda *_: wrong)
    with pytest.raises(BackendError, match=r"does not agree with PyTorch.*Nothing was written"):
        export_model(folder, out)
    assert [path.name for path in out.iterdir()] == ["model.onnx"]
    assert (out / "model.onnx").read_bytes() == b"an older one"


def test_what_cannot_be_exported_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match=r"no bfloat16 convolutions.*--format openvino"):
        export_model("no-such-model", tmp_path / "out", form="onnx", precision="bf16")
    monkeypatch.setattr(engines, "is_installed", lambda backend: backend != "openvino")
    with pytest.raises(BackendError, match=r"pip install '\.\[openvino\]' in a checkout"):
        export_model("no-such-model", tmp_path / "out", form="openvino")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_given_both_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CALIBRATION_SAMPLES", 2)
    monkeypatch.setattr(export, "TEST_SAMPLES", 2)
    folder = save_mini_folder(tmp_path / "mini")
    with_scores(monkeypatch, 51.0, 50.9)
    reports = [export_model(folder, folder), export_model(folder, folder, precision="int8")]
    assert [report.path.name for report in reports] == ["model.onnx", "model.int8.onnx"]
    assert all(report.path.parent == folder and report.path.is_file() for report in reports)


@pytest.mark.parametrize(
    ("name", "few_channels"),
    [
        ("DenseAttentionSeg", {"trunk_width": 16}),
        ("DeepLabV3Plus", {"trunk_width": 16}),
        ("LargeKernelMatters", {"trunk_width": 16}),
        ("RefineNet", {"trunk_width": 16, "width": 16}),
    ],
)
def test_the_networks_of_table_2_are_exported_too(name: str, few_channels: dict[str, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_model({"class": name, "arguments": few_channels}).eval()
    randomise_batch_norms(network)
    (tmp_path / "large.onnx").write_bytes(onnx_of(network, name))
    reference = Segmenter.from_network(network, device="cpu")
    for backend in ("onnxruntime", "openvino"):
        segmenter = Segmenter.load(tmp_path / "large.onnx", backend=backend)
        for size, count in (((64, 80), 1), ((61, 83), 2)):
            depth = batch_mm(size, count)
            expected = reference.run(inputs_of(depth, 480.0))["probabilities"]
            probabilities = segmenter.run(inputs_of(depth, 480.0))["probabilities"]
            assert expected.std() > 0.001
            np.testing.assert_allclose(probabilities, expected, atol=1e-3)


@pytest.mark.parametrize(("form", "backend"), FILES)
def test_exported_files_are_loaded_by_path(
    graphs: Callable[..., Path], reference: Segmenter, form: str, backend: str
) -> None:
    path = graphs(form)
    segmenter = Segmenter.load(str(path), threads=1, backend=backend, parallel_calls=2)
    assert segmenter.session.backend == backend and segmenter.parallel_calls == 2
    assert segmenter.name == str(path) and segmenter.config["model"]["class"] == "DenseAttentionSmall"
    camera = Camera.sr300(64, 48)
    depth = scene_mm(48, 64)
    np.testing.assert_allclose(
        segmenter(depth, camera).probabilities, reference(depth, camera).probabilities, atol=1e-3
    )
    assert Segmenter.load(path).session.backend == "openvino"
    with pytest.raises(BackendError, match="is a fp32 graph, and int8 was asked for"):
        Segmenter.load(path, backend=backend, precision="int8")


def test_auto_takes_the_fastest_engine_that_is_installed(
    graphs: Callable[..., Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = {"openvino", "onnxruntime", "pytorch"}
    for module in (engines, opening):
        monkeypatch.setattr(module, "is_installed", lambda backend: backend in present)
    monkeypatch.setattr(opening, "nvidia_driver_present", lambda: False)
    bare = save_mini_folder(folder.parent / "bare")
    assert Segmenter.load(folder).description == "OpenVINO on cpu, int8"
    assert Segmenter.load(graphs()).description == "OpenVINO on cpu, fp32"
    assert Segmenter.load(bare).description == "PyTorch on cpu, fp32"
    present.remove("openvino")
    assert Segmenter.load(folder).description == "ONNX Runtime on cpu, int8"
    assert Segmenter.load(graphs()).description == "ONNX Runtime on cpu, fp32"
    with pytest.raises(BackendError, match="back end openvino was asked for"):
        Segmenter.load(graphs("openvino"))
    present.remove("onnxruntime")
    assert Segmenter.load(folder).description == "PyTorch on cpu, fp32"
    with pytest.raises(BackendError, match="back end onnxruntime was asked for"):
        Segmenter.load(graphs())
    present.clear()
    with pytest.raises(BackendError, match=r"none of openvino, onnxruntime, pytorch can run .*mini"):
        Segmenter.load(folder)


def test_a_folder_s_graphs_are_taken_by_precision(folder: Path, reference: Segmenter) -> None:
    depth, camera = scene_mm(48, 64), Camera.sr300(64, 48)
    expected = reference(depth, camera).probabilities
    for backend, title in (("openvino", "OpenVINO"), ("onnxruntime", "ONNX Runtime")):
        exact = Segmenter.load(folder, backend=backend, precision="fp32")
        assert exact.description == f"{title} on cpu, fp32"
        assert (exact.name, exact.config["task"]) == (str(folder), "segmentation")
        np.testing.assert_allclose(exact(depth, camera).probabilities, expected, atol=1e-3)
        assert Segmenter.load(folder, backend=backend).description == f"{title} on cpu, int8"
        with pytest.raises(BackendError, match=rf"{backend} was asked for, and .* has no graph for it in bf16"):
            Segmenter.load(folder, backend=backend, precision="bf16")
    assert Segmenter.load(folder, backend="pytorch", device="cpu").description == "PyTorch on cpu, fp32"
    with pytest.raises(BackendError, match="PyTorch on cpu runs fp32 here, not 'int8'"):
        Segmenter.load(folder, device="cpu", backend="pytorch", precision="int8")
    (folder / "model.int8.onnx").unlink()
    assert Segmenter.load(folder, backend="onnxruntime").description == "ONNX Runtime on cpu, fp32"
    with pytest.raises(BackendError, match=r"no graph for it in int8.*--precision int8"):
        Segmenter.load(folder, backend="onnxruntime", precision="int8")
    (folder / "model.onnx").unlink()
    with pytest.raises(BackendError, match=r"no graph for it: write one with 'graspcut export .*mini --out FOLDER'"):
        Segmenter.load(folder, backend="openvino")


def test_graphs_for_something_else_are_refused(graphs: Callable[..., Path], tmp_path: Path) -> None:
    import onnx

    model = onnx.load(graphs())
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    for key, value in (("task", "pose"), ("labels", ["background", "hand"])):
        stored = json.loads(entry.value)
        other = onnx.ModelProto()
        other.CopyFrom(model)
        del other.metadata_props[:]
        other.metadata_props.add(key=METADATA_KEY, value=json.dumps({**stored, key: value}))
        onnx.save(other, tmp_path / "other.onnx")
        for backend in ("onnxruntime", "openvino"):
            with pytest.raises(BackendError, match="Choose a segmentation model"):
                Segmenter.load(tmp_path / "other.onnx", backend=backend)


def test_unknown_names_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="unknown precision 'int4': use auto, fp32, fp16, bf16, int8"):
        Segmenter.load(tmp_path / "none", precision="int4")
    with pytest.raises(BackendError, match="unknown back end 'tensorrt': use auto, openvino"):
        Segmenter.load(tmp_path / "none", backend="tensorrt")
    with pytest.raises(BackendError, match=r"none\.onnx does not exist"):
        Segmenter.load(tmp_path / "none.onnx")


@pytest.mark.parametrize(("form", "reader"), FILES)
def test_a_graph_may_take_whole_millimetres(
    form: str, reader: str, folder: Path, reference: Segmenter, tmp_path: Path
) -> None:
    report = export_model(folder, tmp_path / "whole", form=form, depth_type="uint16")
    segmenter = Segmenter.load(report.path, backend=reader)
    whole = scene_mm(41, 57).round()
    for depth in (whole, whole.astype(np.uint16), whole + np.float32(0.25) * (whole > 0)):
        np.testing.assert_allclose(segmenter(depth).probabilities, reference(whole).probabilities, atol=1e-4)


def test_what_is_exported_into_the_model_s_folder_is_found_there(folder: Path, graphs: Callable[..., Path]) -> None:
    """In every precision and format, by the one function that names them."""
    for path in folder.glob("model*.onnx"):
        path.unlink()
    shutil.copy(graphs("onnx", "fp16"), folder)
    assert Segmenter.load(folder, backend="onnxruntime").description == "ONNX Runtime on cpu, fp16"
    assert Segmenter.load(folder, backend="openvino", precision="fp16").description == "OpenVINO on cpu, fp16"
    for suffix in (".xml", ".bin"):
        shutil.copy(graphs("openvino", "fp32").with_suffix(suffix), folder)
    assert Segmenter.load(folder, backend="openvino").description == "OpenVINO on cpu, fp32"
    assert Segmenter.load(folder, backend="onnxruntime").description == "ONNX Runtime on cpu, fp16"
    with pytest.raises(BackendError, match="no graph for it in fp32"):
        Segmenter.load(folder, backend="onnxruntime", precision="fp32")


def test_a_graph_of_other_weights_is_refused_with_how_to_renew_it(folder: Path) -> None:
    other = save_mini_folder(folder.parent / "other", mini_network(seed=1))
    shutil.copy(folder / "model.int8.onnx", other)
    for options in ({"backend": "onnxruntime"}, {"backend": "openvino"}, {"device": "cpu"}):
        with pytest.raises(BackendError, match=rf"stale.*graspcut export {other} --precision int8 --out {other}'"):
            Segmenter.load(other, **options)  # type: ignore[arg-type]
    assert Segmenter.load(other, backend="pytorch").description == "PyTorch on cpu, fp32"
    # The configuration makes the graph too, whatever the weights.
    config = json.loads((folder / "config.json").read_text())
    config["model"]["arguments"]["working_focal_px"] = 120.0
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackendError, match="stale"):
        Segmenter.load(folder, backend="onnxruntime")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_exported_graphs_take_what_is_no_number_as_no_data(
    graphs: Callable[..., Path], backend: str, precision: str
) -> None:
    segmenter = Segmenter.load(graphs("onnx", precision), backend=backend)
    depth = batch_mm((48, 64), 1)
    expected = segmenter.run(inputs_of(depth, 48.0))
    assert np.count_nonzero(expected["labels"]) > 0
    rows, columns = np.nonzero(depth[0] == 0)
    depth[0, rows[:6], columns[:6]] = [np.nan, np.inf, -np.inf, -1.0, np.nan, np.inf]
    found = segmenter.run(inputs_of(depth, 48.0))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
