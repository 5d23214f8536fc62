"""Model folders: how a trained network lies on disk.

    NAME/config.json         what to build and what the weights expect (plain JSON)
    NAME/model.safetensors   weights, float16 (never pickle)
    NAME/card.md             what it was trained on, how, and its measured results
    NAME/model.onnx          optional: the whole graph, for engines without torch
    NAME/model.int8.onnx     optional: the same with int8 convolutions; see `graph_files` for all such names

Reading needs numpy only; torch is imported by the one function that fills a network. A folder is written under a
temporary name and renamed, so a killed command leaves either the old folder or the new one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json_value

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "card.md"
FORMAT_VERSION = 1

_LARGEST_HALF = float(np.finfo(np.float16).max)


class ModelFolderError(ValueError):
    """A model folder is missing, incomplete or does not fit; the text says what to do."""


def shipped_models_dir() -> Path:
    """Folder of the models that come with the package."""
    return Path(__file__).resolve().parent.parent / "weights"


def shipped_model_names() -> list[str]:
    """Names of the models that come with the package, sorted."""
    folder = shipped_models_dir()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG_NAME).is_file())


def find_model_folder(name_or_dir: str | Path) -> Path:
    """The folder of a model given by path or by the name of a shipped model.

    Args:
        name_or_dir: a model folder (it wins), or a shipped model's name.

    Raises:
        ModelFolderError: if there is neither; the text lists the shipped names.
    """
    path = Path(name_or_dir)
    if (path / CONFIG_NAME).is_file():
        return path
    names = shipped_model_names()
    if (path / "model" / CONFIG_NAME).is_file():
        raise ModelFolderError(f"{path} is a run folder, and its model is in it: did you mean {path / 'model'}?")
    if str(name_or_dir) in names:
        return shipped_models_dir() / str(name_or_dir)
    shipped = ", ".join(names) if names else "none"
    state = f"the folder exists but has no {CONFIG_NAME}" if path.is_dir() else "there is no such folder"
    close = difflib.get_close_matches(str(name_or_dir), names, 1)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise ModelFolderError(
        f"no model {str(name_or_dir)!r}: {state}, and no shipped model has that name (shipped: {shipped}).{meant} "
        f"Give the path of a model folder or one of these names."
    )


def model_digest(folder: Path) -> str:
    """What the network of a model folder is, as 64 hexadecimal digits: its configuration and its weights.

    A graph carries the digest of the folder it was made from, results that of the model they were made with.

    Raises:
        ModelFolderError: if the folder is incomplete.
    """
    network = json.dumps(load_model_config(folder).get("model"), sort_keys=True).encode()
    try:
        weights = (folder / WEIGHTS_NAME).read_bytes()
    except OSError as error:
        raise ModelFolderError(f"{folder / WEIGHTS_NAME} cannot be read ({error.strerror}): copy it again") from error
    return hashlib.sha256(hashlib.sha256(network).digest() + hashlib.sha256(weights).digest()).hexdigest()


def check_target(target: Path) -> None:
    """Refuses a place where a model folder cannot be written; for commands that work long before they write it.

    Raises:
        ModelFolderError: it is a file, or a folder that holds other things.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / CONFIG_NAME).is_file():
        raise ModelFolderError(f"{target} exists and is no model folder (no {CONFIG_NAME}): choose another name")
    if target.exists() and not target.is_dir():
        raise ModelFolderError(f"{target} is a file; expected the name of a new model folder: choose another name")


def save_model_folder(
    directory: str | Path,
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor | NDArray[Any]],
    card: str,
) -> Path:
    """Writes a model folder, replacing an older one of the same name.

    Args:
        directory: the folder to write.
        config: JSON-able description; "format" is added.
        state_dict: weights by name. Floating-point tensors are stored as float16, except those with values that float16
            can't hold, which stay float32; integers stay as they are.
        card: Markdown text.

    Returns:
        The folder.

    Raises:
        ModelFolderError: if a weight is not finite, or the target exists and is no model folder.
    """
    target = Path(directory)
    check_target(target)
    tensors = {name: _stored(name, value) for name, value in state_dict.items()}
    text = json.dumps({"format": FORMAT_VERSION, **config}, indent=2, sort_keys=False) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        (temporary / CONFIG_NAME).write_text(text, encoding="utf-8")
        (temporary / CARD_NAME).write_text(card.rstrip() + "\n", encoding="utf-8")
        save_file(tensors, temporary / WEIGHTS_NAME)
        # mkdtemp and safetensors make them private; both get what the user's mask leaves, as the card has it.
        mode = (temporary / CARD_NAME).stat().st_mode & 0o666
        (temporary / WEIGHTS_NAME).chmod(mode)
        temporary.chmod(mode | (mode & 0o444) >> 2)
        _replace_folder(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def load_model_config(name_or_dir: str | Path) -> dict[str, Any]:
    """Reads `config.json` of a model.

    Args:
        name_or_dir: see `find_model_folder`.

    Raises:
        ModelFolderError: if it is missing, no JSON object, or of another format version.
    """
    path = find_model_folder(name_or_dir) / CONFIG_NAME
    try:
        config = read_json_value(path)
    except FrameError as error:
        raise ModelFolderError(f"{path} is not valid JSON of a model: {error} Or export the model again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT_VERSION:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelFolderError(
            f"{path} has format {found!r}, this version reads {FORMAT_VERSION}: export it again or update graspcut"
        )
    _check_fields(config, path)
    return config


def _check_fields(config: Mapping[str, Any], path: Path) -> None:
    """Refuses a configuration whose fields are of other types than everybody takes them for."""
    model, labels = config.get("model"), config.get("labels")
    for field, value, fits, expected in (
        ("task", config.get("task"), isinstance(config.get("task", ""), str), "a text"),
        ("model", model, model is None or isinstance(model, dict), "an object"),
        (
            "labels",
            labels,
            labels is None or (isinstance(labels, list) and all(isinstance(label, str) for label in labels)),
            "a list of texts",
        ),
    ):
        if not fits:
            raise ModelFolderError(f"{path}: the field {field!r} is {value!r:.60}, expected {expected}; copy it again")
    if isinstance(model, dict) and not isinstance(model.get("arguments") or {}, dict):
        raise ModelFolderError(f"{path}: the field 'model.arguments' is no object; copy it again")


def load_model_folder(name_or_dir: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Reads configuration and weights of a model without torch.

    Args:
        name_or_dir: see `find_model_folder`.

    Returns:
        (config, weights by name); floating-point weights come as float32.

    Raises:
        ModelFolderError: if something is missing or broken.
    """
    folder = find_model_folder(name_or_dir)
    config = load_model_config(folder)
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise ModelFolderError(f"{folder} has no {WEIGHTS_NAME}: the folder is incomplete, copy or export it again")
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ModelFolderError(f"{path} is not a complete safetensors file ({error}); copy it again") from error
    for name, value in stored.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise ModelFolderError(f"{path}: the weight {name} has values that are not finite; copy it again")
    return config, {
        name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in stored.items()
    }


def fill_network(network: nn.Module, weights: Mapping[str, NDArray[Any]], origin: str | Path) -> None:
    """Copies weights into a network; names and shapes must agree exactly.

    Args:
        network: the network, built from the same folder's configuration.
        weights: from `load_model_folder`.
        origin: where they come from, for the error text.

    Raises:
        ModelFolderError: lists missing, unexpected and misshapen weights.
    """
    import torch

    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    misshapen = sorted(
        f"{name} {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if tuple(weights[name].shape) != tuple(expected[name].shape)
    )
    problems = [
        f"{title}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", misshapen))
        if names
    ]
    if problems:
        raise ModelFolderError(
            f"the weights of {origin} do not fit {type(network).__name__}: {'; '.join(problems)}. "
            "Config and weights of a folder belong together; do not mix them, or export the model again."
        )
    network.load_state_dict({name: torch.from_numpy(np.array(value, order="C")) for name, value in weights.items()})


def _stored(name: str, value: Tensor | NDArray[Any]) -> NDArray[Any]:
    array = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
    if not np.issubdtype(array.dtype, np.floating):
        return np.array(array, order="C")  # ascontiguousarray would give a scalar a dimension
    if not np.isfinite(array).all():
        raise ModelFolderError(f"weight {name} has values that are not finite: the training diverged, nothing written")
    fits = array.size == 0 or float(np.abs(array).max()) <= _LARGEST_HALF
    return np.array(array, dtype=np.float16 if fits else np.float32, order="C")


def _replace_folder(new: Path, target: Path) -> None:
    if not target.exists():
        os.replace(new, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    os.replace(target, old)  # an empty folder may be replaced by a rename
    try:
        os.replace(new, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old)
