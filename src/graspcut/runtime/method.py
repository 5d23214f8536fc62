"""What a method gives to the verbs that work on any task: export, doctor, info, benchmark speed and demo.

A method's folder has a file `method.py` with one value, and a line in `graspcut.catalogue`:

    METHOD = Method(predictor=Segmenter, quantization=Quantization(...), demo=run_demo)

Everything but the predictor is optional: a verb says what a method does not offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from graspcut.frames.dataset import open_dataset
from graspcut.runtime.folder_run import FolderReport, ProgressCallback
from graspcut.runtime.predictor import Inputs, Predictor

if TYPE_CHECKING:
    from torch import nn


class Samples(Protocol):
    """Samples that can be counted and fetched one by one: a dataset reader, a frame generator with an end."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


def labelled_frames(folder: Path, depth_unit_mm: float | None, focal_px: float | None) -> Samples:
    """The labelled frames of a dataset folder, samples of most methods."""
    return open_dataset(folder, depth_unit_mm=depth_unit_mm, focal_px=focal_px)


@dataclass(frozen=True)
class Quantization:
    """How a method's graphs come to int8, and how it is found out what that costs.

    A sample is whatever the method's data gives: a labelled frame, say.

    Attributes:
        modules: of the graph of `Predictor.graph`, the parts whose convolutions may run in int8. What works in
            millimetres must not.
        default_samples: samples to take where none are given, such as rendered ones; a quarter calibrates.
        inputs: the graph's inputs of one sample.
        score: percent of a predictor on samples; more is better. Called with a callback for each sample done.
        score_name: what it is called.
        open_samples: (dataset folder, millimetres per step or None, focal length in pixels or None) -> samples.
    """

    modules: Callable[[nn.Module], Iterable[nn.Module]]
    default_samples: Callable[[], Samples]
    inputs: Callable[[Any], Inputs]
    score: Callable[[Predictor, Iterable[Any], Callable[[], None]], float]
    score_name: str
    open_samples: Callable[[Path, float | None, float | None], Samples] = labelled_frames


@dataclass(frozen=True)
class DemoReport:
    """What a demo shows.

    Attributes:
        columns: (heading, value) of a table with one row.
        files: (what it is, path) of everything that was written.
    """

    columns: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, Path], ...]


class DemoFunction(Protocol):
    """Runs a predictor on the bundled recording and writes pictures into a folder."""

    def __call__(
        self, predictor: Any, out: str | Path, /, *, progress: ProgressCallback | None = None
    ) -> DemoReport: ...


class RunFolder(Protocol):
    """Runs a predictor over a folder of depth images; a line over `graspcut.runtime.folder_run`."""

    def __call__(
        self,
        inputs: Sequence[Path],
        out: Path,
        predictor: Any,
        /,
        *,
        depth_unit_mm: float,
        focal_px: float,
        progress: ProgressCallback | None = None,
    ) -> FolderReport: ...


def _call_session(predictor: Predictor, width: int, height: int) -> Callable[[], object]:
    inputs = predictor.example(width, height)
    return lambda: predictor.run(inputs)


@dataclass(frozen=True)
class Method:
    """See the module.

    Attributes:
        predictor: what users call; its contract names the task.
        quantization: None where int8 is not offered.
        demo: None where there is none.
        run_folder: None where the method does not run over folders of depth images.
        timed_call: (predictor, width, height) -> a function without arguments, one frame's work from raw input to
            result; by default the graph on `Predictor.example`.
        most_differing: largest fraction of the values of whole-numbered outputs (labels) in which an exported graph may
            differ from PyTorch, by precision.
        largest_difference: for graphs without such outputs, largest difference of any value, as a fraction of the
            output's largest.
    """

    predictor: type[Predictor]
    quantization: Quantization | None = None
    demo: DemoFunction | None = None
    run_folder: RunFolder | None = None
    timed_call: Callable[[Any, int, int], Callable[[], object]] = _call_session
    most_differing: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-4, "fp16": 2e-3, "bf16": 2e-2})
    largest_difference: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2})

    @property
    def task(self) -> str:
        """Its name in model folders, graphs and the catalogue."""
        return self.predictor.contract.task
