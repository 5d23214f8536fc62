"""What a run folder or a checkpoint holds, for a person. torch is imported to look into a checkpoint alone."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json
from graspcut.train.learning_curves import RECORD_NAME, read_curves
from graspcut.train.run_config import LAST_CHECKPOINT

Facts = tuple[tuple[str, str], ...]


def describe_run_folder(folder: Path) -> tuple[Facts, tuple[str, ...]]:
    """What is trained in a run folder, and how far it is.

    Returns:
        (what, value) in order; and one line for each thing that is damaged.
    """
    try:
        record = read_json(folder / RECORD_NAME)
    except FrameError as error:
        return (), (str(error),)
    task = record.get("task", {})
    training = task.get("training", {})
    steps = training.get("optimisation", {}).get("steps")
    facts = [("task", str(task.get("task"))), ("network", _network(task.get("model")))]
    facts += [("parameters", f"{task['parameters']:,}")] if isinstance(task.get("parameters"), int) else []
    curves = read_curves(folder)
    done = max((curve.steps[-1] for curve in curves.values() if curve.steps), default=0)
    facts.append(("logged up to", f"step {done} of {steps}"))
    facts += [
        (name, f"{curve.values[-1]:.4f} at step {curve.steps[-1]}")
        for name, curve in curves.items()
        if name == "train/loss" or name.startswith("val/")
    ]
    if not any(name.startswith("val/") for name in curves):
        facts.append(("validation", "none was logged: without validation data a run says nothing of what it is worth"))
    model = folder / "model"
    is_there = (model / "config.json").is_file()
    facts.append(("model", str(model) if is_there else "none yet; the command that started the run continues it"))
    checkpoint = folder / LAST_CHECKPOINT
    faults = _zip_faults(checkpoint) if checkpoint.exists() else []
    return tuple(facts), tuple(faults)


def describe_checkpoint(path: Path) -> tuple[Facts, tuple[str, ...]]:
    """Step, size and weights of a checkpoint of a training.

    Returns:
        (what, value) in order; and one line for each thing that is damaged.
    """
    facts = [("size", f"{path.stat().st_size / 2**20:.1f} MiB")]
    faults = _zip_faults(path)
    if faults:
        return tuple(facts), tuple(faults)
    try:
        import torch
    except ModuleNotFoundError:
        facts.append(("contents", "PyTorch, which can look into it, is not installed"))
        return tuple(facts), ()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    weights = state.get("state_dict", state)
    facts.append(("step", str(state.get("global_step", "unknown"))))
    tensors = [value for value in weights.values() if hasattr(value, "numel")]
    facts.append(("numbers in the weights", f"{sum(tensor.numel() for tensor in tensors):,}"))
    facts.append(("run folder", str(path.resolve().parent.parent)))
    facts.append(("to use it", "type the run's command again: it continues, and writes a model folder at the end"))
    return tuple(facts), ()


def _network(model: object) -> str:
    if not isinstance(model, dict):
        return "unknown"
    file = model.get("file")
    return f"{model.get('class')}" + (f" of {file.get('name')}" if isinstance(file, dict) else "")


def _zip_faults(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, zlib.error) as error:
        damaged = str(error) or type(error).__name__
    return [] if damaged is None else [f"{path} is damaged ({damaged}): restore it, or delete it to start again"]
