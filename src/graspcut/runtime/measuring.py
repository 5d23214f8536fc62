"""How fast models are on this machine: every engine and precision in one run, beside their limit.

All times are from raw input to result, one frame at a time. The rows take turns, a few calls each, so that a slow
minute of the machine hits all of them alike; that is why ratios of one run are worth more than its milliseconds.

    with model_rows(METHOD, config) as candidates:
        report = measure_speed(METHOD, config, candidates)

The limit of a row is the larger of two times: its multiply-accumulates at the rate this machine's cores reach
(`graspcut.runtime.peak_rates`), and the weights, inputs and outputs of its layers at the rate memory is copied. What
stays in a cache between two layers does not travel, so the second can be beaten.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from graspcut.runtime.candidates import Candidate, SpeedConfig
from graspcut.runtime.contract import BackendError
from graspcut.runtime.hardware import describe_machine
from graspcut.runtime.method import Method
from graspcut.runtime.peak_rates import PeakRates, measure_peak_rates
from graspcut.runtime.predictor import Predictor
from graspcut.runtime.soaking import MemoryGrowth, memory_growth

CALLS_A_TURN = 3
SLOW_MS = 100.0
_REST_S = 0.05
_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One network on one engine in one precision.

    Attributes:
        network: its title.
        backend: one of `graspcut.runtime.contract.BACKENDS`.
        precision: one of `graspcut.runtime.contract.PRECISIONS`.
        is_reference: ratios are taken to this row.
        missing: why it was not timed; empty if it was.
        times_ms: of every counted call.
        macs: multiply-accumulates of one frame by the convention of `graspcut.nn.counting`; None without PyTorch, which
            counts them.
        elements: weights, inputs and outputs of its layers.
    """

    network: str
    backend: str
    precision: str
    is_reference: bool = False
    missing: str = ""
    times_ms: tuple[float, ...] = ()
    macs: int | None = None
    elements: int | None = None

    @property
    def median_ms(self) -> float | None:
        """Median of the counted calls."""
        return float(np.median(self.times_ms)) if self.times_ms else None


@dataclass(frozen=True)
class Comparison:
    """What a row says beside the others and beside the machine; None where something for it is missing.

    Attributes:
        row: the row.
        times_as_fast: median of the reference over the row's.
        gain_over_fp32: for int8 and bf16, median of the same network on the same engine in fp32 over the row's.
        compute_ms: its multiply-accumulates at the peak rate of its precision.
        moved_bytes: weights, inputs and outputs of its layers in its precision.
        memory_ms: these at the rate memory is copied.
        times_limit: median over the larger of the two.
    """

    row: Row
    times_as_fast: float | None
    gain_over_fp32: float | None
    compute_ms: float | None
    moved_bytes: int | None
    memory_ms: float | None
    times_limit: float | None

    def as_json(self) -> dict[str, Any]:
        """For a JSON file: the row's own values and these, flat."""
        own = {name: value for name, value in vars(self).items() if name != "row"}
        fastest, slowest = (min(self.row.times_ms), max(self.row.times_ms)) if self.row.times_ms else (None, None)
        measured = {"median_ms": self.row.median_ms, "min_ms": fastest, "max_ms": slowest}
        return {**asdict(self.row), "times_ms": list(self.row.times_ms), **measured, **own}


@dataclass(frozen=True)
class SpeedReport:
    """Everything one run measured.

    Attributes:
        config: what was asked for.
        date: when it began, ISO 8601 with the time zone.
        machine, backends, versions: see `graspcut.runtime.hardware.MachineReport`.
        peaks: best of what was measured before and after the rows.
        rows: all rows, missing ones too.
    """

    config: SpeedConfig
    date: str
    machine: tuple[tuple[str, str], ...]
    backends: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    peaks: PeakRates
    rows: tuple[Row, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """The rows with their ratios and limits."""
        return compare(self.rows, self.peaks)

    def as_json(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "config": asdict(self.config),
            "date": self.date,
            "machine": dict(self.machine),
            "backends": dict(self.backends),
            "versions": dict(self.versions),
            "peak_rates": self.peaks.as_json(),
            "rows": [comparison.as_json() for comparison in self.comparisons],
        }


def measure_speed(
    method: Method, config: SpeedConfig, candidates: Sequence[Candidate], progress: ProgressCallback | None = None
) -> SpeedReport:
    """Times all rows and the machine's limit.

    Args:
        method: of the candidates.
        config: what is timed.
        candidates: see `graspcut.runtime.candidates.model_rows`.
        progress: called with (counted calls, counted calls in all).
    """
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    report = describe_machine()
    peaks = measure_peak_rates(config.threads, convolution=config.peak)
    opened: list[tuple[Row, Predictor | None]] = [_opened(candidate) for candidate in candidates]
    calls = [
        method.timed_call(predictor, config.width, config.height) for _, predictor in opened if predictor is not None
    ]
    times = iter(interleaved(calls, config.repeats, progress=progress))
    rows = [row if predictor is None else replace(row, times_ms=tuple(next(times))) for row, predictor in opened]
    peaks = peaks.better_of(measure_peak_rates(config.threads, convolution=config.peak))
    return SpeedReport(config, date, report.machine, report.backends, report.versions, peaks, tuple(rows))


def measure_memory_growth(
    method: Method,
    config: SpeedConfig,
    candidates: Sequence[Candidate],
    frames: int,
    progress: ProgressCallback | None = None,
) -> tuple[MemoryGrowth, ...]:
    """Many frames through every row that can be opened, one row after the other.

    Args:
        method, config, candidates: as for `measure_speed`.
        frames: for each row.
        progress: called with (frames done, frames in all).

    Raises:
        ValueError: fewer than 10 frames.
    """
    growths = []
    for position, candidate in enumerate(candidates):
        predictor = _opened(candidate)[1]
        if predictor is None:
            continue

        def report(done: int, total: int, before: int = position) -> None:
            if progress is not None:
                progress(before * total + done, len(candidates) * total)

        call = method.timed_call(predictor, config.width, config.height)
        growths.append(memory_growth(call, predictor.description, frames=frames, progress=report))
    return tuple(growths)


def compare(rows: Sequence[Row], peaks: PeakRates) -> list[Comparison]:
    """Ratios of medians, and how far each row is from its limit."""
    medians = {(row.network, row.backend, row.precision): row.median_ms for row in rows}
    reference = next((row.median_ms for row in rows if row.is_reference), None)
    comparisons = []
    for row in rows:
        exact = None if row.precision == "fp32" else medians.get((row.network, row.backend, "fp32"))
        rate = peaks.macs_per_s.get(row.precision)
        compute_ms = None if row.macs is None or rate is None else 1000 * row.macs / rate
        moved = None if row.elements is None else row.elements * _BYTES[row.precision]
        memory_ms = None if moved is None else 1000 * moved / peaks.bytes_per_s
        limit = None if compute_ms is None or memory_ms is None else max(compute_ms, memory_ms)
        comparisons.append(
            Comparison(
                row,
                _ratio(reference, row.median_ms),
                _ratio(exact, row.median_ms),
                compute_ms,
                moved,
                memory_ms,
                _ratio(row.median_ms, limit),
            )
        )
    return comparisons


def interleaved(
    calls: Sequence[Callable[[], object]],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    rest: Callable[[float], None] = time.sleep,
    progress: ProgressCallback | None = None,
) -> list[list[float]]:
    """Times functions in turns.

    Every function is called a few times first. Those that took more than 100 ms every time then get one call a turn,
    the others three and one before them that does not count.

    Args:
        calls: the functions.
        repeats: counted calls of a quick one; a slow one gets a third, rounded up.
        clock: seconds.
        rest: waits for so many seconds, before every turn: threads of some engines go on spinning after a call, on
            cores that the next engine needs.
        progress: called with (counted calls, counted calls in all).

    Returns:
        For each function, milliseconds of its counted calls.
    """

    def timed_ms(call: Callable[[], object]) -> float:
        started = clock()
        call()
        return 1000 * (clock() - started)

    quick = []
    for call in calls:
        call()
        rest(_REST_S)
        quick.append(timed_ms(call) <= SLOW_MS or timed_ms(call) <= SLOW_MS)
    turns = math.ceil(repeats / CALLS_A_TURN)
    total = sum(repeats if is_quick else turns for is_quick in quick)
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(turns):
        for call, is_quick, own in zip(calls, quick, times, strict=True):
            rest(_REST_S)
            if is_quick:
                call()
            for _ in range(min(CALLS_A_TURN, repeats - turn * CALLS_A_TURN) if is_quick else 1):
                own.append(timed_ms(call))
            if progress is not None:
                progress(sum(map(len, times)), total)
    return times


def _opened(candidate: Candidate) -> tuple[Row, Predictor | None]:
    """The row without times, and what runs it, or why nothing does."""
    row = Row(candidate.network, candidate.backend, candidate.precision, candidate.is_reference)
    try:
        predictor = candidate.open()
    except BackendError as error:
        return replace(row, missing=str(error)), None
    except ModuleNotFoundError as error:
        return replace(row, missing=f"{error.name} is not installed: pip install {error.name}"), None
    macs, elements = candidate.work() or (None, None)
    return replace(row, macs=macs, elements=elements), predictor


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above / below
