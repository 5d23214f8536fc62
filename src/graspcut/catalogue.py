"""The methods by the name of their task: what a model folder or an exported graph says it is for.

A new method adds one line here. Nothing of a method is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from graspcut.runtime.contract import BackendError
from graspcut.runtime.method import Method
from graspcut.runtime.model_folder import find_model_folder, load_model_config
from graspcut.runtime.opening import OpenOptions, open_graph_file, reader_of

METHODS = {
    "segmentation": "graspcut.segmentation.method",
    "instances": "graspcut.instances.method",
    "pose-parts": "graspcut.pose.method:PARTS",
    "pose-joints": "graspcut.pose.method:JOINTS",
    "pose-locator": "graspcut.pose.method:LOCATOR",
    "matting": "graspcut.matting.method",
}
"""Task -> module whose METHOD is the method, or "module:NAME" where it has several."""

DEFAULT_TASK = "segmentation"


def method_of(task: str) -> Method:
    """The method of a task.

    Raises:
        BackendError: unknown task; lists the known ones.
    """
    if task not in METHODS:
        raise BackendError(f"unknown task {task!r}: this version of graspcut has {', '.join(METHODS)}")
    module, _, name = METHODS[task].partition(":")
    method: Method = getattr(importlib.import_module(module), name or "METHOD")
    return method


def method_of_model(model: str | Path | None) -> Method:
    """The method that a model is for.

    Args:
        model: shipped model's name, model folder or exported file; None for the default task.

    Raises:
        ModelFolderError: there is no such model, or it is damaged.
        BackendError: its task is unknown, or the file was not written by `graspcut export`.
    """
    if model is None:
        return method_of(DEFAULT_TASK)
    path = Path(model)
    if OpenOptions(model).is_file:
        return method_of(open_graph_file(path, reader_of(path))[1].task)
    folder = find_model_folder(model)
    return method_of(str(load_model_config(folder).get("task")))
