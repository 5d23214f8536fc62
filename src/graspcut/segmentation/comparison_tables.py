"""Tables and figures of a comparison: ours beside the paper's, and what the networks look like inside.

Figure 6: frames, labels of every network and the truth. Figure 7: fine and coarse attention at every level. Figure 8:
blurred contours of the truth, and of the network without and with the contour loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, depth_to_colour, overlay, write_image_atomically
from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.labels import UNKNOWN
from graspcut.runtime.model_folder import fill_network, load_model_config, load_model_folder
from graspcut.segmentation.comparison import ComparisonConfig, model_folder
from graspcut.segmentation.comparison_rows import ABLATIONS, ROWS, TABLE_2, TABLE_3, Row
from graspcut.segmentation.losses import contour_map
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention import DenseAttentionSeg
from graspcut.segmentation.predictor import Segmenter

_SCORES = (
    ("mean_iou", "mean IOU"),
    ("pixel_accuracy", "pixel acc."),
    ("mean_accuracy", "mean acc."),
    ("mean_iu", "mean IU"),
    ("frequency_weighted_iu", "f.w. IU"),
)
_OWN = (
    ("hand_iou", "hand"),
    ("object_iou", "object"),
    ("boundary_f1", "boundary F1"),
    ("mean_iou_unseen", "mean IOU, kinds of objects never seen"),
)
_COSTS = (("parameters", "{:,.0f}", 1.0), ("macs", "{:.3f}", 1e-9), ("milliseconds", "{:.1f}", 1.0))
_SHOWN_WIDTH_PX = 200
_DAS, _DAS_CONTOUR = "dense-attention-seg", "dense-attention-seg-contour"


def write_tables(folder: Path, results: Sequence[dict[str, Any]], config: ComparisonConfig, command: str) -> list[Path]:
    """Writes table2.md and table3.md of the rows that are done.

    Args:
        folder: where; docs/ in this project.
        results: of `run_comparison`.
        config: under which they came about.
        command: that made them.

    Returns:
        the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = _recipe(config, command)
    pages = {
        "table2.md": ["# Table 2: the networks under one recipe", "", *recipe, *_against_paper(results, TABLE_2)],
        "table3.md": [
            "# Table 3 and ablations",
            "",
            *recipe,
            "The row labels of the paper's Table 3 are exchanged in both of its texts; as its prose and Table 2 say, "
            "93.65 is with attention.",
            "",
            *_against_paper(results, (ROWS["deeplabv3plus"], ROWS[_DAS], *TABLE_3)),
            "",
            "## Ablations",
            "",
            "Differences are to DenseAttentionSeg; rows with a contour loss go on from it for equally many images.",
            "",
            *_ablations(results),
        ],
    }
    for name, lines in pages.items():
        write_bytes_atomically(folder / name, ("\n".join(lines).rstrip() + "\n").encode())
    return [folder / name for name in pages]


def _recipe(config: ComparisonConfig, command: str) -> list[str]:
    if config.data is None:
        frames = f"{config.frames:,} rendered windows around hands out of frames of "
        frames += f"{config.zoom * config.width}x{config.zoom * config.height}"
        tests = f"{config.test_frames} frames with objects of the kinds trained on, as in the paper, and on as many "
        tests += "with kinds never trained on"
    else:
        frames, tests = f"frames of `{config.data}`", f"those of `{config.test_data}`"
    widths = "A quarter of the channels, FCN without its border of 100 pixels" if config.slim else "Published widths"
    others = sorted({row.learning_rate_share for row in ROWS.values() if row.name in config.rows} - {1.0})
    rates = f"{config.learning_rate:g}"
    if others:
        rates += f" ({', '.join(f'{share * config.learning_rate:g}' for share in others)} for FCN, without batch norm)"
    return [
        f"    {command}",
        "",
        f"{widths}, {config.width}x{config.height}, input `{config.encoding}`, {frames}, {config.images:,} images for "
        f"each network in batches of {config.batch_size} ({config.contour_images:,} more with the contour loss), "
        f"learning rate {rates}, seeds "
        f"{', '.join(map(str, config.seeds))}; scored on {tests}. Percent; mean over seeds, (smallest "
        ".. largest) where there are several. A row without numbers is not trained yet. "
        "Published: the paper's numbers on its own data, with the published widths at 640x480 on a Titan Xp; only the "
        "order of the rows can be compared.",
        "",
    ]


def _own(results: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Scores that the paper does not have, of which there are any."""
    return tuple(entry for entry in _OWN if any(result.get(entry[0]) is not None for result in results))


def _of(results: Sequence[dict[str, Any]], row: Row, score: str) -> list[float]:
    found = [entry.get(score) for entry in results if entry["row"] == row.name]
    return [float(value) for value in found if value is not None]


def _mean_and_range(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{100 * float(np.mean(values)):.2f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.2f} .. {100 * max(values):.2f})"


def _published(row: Row) -> list[str]:
    return ["-" if math.isnan(value) else f"{value:g}" for value in row.published]


def _against_paper(results: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[str]:
    own = _own(results)
    titles = [*(title for _, title in (*_SCORES, *own)), "parameters", "GMAC", "ms"]
    lines = [f"| ours | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for row in rows:
        cells = [_mean_and_range(_of(results, row, score)) for score, _ in (*_SCORES, *own)]
        for score, form, scale in _COSTS:
            found = _of(results, row, score)
            cells.append(form.format(scale * float(np.median(found))) if found else "-")
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    published = [*(title for _, title in _SCORES), "ms (Titan Xp)"]
    lines += ["", f"| published | {' | '.join(published)} |", "|---" * (len(published) + 1) + "|"]
    lines += [f"| {row.title} | {' | '.join(_published(row))} |" for row in rows if row.published]
    return lines


def _ablations(results: Sequence[dict[str, Any]]) -> list[str]:
    scores = _own(results)
    titles = ["variant", "mean IOU", *(title for _, title in scores), "mean IOU, difference"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    base = {entry["seed"]: entry["mean_iou"] for entry in results if entry["row"] == _DAS}
    for row in (ROWS[_DAS], *TABLE_3, ROWS[_DAS_CONTOUR], *ABLATIONS):
        cells = [_mean_and_range(_of(results, row, score)) for score in ("mean_iou", *(name for name, _ in scores))]
        own = [entry for entry in results if entry["row"] == row.name and base.get(entry["seed"]) is not None]
        differences = [entry["mean_iou"] - base[entry["seed"]] for entry in own]
        lines.append(f"| {row.title} | {' | '.join(cells)} | {_mean_and_range(differences)} |")
    return lines


def write_figures(
    folder: Path, out: Path, config: ComparisonConfig, tests: DatasetReader, *, frames: Sequence[int] | None = None
) -> list[Path]:
    """Draws figures 6, 7 and 8 of the rows that are trained, with the first seed.

    Args:
        folder: for the pictures.
        out: folder of the comparison.
        config: of the comparison.
        tests: frames with truth.
        frames: numbers of the frames to show; by default four with much object, spread over the set.

    Returns:
        the files; figures whose networks are not trained are left out.
    """
    seed = config.seeds[0]
    trained = {name: path for name in ROWS if (path := model_folder(out, name, seed)).is_dir()}
    chosen = list(frames) if frames is not None else _worth_showing(tests)
    pictures: dict[str, NDArray[np.uint8]] = {}
    if trained:
        pictures["figure6.png"] = _qualitative(trained, tests, chosen)
    if _DAS in trained:
        pictures["figure7.png"] = _attention(trained[_DAS], tests, chosen[0])
    if _DAS in trained and _DAS_CONTOUR in trained:
        pictures["figure8.png"] = _contours(trained[_DAS], trained[_DAS_CONTOUR], tests, chosen[:3])
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        write_image_atomically(folder / name, picture)
    return [folder / name for name in pictures]


def _worth_showing(tests: DatasetReader, count: int = 4) -> list[int]:
    """In each part of the set the frame with the most object pixels."""
    parts = np.array_split(np.arange(len(tests)), min(count, len(tests)))
    found = []
    for part in parts:
        areas = [int(np.count_nonzero(tests.read_depth_and_labels(int(index))[1] == 2)) for index in part[:40]]
        found.append(int(part[int(np.argmax(areas))]))
    return found


def _qualitative(trained: dict[str, Path], tests: DatasetReader, frames: Sequence[int]) -> NDArray[np.uint8]:
    shown = [row.name for row in (*TABLE_2, *TABLE_3) if row.name in trained]
    segmenters = {name: Segmenter.load(trained[name], device="cpu", backend="pytorch") for name in shown}
    images, titles = [], []
    for index in frames:
        depth, labels = tests.read_depth_and_labels(index)
        images.append(depth_to_colour(depth))
        titles.append(f"depth {index}")
        for name, segmenter in segmenters.items():
            images.append(overlay(depth, segmenter(depth, tests.camera(index)).labels))
            titles.append(name)
        images.append(overlay(depth, np.where(labels == UNKNOWN, np.uint8(0), labels)))
        titles.append("true labels")
    return contact_sheet([_enlarged(image) for image in images], len(shown) + 2, titles)


def _enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whole times as large, so that small frames can be looked at and their titles read."""
    times = math.ceil(_SHOWN_WIDTH_PX / image.shape[1])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _network(folder: Path) -> torch.nn.Module:
    network = build_model(load_model_config(folder)["model"])
    fill_network(network, load_model_folder(folder)[1], folder)
    return network.eval()


def _inputs(tests: DatasetReader, index: int) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.uint8]]:
    depth, labels = tests.read_depth_and_labels(index)
    focal = focal_length_px(tests.camera(index), depth.shape[1])
    return torch.from_numpy(np.ascontiguousarray(depth))[None, None], torch.tensor([focal]), labels


def attention_maps(
    network: DenseAttentionSeg, depth_mm: torch.Tensor, focal_px: torch.Tensor
) -> tuple[list[NDArray[np.float32] | None], list[NDArray[np.float32] | None]]:
    """Fine and coarse attention of every level, the mean over channels; None for the empty products at the ends.

    Args:
        network: in evaluation mode.
        depth_mm: (1, 1, H, W).
        focal_px: (1,).

    Returns:
        fine, coarse: six maps each, finest level first.
    """
    caught: list[torch.Tensor] = []
    hooks = [squeeze.register_forward_hook(lambda _m, _i, output: caught.append(output)) for squeeze in network.squeeze]
    try:
        with torch.no_grad():
            network(depth_mm, focal_px)
            fine, coarse = network.attention.products([torch.sigmoid(level) for level in caught])
    finally:
        for hook in hooks:
            hook.remove()
    both = [[None if level is None else level[0].mean(dim=0).numpy() for level in part] for part in (fine, coarse)]
    return both[0], both[1]


def _attention(folder: Path, tests: DatasetReader, index: int) -> NDArray[np.uint8]:
    network = _network(folder)
    assert isinstance(network, DenseAttentionSeg)
    depth, focal, _ = _inputs(tests, index)
    fine, coarse = attention_maps(network, depth, focal)
    size = (depth.shape[-1], depth.shape[-2])
    images, titles = [], []
    for title, maps in (("fine", fine), ("coarse", coarse)):
        for level, values in enumerate(maps, start=1):
            images.append(np.zeros((*size[::-1], 3), np.uint8) if values is None else heat(values, size))
            titles.append(f"{title}, level {level}" + (" (empty)" if values is None else ""))
    return contact_sheet([_enlarged(image) for image in images], 6, titles)


def _contours(without: Path, with_loss: Path, tests: DatasetReader, frames: Sequence[int]) -> NDArray[np.uint8]:
    networks = [_network(without), _network(with_loss)]
    images, titles = [], []
    for index in frames:
        depth, focal, labels = _inputs(tests, index)
        truth = torch.from_numpy(np.stack([labels == label for label in range(3)]).astype(np.float32))[None]
        maps = [truth]
        with torch.no_grad():
            maps += [network(depth, focal).softmax(dim=1) for network in networks]
        size = (depth.shape[-1], depth.shape[-2])
        images += [heat(contour_map(entry)[0, 0].numpy(), size, highest=2.0) for entry in maps]
        titles += [f"truth {index}", "without contour loss", "with contour loss"]
    return contact_sheet([_enlarged(image) for image in images], 3, titles)


def heat(values: NDArray[np.float32], size: tuple[int, int], *, highest: float | None = None) -> NDArray[np.uint8]:
    """A map as a picture: dark is its lowest value (or 0), bright its highest (or `highest`).

    Args:
        values: (h, w).
        size: (width, height) of the picture.
        highest: fixed scale from 0 on; None stretches to the map's own range.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    low, high = (0.0, highest) if highest is not None else (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    grey = cv2.resize((255 * scaled).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), dtype=np.uint8)
