"""Several models on the same frames: one table of scores, size, work and time, and two plots.

    comparison = compare_models(["runs/mine", "dense-attention-small"], reader)
    save_comparison(comparison, "comparison")

The models take turns frame by frame, so that a machine that slows down slows all of them. Work and parameters are
counted where PyTorch is installed and a model folder is given.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.own_files import file_of_config
from graspcut.runtime.engines import is_installed
from graspcut.runtime.model_folder import ModelFolderError, find_model_folder, load_model_config
from graspcut.runtime.opening import OpenOptions
from graspcut.segmentation.evaluation import Evaluation, EvaluationReport
from graspcut.segmentation.predictor import Segmenter
from graspcut.train.learning_curves import Curve, is_run, read_curves

ProgressCallback = Callable[[int, int], None]
_WARM_UP_CALLS = 2


@dataclass(frozen=True)
class ComparedModel:
    """What is known of one model.

    Attributes:
        name: as it was given.
        engine: what ran it.
        report: its scores.
        milliseconds: median time of a frame, from millimetres to labels.
        parameters: of its network; None where they cannot be counted.
        macs: multiply-accumulates of one frame as large as the first one; None where they cannot be counted.
        curves: of the run that it is of; empty without one.
        is_of_run: whether it is of a run.
    """

    name: str
    engine: str
    report: EvaluationReport
    milliseconds: float
    parameters: int | None = None
    macs: int | None = None
    curves: dict[str, Curve] = field(default_factory=dict)
    is_of_run: bool = False

    @property
    def validated(self) -> bool:
        """Whether its run was scored while it was trained."""
        return any(name.startswith("val/") for name in self.curves)


@dataclass(frozen=True)
class ModelComparison:
    """Models on one set of frames.

    Attributes:
        data: name of the dataset folder.
        frames: how many frames were scored.
        size: (width, height) of the first one.
        models: in the order in which they were given.
    """

    data: str
    frames: int
    size: tuple[int, int]
    models: tuple[ComparedModel, ...]


@dataclass(frozen=True)
class Entry:
    """A model to compare, found before anything runs.

    Attributes:
        name: as it was given.
        model: what `Segmenter.load` takes.
        run: the run folder it is of, or None.
    """

    name: str
    model: str
    run: Path | None


def find_entry(text: str) -> Entry:
    """What a name or path stands for: a run folder, a model folder, a shipped model or an exported graph.

    Raises:
        ModelFolderError: there is nothing of it, or a run has no model yet.
    """
    path = Path(text)
    if is_run(path):
        if not (path / "model" / "config.json").is_file():
            raise ModelFolderError(f"the run {text} has no model yet: finish it with the command that started it")
        return Entry(text, str(path / "model"), path)
    if not OpenOptions(text).is_file:
        find_model_folder(text)
    parent = path.resolve().parent
    return Entry(text, text, parent if path.name == "model" and is_run(parent) else None)


def compare_models(
    models: Sequence[str],
    dataset: DatasetReader,
    *,
    network_files: Sequence[str | Path] = (),
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    valid_pixels_only: bool = False,
    progress: ProgressCallback | None = None,
) -> ModelComparison:
    """Scores and times models on the same labelled frames.

    Args:
        models: run folders, model folders, shipped models or exported graphs.
        dataset: the frames.
        network_files: Python files of networks of the user's own; each is given to the models that were trained with
            it.
        device, backend, precision, threads: see `Segmenter.load`; the same for all.
        valid_pixels_only: leave out pixels without depth.
        progress: called with (frames done, frames in all).

    Raises:
        ModelFolderError: a model is not there.
        FrameError: no frame can be used, or a model is given twice.
    """
    entries = [find_entry(text) for text in models]
    twice = sorted({entry.name for entry in entries if [other.model for other in entries].count(entry.model) > 1})
    if twice:
        raise FrameError(f"{', '.join(twice)} is given more than once; expected different models")
    files = [network_file_of(entry, network_files) for entry in entries]
    segmenters = [
        Segmenter.load(entry.model, device, threads, backend=backend, precision=precision, network_file=file)
        for entry, file in zip(entries, files, strict=True)
    ]
    evaluations = [Evaluation(valid_pixels_only=valid_pixels_only) for _ in entries]
    times: list[list[float]] = [[] for _ in entries]
    first: tuple[NDArray[np.float32], Camera | None] | None = None
    for index in range(len(dataset)):
        try:
            depth, labels = dataset.read_depth_and_labels(index)
            camera = dataset.camera(index)
        except ValueError as error:
            for evaluation in evaluations:
                evaluation.failures.append((dataset.names[index], str(error)))
            continue
        if first is None:
            first = depth, camera
            for segmenter in segmenters:  # engines compile for a size
                for _ in range(_WARM_UP_CALLS):
                    segmenter(depth, camera)
        for turn in range(len(segmenters)):
            chosen = (index + turn) % len(segmenters)
            with evaluations[chosen].frame(dataset.names[index]):
                started = time.perf_counter()
                found = segmenters[chosen](depth, camera).labels
                times[chosen].append(time.perf_counter() - started)
                evaluations[chosen].add(labels, found, depth)
        if progress is not None:
            progress(index + 1, len(dataset))
    reports = [evaluation.report(dataset.directory.name) for evaluation in evaluations]
    assert first is not None
    compared = []
    for number, entry in enumerate(entries):
        segmenter = segmenters[number]
        engine = f"{segmenter.session.backend} {segmenter.session.precision}"
        model = ComparedModel(entry.name, engine, reports[number], 1000 * statistics.median(times[number]))
        if entry.run is not None:
            model = replace(model, curves=read_curves(entry.run), is_of_run=True)
        compared.append(replace(model, **_counted(entry, files[number], *first)))
    height, width = first[0].shape
    return ModelComparison(dataset.directory.name, reports[0].images, (width, height), tuple(compared))


def network_file_of(entry: Entry, network_files: Sequence[str | Path]) -> str | Path | None:
    """The file of an entry's network among those that are given: the one of its digest, else the one of its name."""
    if OpenOptions(entry.model).is_file:
        return None
    wanted = file_of_config(load_model_config(entry.model).get("model") or {})
    if wanted is None:
        return None
    named = [file for file in network_files if Path(file).name == wanted.name] or list(network_files)
    same = [file for file in network_files if _digest(file) == wanted.sha256]
    return next(iter(same or named), None)


def _digest(file: str | Path) -> str:
    from graspcut.own_files import OwnFile

    return OwnFile.of(file).sha256


def _counted(
    entry: Entry, network_file: str | Path | None, depth_mm: NDArray[np.float32], camera: Camera | None
) -> dict[str, Any]:
    """Parameters and multiply-accumulates of one frame, where they can be counted."""
    if OpenOptions(entry.model).is_file or not is_installed("pytorch"):
        return {}
    config = load_model_config(entry.model)
    if file_of_config(config.get("model") or {}) is not None and network_file is None:
        return {}
    import torch

    from graspcut.nn.counting import count_macs, count_parameters
    from graspcut.segmentation.graph import SegmentationGraph

    network = Segmenter.load_network(entry.model, network_file)
    depth = torch.from_numpy(np.ascontiguousarray(depth_mm, np.float32))[None]
    focal = torch.tensor([focal_length_px(camera, depth_mm.shape[1])], dtype=torch.float32)
    return {"parameters": count_parameters(network), "macs": count_macs(SegmentationGraph(network), depth, focal)}
