"""Writes graphs that the engines of `opening` run: ONNX and OpenVINO files, in four precisions.

Every file says in its metadata what it is (`GraphDescription`). Weights that float16 holds exactly are stored as such,
which loses nothing and halves the files of models from model folders.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription, TaskContract

OPSET = 17
INT8_NODES_KEY = "graspcut_int8_nodes"
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_SMALLEST_STORED_AS_HALF = 64

Inputs = Mapping[str, NDArray[Any]]


def onnx_of_network(
    network: Any,
    example: Mapping[str, NDArray[Any]],
    contract: TaskContract,
    description: GraphDescription,
    int8_modules: Iterable[Any] = (),
) -> bytes:
    """A network traced into ONNX.

    Args:
        network: `torch.nn.Module` in evaluation mode: the contract's inputs in order -> its outputs in order.
        example: inputs by name. Branches on sizes are taken as this example takes them.
        contract: names of inputs and outputs, and which of their axes have no fixed size.
        description: for the metadata.
        int8_modules: parts of the network whose convolutions `quantized` may compute in int8.

    Returns:
        The file's bytes.
    """
    import onnx
    import torch

    buffer = io.BytesIO()
    specs = (*contract.inputs, *contract.outputs)
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of each branch on a size, and the exporter of its successor.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(torch.from_numpy(np.array(example[spec.name], dtype=spec.dtype)) for spec in contract.inputs),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            # Batch norms stay beside their convolutions, whose weights then still fit float16; engines fold them.
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=[spec.name for spec in contract.inputs],
            output_names=[spec.name for spec in contract.outputs],
            dynamic_axes={spec.name: spec.free_axes for spec in specs if spec.free_axes},
        )
    model = onnx.load_from_string(buffer.getvalue())
    # Sizes that the tracer believed in, which hold for its example only.
    del model.graph.value_info[:]
    _shorten_names(model)
    chosen = json.dumps(_int8_nodes(model, network, int8_modules))
    model.metadata_props.add(key=INT8_NODES_KEY, value=chosen)
    return _described(model, description, halve=True)


def _int8_nodes(model: Any, network: Any, modules: Iterable[Any]) -> list[str]:
    """Names of the convolutions whose weights belong to these modules: the tracer keeps the names of parameters."""
    chosen = {id(parameter) for module in modules for parameter in module.parameters()}
    weights = {name for name, parameter in network.named_parameters() if id(parameter) in chosen}
    return [node.name for node in model.graph.node if node.op_type in _CONVOLUTIONS and node.input[1] in weights]


def _shorten_names(model: Any) -> None:
    """Numbers the values that lie between nodes: the tracer names them by their whole path, at a third of a megabyte.

    What goes in, what comes out, weights and nodes keep their names.
    """
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return  # an inner graph refers to names outside of it
    named = (*model.graph.input, *model.graph.output, *model.graph.initializer)
    names = {entry.name: entry.name for entry in named}
    for node in model.graph.node:
        for value in node.output:
            names.setdefault(value, f"v{len(names)}" if value else "")
    for node in model.graph.node:
        node.input[:] = [names[value] if value else "" for value in node.input]
        node.output[:] = [names[value] for value in node.output]


def with_half_weights(onnx_bytes: bytes, description: GraphDescription) -> bytes:
    """The same graph with every weight rounded to float16; engines compute in float32 on processors."""
    import onnx

    model = onnx.load_from_string(onnx_bytes)
    return _described(model, description, halve=True, rounding=True)


def with_uint16_input(onnx_bytes: bytes, name: str) -> bytes:
    """The same graph with a uint16 input where it had a float32 one."""
    import onnx

    model = onnx.load_from_string(onnx_bytes)
    entry = next(entry for entry in model.graph.input if entry.name == name)
    inner = f"{name}_float32"
    for node in model.graph.node:
        node.input[:] = [inner if given == name else given for given in node.input]
    entry.type.tensor_type.elem_type = onnx.TensorProto.UINT16
    cast = onnx.helper.make_node("Cast", [name], [inner], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def quantized(onnx_bytes: bytes, calibration: Iterable[Inputs], description: GraphDescription) -> bytes:
    """The graph with int8 convolutions: ranges of activations from calibration inputs, weights a scale per channel.

    Args:
        onnx_bytes: the float32 graph of `onnx_of_network`, which says which convolutions may be quantized.
        calibration: inputs such as the graph will meet; a hundred are enough.
        description: for the metadata.

    Raises:
        BackendError: no calibration inputs, or the graph names no convolution.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    import graspcut.runtime.onnx_engine  # noqa: F401  before ONNX Runtime: its telemetry off

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, inputs: Iterator[Inputs], names: set[str]) -> None:
            self.inputs, self.names = inputs, names

        def get_next(self) -> Inputs | None:
            found = next(self.inputs, None)
            if found is None:
                return None
            return {name: array for name, array in found.items() if name in self.names}

    remaining = iter(calibration)
    first = next(remaining, None)
    if first is None:
        raise BackendError("there are no calibration frames: give a dataset with at least one")
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, written = (Path(folder) / name for name in ("whole.onnx", "prepared.onnx", "int8.onnx"))
        whole.write_bytes(onnx_bytes)
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        allowed = set(json.loads(next((e.value for e in model.metadata_props if e.key == INT8_NODES_KEY), "[]")))
        names = [node.name for node in model.graph.node if node.name in allowed]
        if not names:
            raise BackendError("no convolution of the graph may run in int8: its method names none")
        reader = Reader(chain([first], remaining), {entry.name for entry in model.graph.input})
        with _quiet_root_logger():
            quantize_static(
                prepared,
                written,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_CONVOLUTIONS),
                nodes_to_quantize=names,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        model = onnx.load(written)
        _store_once(model)
        return _described(model, description, halve=False)


def save_openvino(onnx_bytes: bytes, path: Path, description: GraphDescription) -> None:
    """Writes the graph as PATH (.xml) and a .bin beside it; the .xml last, so that what is there is whole."""
    from graspcut.runtime.openvino_core import openvino, shared_core

    model = shared_core().read_model(onnx_bytes)
    description = _with_settings_of(description, {name for entry in model.inputs for name in entry.names})
    model.set_rt_info(description.to_json(), METADATA_KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        try:
            openvino.save_model(model, written, compress_to_fp16=description.precision in ("fp16", "bf16"))
        except RuntimeError as error:
            free = shutil.disk_usage(path.parent).free / 1e6
            raise OSError(f"OpenVINO cannot write {path} ({free:.1f} MB are free there): {error}") from error
        os.replace(written.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(written, path)


def _with_settings_of(description: GraphDescription, inputs: set[str]) -> GraphDescription:
    """Without the settings that a network does not look at: the tracer leaves them out."""
    return dataclasses.replace(description, settings=tuple(name for name in description.settings if name in inputs))


def _described(model: Any, description: GraphDescription, *, halve: bool, rounding: bool = False) -> bytes:
    """Bytes of an ONNX model with its description, checked."""
    import onnx

    if halve:
        _store_as_half(model, rounding)
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    description = _with_settings_of(description, {entry.name for entry in model.graph.input})
    model.metadata_props.add(key=METADATA_KEY, value=description.to_json())
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _store_once(model: Any) -> None:
    """Keeps one of equal initialisers: a network that a graph runs at several sizes was given weights for each."""
    kept: dict[bytes, Any] = {}
    renamed: dict[str, str] = {}
    for initialiser in model.graph.initializer:
        nameless = type(initialiser)()
        nameless.CopyFrom(initialiser)
        nameless.ClearField("name")
        same = kept.setdefault(nameless.SerializeToString(deterministic=True), initialiser)
        renamed[initialiser.name] = same.name
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    left = [initialiser for initialiser in model.graph.initializer if renamed[initialiser.name] == initialiser.name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(left)


def _store_as_half(model: Any, rounding: bool) -> None:
    """Replaces float32 initialisers by float16 ones and a cast, where float16 holds them exactly, or all."""
    import onnx
    from onnx import numpy_helper

    casts, kept = [], []
    for initialiser in model.graph.initializer:
        array = numpy_helper.to_array(initialiser)
        if array.dtype == np.float32 and array.size >= _SMALLEST_STORED_AS_HALF:
            with np.errstate(over="ignore"):
                half = array.astype(np.float16)
            if np.isfinite(half).all() and (rounding or np.array_equal(half.astype(np.float32), array)):
                stored = f"{initialiser.name}_half"
                kept.append(numpy_helper.from_array(half, stored))
                casts.append(onnx.helper.make_node("Cast", [stored], [initialiser.name], name=f"{stored}_cast", to=1))
                continue
        kept.append(initialiser)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for position, cast in enumerate(casts):
        model.graph.node.insert(position, cast)


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """ONNX Runtime's quantizer warns through the root logger of things that were done on purpose."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
