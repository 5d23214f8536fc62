"""What a task's graphs promise, what an exported graph says of itself, and the one small interface over the engines.

A method states its promise once, torch-free, beside its predictor:

    CONTRACT = TaskContract(
        task="matting",
        labels=("alpha",),
        arrays=(ArraySpec("colour", "uint8", ("batch", "height", "width", 3)),
                ArraySpec("trimap", "uint8", ("batch", "height", "width"))),
        settings=(),
        outputs=(ArraySpec("alpha", "float32", ("batch", "height", "width")),),
    )

Opening, exporting and measuring follow it. A session runs one graph on one engine: arrays by name in, arrays by name
out. `opening` opens them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BACKENDS = ("openvino", "onnxruntime", "pytorch")
BACKEND_TITLES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "pytorch": "PyTorch"}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
METADATA_KEY = "graspcut"


class BackendError(ValueError):
    """An engine is missing or cannot run a graph; the text says what to install or choose."""


@dataclass(frozen=True)
class ArraySpec:
    """One input or output of a graph.

    Attributes:
        name: such as "depth_mm".
        dtype: numpy's name of its type, such as "float32" or "uint8".
        axes: for each axis its size, or a name if it may have any: ("batch", "height", "width", 3).
    """

    name: str
    dtype: str
    axes: tuple[int | str, ...]

    @property
    def free_axes(self) -> dict[int, str]:
        """The axes that may have any size, by position."""
        return {position: axis for position, axis in enumerate(self.axes) if isinstance(axis, str)}


@dataclass(frozen=True)
class TaskContract:
    """What every graph of a task promises, whatever network is inside.

    Attributes:
        task: what model folders and exported graphs call it, such as "segmentation".
        labels: names of the classes, which a model must have; empty if there are none, None if they differ from model
            to model.
        arrays: inputs that change with every frame, in the order of the graph.
        settings: inputs behind them that change rarely, such as a focal length; engines may build them in.
        outputs: in the order of the graph.
    """

    task: str
    labels: tuple[str, ...] | None
    arrays: tuple[ArraySpec, ...]
    settings: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]

    @property
    def inputs(self) -> tuple[ArraySpec, ...]:
        """Arrays, then settings."""
        return (*self.arrays, *self.settings)


@dataclass(frozen=True)
class GraphDescription:
    """What an exported graph says of itself.

    Attributes:
        task: such as "segmentation".
        model: name of the model it was exported from.
        precision: one of `PRECISIONS`; how convolutions are meant to be computed.
        labels: names of the classes.
        settings: names of the inputs that change rarely, such as a focal length; engines may build them in.
        graspcut: version that exported it.
        weights: digest of the model folder it was made from, see `model_digest`; empty if it was made from none.
        network: class and arguments of the network inside, as in a model folder's config["model"]; empty in old files.
    """

    task: str
    model: str
    precision: str
    labels: tuple[str, ...]
    settings: tuple[str, ...] = ()
    graspcut: str = ""
    weights: str = ""
    network: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """For the metadata of a file."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str, origin: str | Path) -> GraphDescription:
        """Reads what `to_json` wrote.

        Raises:
            BackendError: the text is missing or something else.
        """
        try:
            stored = json.loads(text)
            stored["labels"], stored["settings"] = tuple(stored["labels"]), tuple(stored["settings"])
            description = cls(**stored)
        except (ValueError, TypeError, KeyError) as error:
            raise BackendError(
                f"{origin} was not written by 'graspcut export': its metadata has no description of the graph. "
                "Export the model folder again."
            ) from error
        if description.precision not in PRECISIONS:
            raise BackendError(f"{origin} has the precision {description.precision!r}, expected one of {PRECISIONS}")
        return description


def as_declared(array: NDArray[Any], declared: np.dtype[Any]) -> NDArray[Any]:
    """An array as a graph wants it: contiguous, in its type; fractions are rounded where it takes whole numbers."""
    if np.issubdtype(declared, np.integer) and not np.issubdtype(array.dtype, np.integer):
        limits = np.iinfo(declared)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return np.ascontiguousarray(array, dtype=declared)


class Session(Protocol):
    """A graph on an engine.

    Attributes:
        backend: one of `BACKENDS`.
        device: "cpu", "cuda:0", ...
        precision: one of `PRECISIONS`.
        parallel_calls: how many threads may call `run` at the same time and gain from it.
    """

    @property
    def backend(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def parallel_calls(self) -> int: ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name. They belong to the caller: a later call does not change them.

        Args:
            inputs: all inputs of the graph by name; they are brought to the types it was exported with. Others are not
                looked at: a network that has no use for a setting has no such input.
        """
