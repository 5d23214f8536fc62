"""Names of exported graphs: one function says them for every precision and format, so what is written is found.

model.onnx   model.fp16.onnx   model.int8.onnx                       ONNX Runtime and OpenVINO
model.xml    model.fp16.xml    model.bf16.xml    model.int8.xml      OpenVINO, each with a .bin beside it
"""

from __future__ import annotations

from pathlib import Path

from graspcut.runtime.contract import PRECISIONS

GRAPH_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""Ending of the file of each format."""

READABLE = {"openvino": ("openvino", "onnx"), "onnxruntime": ("onnx",), "pytorch": ()}
"""Formats that each back end reads, its own first."""

# What `auto` takes first. bf16 comes last: not every processor has it.
_PREFERRED = ("int8", "fp32", "fp16", "bf16")
assert sorted(_PREFERRED) == sorted(PRECISIONS)


def graph_name(form: str, precision: str) -> str:
    """File name of an exported graph, see the module.

    Args:
        form: one of `GRAPH_SUFFIXES`.
        precision: one of `graspcut.runtime.contract.PRECISIONS`.
    """
    return f"model{'' if precision == 'fp32' else f'.{precision}'}{GRAPH_SUFFIXES[form]}"


def find_graphs(folder: Path) -> dict[tuple[str, str], Path]:
    """The graphs of a model folder by (format, precision), those that `auto` prefers first."""
    names = ((form, precision) for precision in _PREFERRED for form in GRAPH_SUFFIXES)
    return {key: folder / graph_name(*key) for key in names if (folder / graph_name(*key)).is_file()}


def find_graph(folder: Path, backend: str, precision: str = "auto") -> Path | None:
    """The graph of a model folder that a back end would run.

    Args:
        folder: the model folder.
        backend: one of `graspcut.runtime.contract.BACKENDS`.
        precision: one of `PRECISIONS`, or "auto" for the first of int8, fp32, fp16 and bf16 that is there.

    Returns:
        The file, or None where the folder has none.
    """
    found = find_graphs(folder)
    wanted = _PREFERRED if precision == "auto" else (precision,)
    keys = ((form, kind) for kind in wanted for form in READABLE[backend])
    return next((found[key] for key in keys if key in found), None)


def files_of_graph(path: Path) -> list[Path]:
    """All files that belong to a graph: of an .xml the .bin too."""
    weights = path.with_suffix(".bin")
    return [path, weights] if path.suffix == GRAPH_SUFFIXES["openvino"] and weights.is_file() else [path]
