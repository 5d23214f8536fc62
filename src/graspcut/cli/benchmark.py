"""`graspcut benchmark speed`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graspcut.cli.options import Size, parse_size
from graspcut.cli.printing import print_facts

if TYPE_CHECKING:
    from graspcut.runtime.measuring import Comparison, Row, SpeedReport

_LEFT_COLUMNS = 3


def speed(
    *,
    size: Size = "640x480",
    threads: int | None = None,
    repeats: int = 30,
    model: str | None = None,
    folder_frames: int = 0,
    soak: int = 0,
    save: Path | None = None,
) -> None:
    """Times every back end and precision that is installed.

    Args:
        size: Width and height of the frame in pixels.
        threads: Processor threads; all that this process may use if not given.
        repeats: Counted calls of each row; rows slower than 100 ms get a third of them.
        model: Shipped model's name or model folder, of any task; by default the shipped compact network.
        folder_frames: Also time a run over a folder of this many rendered 16-bit PNG frames.
        soak: Also put this many frames through every row, and see what memory they leave behind.
        save: JSON file for everything that was measured.
    """
    from graspcut.catalogue import method_of_model
    from graspcut.cli.progress import frame_progress
    from graspcut.cli.saving import check_save
    from graspcut.cores import usable_cores
    from graspcut.frames.json_files import write_json_atomically
    from graspcut.runtime.candidates import SpeedConfig, model_rows
    from graspcut.runtime.measuring import measure_memory_growth, measure_speed
    from graspcut.runtime.soaking import folder_speed

    if save is not None:
        check_save(save)
    width, height = parse_size(size)
    threads = usable_cores() if threads is None else threads
    method = method_of_model(model)
    name = model or method.predictor.default_model
    config = SpeedConfig(width, height, threads, repeats, name)
    if soak and soak < 10:
        raise ValueError(f"--soak is {soak}, expected 0 or at least 10: memory is read after a tenth of the frames")
    command = shlex.join(["graspcut", *sys.argv[1:]])
    with model_rows(method, config) as rows:
        with frame_progress("timing") as progress:
            report = measure_speed(method, config, rows, progress)
        print_report(report, command)
        measured = {"command": command, **report.as_json()}
        if folder_frames:
            predictor = method.predictor.load(name, threads=threads, parallel_calls=threads)
            with frame_progress("running over a folder") as progress:
                folder = folder_speed(
                    method, predictor, frames=folder_frames, width=width, height=height, progress=progress
                )
            measured["folder"] = folder.as_json()
            frames = f"{folder.frames} PNG frames of {size} in {folder.seconds:.1f} s"
            print_facts([(folder.description, f"{folder.frames_per_s:.1f} frames/s ({frames})")], "\nFolder to files")
        if soak:
            with frame_progress("soaking") as progress:
                growths = measure_memory_growth(method, config, rows, soak, progress)
            measured["soak"] = [growth.as_json() for growth in growths]
            print(f"\nResident memory over {soak} frames, in MB")
            cells = [
                [growth.description, _number(growth.early_mb), _number(growth.late_mb), _number(growth.growth_mb, 1)]
                for growth in growths
            ]
            _print_table([["", f"after {soak // 10}", f"after {soak}", "growth"], *cells], left_columns=1)
    if save is not None:
        write_json_atomically(save, measured)
        print(f"\nsaved: {save}")


def print_report(report: SpeedReport, command: str) -> None:
    """Prints the machine, the times and the limits.

    Args:
        report: What was measured.
        command: What was typed.
    """
    config = report.config
    run = [("command", command), ("date", report.date), ("threads", str(config.threads))]
    print_facts([*run, *report.machine], "Run")
    print_facts(report.versions, "Versions")
    comparisons = [found for found in report.comparisons if not found.row.missing]
    missing = [found.row for found in report.comparisons if found.row.missing]
    print(f"\nRaw input of {config.width}x{config.height} to result, one frame at a time, in ms")
    _print_table([_TIME_HEADINGS, *(_time_cells(found) for found in comparisons)])
    reference = next((found.row.network for found in comparisons if found.row.is_reference), None)
    if reference is not None:
        print(f"  times as fast: as {reference} in plain PyTorch, by medians of this run")
    if missing:
        print_facts([(" ".join(_names(row)), row.missing) for row in missing], "\nNot timed")
    peaks = report.peaks
    rates = [
        (f"{precision} convolutions", f"{rate / 1e9:.1f} GMAC/s ({peaks.engine}, {peaks.kernels[precision]})")
        for precision, rate in peaks.macs_per_s.items()
    ]
    rates.append(("memory", f"{peaks.bytes_per_s / 1e9:.1f} GB/s read plus written"))
    print_facts(rates, f"\nWhat {peaks.threads} thread(s) of this machine reach")
    print("\nThe limit: multiply-accumulates at that rate, or layers' weights, inputs and outputs through memory")
    _print_table([_LIMIT_HEADINGS, *(_limit_cells(found) for found in comparisons)])


_TIME_HEADINGS = ["network", "back end", "precision", "median", "min", "max", "calls", "times as fast", "over fp32"]
_LIMIT_HEADINGS = [
    *_TIME_HEADINGS[:_LEFT_COLUMNS],
    "GMAC",
    "compute ms",
    "MB",
    "memory ms",
    "median ms",
    "times the limit",
]


def _names(row: Row) -> list[str]:
    from graspcut.runtime.contract import BACKEND_TITLES

    title = BACKEND_TITLES[row.backend]
    return [row.network, f"{title}, plain" if row.is_reference else title, row.precision]


def _time_cells(found: Comparison) -> list[str]:
    row = found.row
    return [
        *_names(row),
        _number(row.median_ms, 1),
        _number(min(row.times_ms), 1),
        _number(max(row.times_ms), 1),
        str(len(row.times_ms)),
        _number(found.times_as_fast, 2),
        _number(found.gain_over_fp32, 2),
    ]


def _limit_cells(found: Comparison) -> list[str]:
    row = found.row
    return [
        *_names(row),
        _number(None if row.macs is None else row.macs / 1e9, 2),
        _number(found.compute_ms, 2),
        _number(None if found.moved_bytes is None else found.moved_bytes / 1e6, 1),
        _number(found.memory_ms, 2),
        _number(row.median_ms, 1),
        _number(found.times_limit, 1),
    ]


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _print_table(rows: Sequence[Sequence[str]], left_columns: int = _LEFT_COLUMNS) -> None:
    """Aligned plain lines: the first columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if position < left_columns else f"{cell:>{width}}"
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
