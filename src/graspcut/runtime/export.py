"""Writes graphs that the engines of `opening` run: ONNX and OpenVINO files, in four precisions.

Every file says in its metadata what it is (`GraphDescription`). Weights that float16 holds exactly are stored as such,
which loses nothing and halves the files of models from model folders.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.runtime.contract import METADATA_KEY, BackendError, GraphDescription

OPSET = 17
_SMALLEST_STORED_AS_HALF = 64

Inputs = Mapping[str, NDArray[Any]]


def onnx_of_network(
    network: Any,
    example: Mapping[str, Any],
    outputs: Mapping[str, Mapping[int, str]],
    description: GraphDescription,
    dynamic_axes: Mapping[str, Mapping[int, str]],
) -> bytes:
    """A network traced into ONNX.

    Args:
        network: `torch.nn.Module` in evaluation mode, called with the inputs in order.
        example: one tensor for each input, by name. Branches on sizes are taken as this example takes them.
        outputs: for each output the names of its axes that have no fixed size.
        description: for the metadata.
        dynamic_axes: the same for the inputs.

    Returns:
        The file's bytes.
    """
    import onnx
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of each branch on a size, and the exporter of its successor.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(example.values()),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            # Batch norms stay beside their convolutions, whose weights then still fit float16; engines fold them.
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_axes={**dynamic_axes, **outputs},
        )
    model = onnx.load_from_string(buffer.getvalue())
    # Sizes that the tracer believed in, which hold for its example only.
    del model.graph.value_info[:]
    return _described(model, description, halve=True)


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


def quantized(
    onnx_bytes: bytes,
    calibration: Iterable[Inputs],
    description: GraphDescription,
    chosen: Callable[[str], bool],
) -> bytes:
    """The graph with int8 convolutions: ranges of activations from calibration inputs, weights a scale per channel.

    Args:
        onnx_bytes: the float32 graph.
        calibration: inputs such as the graph will meet; a hundred are enough.
        description: for the metadata.
        chosen: whether the convolution of this node name is quantized.

    Raises:
        BackendError: no calibration inputs, or no convolution is chosen.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

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
        names = [
            node.name for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose") and chosen(node.name)
        ]
        if not names:
            raise BackendError("no convolution of the graph was chosen for int8")
        reader = Reader(chain([first], remaining), {entry.name for entry in model.graph.input})
        with _quiet_root_logger():
            quantize_static(
                prepared,
                written,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose"],
                nodes_to_quantize=names,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        return _described(onnx.load(written), description, halve=False)


def save_openvino(onnx_bytes: bytes, path: Path, description: GraphDescription) -> None:
    """Writes the graph as PATH (.xml) and a .bin beside it; the .xml last, so that what is there is whole."""
    import openvino

    from graspcut.runtime.openvino_core import shared_core

    model = shared_core().read_model(onnx_bytes)
    description = _with_settings_of(description, {name for entry in model.inputs for name in entry.names})
    model.set_rt_info(description.to_json(), METADATA_KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        openvino.save_model(model, written, compress_to_fp16=description.precision in ("fp16", "bf16"))
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
