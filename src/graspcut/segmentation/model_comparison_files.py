"""A comparison of models as text, Markdown, CSV and plots."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from graspcut.frames.atomic_writing import make_output_folder, write_bytes_atomically
from graspcut.runtime.engines import extra_hint
from graspcut.segmentation.metrics import MEANS_NOTE, SizeScore
from graspcut.segmentation.model_comparison import ComparedModel, ModelComparison

TABLE_NAME, CSV_NAME = "comparison.md", "comparison.csv"
CURVES_NAME, SIZES_NAME = "learning-curves.png", "iou-by-size.png"

_SCORES = (
    ("mean IOU", "mean_iou"),
    ("hand IoU", "hand_iou"),
    ("object IoU", "object_iou"),
    ("pixel accuracy", "pixel_accuracy"),
    ("mean accuracy", "mean_accuracy"),
    ("mean IU", "mean_iu"),
    ("f.w. IU", "frequency_weighted_iu"),
)
_WORK = ("parameters", "MACs", "ms", "engine")


def markdown(comparison: ModelComparison) -> str:
    """The comparison as one table, best values in bold, with what its columns mean and the sizes of objects below."""
    headings = [title for title, _ in _SCORES] + ["boundary F1", *_WORK]
    columns = [[_percent(value) for value in _scores(model)] for model in comparison.models]
    best = [max((row[number] for row in map(_scores, comparison.models)), default=0.0) for number in range(8)]
    lines = [
        f"# {len(comparison.models)} models on {comparison.data}",
        "",
        f"| model | {' | '.join(headings)} |",
        f"|---{'|---:' * (len(headings) - 1)}|---|",
    ]
    for model, texts in zip(comparison.models, columns, strict=True):
        shown = [
            f"**{text}**" if len(columns) > 1 and _percent(top) == text != "-" else text
            for text, top in zip(texts, best, strict=True)
        ]
        lines.append(f"| {model.name} | {' | '.join([*shown, *_work(model)])} |")
    width, height = comparison.size
    lines += [
        "",
        f"{comparison.frames} frames, the first of {width}x{height} pixels. Scores in percent, over all pixels. "
        f"{MEANS_NOTE} Boundary F1 within {comparison.models[0].report.boundary.tolerance_px:g} px. MACs: "
        "multiply-accumulates of one frame, working scale included. ms: median time of a frame from millimetres to "
        "labels; the models took turns.",
        "",
        "## Object IoU by visible size",
        "",
        f"| pixels of a 320x240 picture | images | {' | '.join(model.name for model in comparison.models)} |",
        f"|---|---:|{'---:|' * len(comparison.models)}",
    ]
    for number, entry in enumerate(comparison.models[0].report.object_by_size):
        values = [_percent(model.report.object_by_size[number].iou) for model in comparison.models]
        lines.append(f"| {_bin(entry)} | {entry.images} | {' | '.join(values)} |")
    notes = [
        f"- {model.name}: trained without validation data, so that its curve has the loss alone."
        for model in comparison.models
        if model.is_of_run and not model.validated
    ]
    notes += [
        f"- {model.name}: {len(model.report.failures)} frames could not be used, the first: {model.report.failures[0]}"
        for model in comparison.models
        if model.report.failures
    ]
    return "\n".join(lines + (["", *notes] if notes else [])) + "\n"


def text_table(comparison: ModelComparison) -> str:
    """The table for a terminal."""
    rows = [[model.name, *map(_percent, _scores(model)), *_work(model)] for model in comparison.models]
    headings = ["model", *(title for title, _ in _SCORES), "boundary F1", *_WORK]
    widths = [max(len(row[number]) for row in [headings, *rows]) for number in range(len(headings))]
    lines = [
        "  ".join(
            text.ljust(width) if number in (0, len(row) - 1) else text.rjust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [headings, *rows]
    ]
    return "\n".join([*lines, "", MEANS_NOTE])


def csv_table(comparison: ModelComparison) -> str:
    """The table for other programs: fractions of 1, milliseconds, counts; empty where undefined."""
    buffer = io.StringIO()
    sizes = [f"object_iou_{_bin(entry).replace(' ', '_')}" for entry in comparison.models[0].report.object_by_size]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["model", *(name for _, name in _SCORES), "boundary_f1", "parameters", "macs", "milliseconds", "engine", *sizes]
    )
    for model in comparison.models:
        numbers: list[Any] = [*_scores(model), model.parameters, model.macs, model.milliseconds]
        by_size = [entry.iou for entry in model.report.object_by_size]
        writer.writerow([model.name, *map(_plain, numbers), model.engine, *map(_plain, by_size)])
    return buffer.getvalue()


def save_comparison(comparison: ModelComparison, out: str | Path) -> list[Path]:
    """Writes comparison.md, comparison.csv, iou-by-size.png and, where there are runs, learning-curves.png.

    Returns:
        what was written.

    Raises:
        ModuleNotFoundError: if matplotlib is missing (the extra `train`); the tables are written all the same.
    """
    folder = Path(out)
    make_output_folder(folder)
    files = {TABLE_NAME: markdown(comparison).encode(), CSV_NAME: csv_table(comparison).encode()}
    for name, content in files.items():
        write_bytes_atomically(folder / name, content)
    plots = {SIZES_NAME: draw_sizes(comparison)}
    if any(model.curves for model in comparison.models):
        plots[CURVES_NAME] = draw_curves(comparison)
    for name, content in plots.items():
        write_bytes_atomically(folder / name, content)
    return [folder / name for name in (*files, *plots)]


def save_reports(comparison: ModelComparison, path: str | Path) -> None:
    """Writes all scores of all models as JSON: {"models": {NAME: as of one model}}."""
    reports = {model.name: model.report.to_dict() for model in comparison.models}
    write_bytes_atomically(path, (json.dumps({"models": reports}, indent=2) + "\n").encode())


def draw_curves(comparison: ModelComparison) -> bytes:
    """Loss and validation scores over the steps of every run, as a PNG."""
    figure = _figure(10.0, 4.2)
    loss, score = figure.subplots(1, 2)
    for number, model in enumerate(comparison.models):
        colour = f"C{number}"
        for axes, name, factor in ((loss, "train/loss", 1.0), (score, "val/mean_iou", 100.0)):
            curve = model.curves.get(name)
            if curve is not None:
                values = [factor * value for value in curve.values]
                marker = "o" if len(values) < 30 else ""
                axes.plot(curve.steps, values, color=colour, label=model.name, marker=marker, markersize=3)
    loss.set(xlabel="batches", ylabel="training loss", title="loss")
    score.set(xlabel="batches", ylabel="mean IOU of hand and object, %", title="validation")
    for axes in (loss, score):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
        else:
            axes.text(0.5, 0.5, "nothing was logged", ha="center", transform=axes.transAxes)
    return _png(figure)


def draw_sizes(comparison: ModelComparison) -> bytes:
    """Object IoU by visible size of every model, as a PNG."""
    figure = _figure(7.0, 4.2)
    axes = figure.subplots()
    bins = comparison.models[0].report.object_by_size
    width = 0.8 / len(comparison.models)
    for number, model in enumerate(comparison.models):
        values = [0.0 if math.isnan(entry.iou) else 100 * entry.iou for entry in model.report.object_by_size]
        places = [place + (number + 0.5) * width - 0.4 for place in range(len(bins))]
        axes.bar(places, values, width=0.92 * width, label=model.name)
    axes.set_xticks(range(len(bins)), [f"{_bin(entry)}\n{entry.images} images" for entry in bins])
    axes.set(ylim=(0, 100), xlabel="visible object, pixels of a 320x240 picture", ylabel="object IoU, %")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small")
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the plots need matplotlib, which is not installed: {extra_hint('train')}. The tables are written.",
            name="",
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _scores(model: ComparedModel) -> list[float]:
    overall = model.report.overall
    return [*(float(getattr(overall, name)) for _, name in _SCORES), float(model.report.boundary.mean)]


def _work(model: ComparedModel) -> list[str]:
    return [_short(model.parameters), _short(model.macs), f"{model.milliseconds:.1f}", model.engine]


def _short(number: int | None) -> str:
    """ "1.25 M", "830 k", or "-" for what is not known."""
    if number is None:
        return "-"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return str(number)


def _bin(entry: SizeScore) -> str:
    return f"from {entry.low_px:g}" if math.isinf(entry.high_px) else f"{entry.low_px:g} to {entry.high_px:g}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _plain(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.10g}"
