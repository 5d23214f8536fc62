"""Is a fine-tuned network better? Before and after, on the user's own held-out frames and on rendered ones.

Fine-tuning on few recordings can ruin a network for everything else while its own training frames look ever better.
So both networks are scored on frames that neither was trained on, and the tuned one is called better only if it is.
Where it has forgotten too much, only part of the way from the network that it started from is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.splits import frames_of_part
from graspcut.nn.averaging import PARTS_OF_THE_WAY, between
from graspcut.runtime.model_folder import CARD_NAME, load_model_folder, save_model_folder
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.training_options import LARGEST_LOSS
from graspcut.synth.generator import FrameGenerator, SynthConfig

COMPARISON_NAME = "comparison.json"
RENDERED_FRAMES = 150
# Rendered frames that no training uses: those of the test of `graspcut adapt`.
RENDERED_SEED = 999_979

LabelledDepth = tuple[NDArray[np.float32], NDArray[np.uint8], Camera | None]


@dataclass(frozen=True)
class ComparedScores:
    """Percent mean IOU, hand and object IOU of both networks on one set of frames."""

    title: str
    frames: int
    before: tuple[float, float, float]
    after: tuple[float, float, float]


@dataclass(frozen=True)
class Comparison:
    """Scores on the user's own frames and on rendered frames of unseen kinds.

    Attributes:
        own: One row for each held-out set of the user's frames; may be empty.
        rendered: Rendered frames with kinds of objects that no network was trained on.
        largest_loss: Points that may be lost on these.
        share: Of the way from the starting network to the trained one, at which the scores after were taken.
        lost_by_all: Points that the trained network itself lost on rendered frames.
    """

    own: tuple[ComparedScores, ...]
    rendered: ComparedScores
    largest_loss: float = LARGEST_LOSS
    share: float = 1.0
    lost_by_all: float = 0.0

    @property
    def lost(self) -> float:
        """Points of mean IOU lost on rendered frames."""
        return self.rendered.before[0] - self.rendered.after[0]

    @property
    def gain(self) -> float:
        """Points of mean IOU won on the user's frames, by their number; 0 without any."""
        frames = sum(row.frames for row in self.own)
        return sum((row.after[0] - row.before[0]) * row.frames for row in self.own) / max(1, frames)

    @property
    def is_better(self) -> bool:
        """Better on the user's frames together, and no more lost on rendered ones than may be."""
        return self.gain > 0 and self.lost <= self.largest_loss

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.own:
            return (
                "not called better: there are no held-out frames of your own to tell by; make a split (graspcut split) "
                "or give --validation"
            )
        if self.is_better and self.share < 1:
            return (
                f"better on your frames: {self.share:g} of the way from the old network to the trained one was taken, "
                f"as all of it lost {self.lost_by_all:.1f} points on rendered frames of unseen kinds (--largest-loss "
                "100 takes it all the same)"
            )
        if self.is_better:
            return "better on your frames, and nothing forgotten that counts"
        if self.lost > self.largest_loss:
            return (
                f"NOT better: it lost {self.lost:.1f} points on rendered frames of unseen kinds; keep the old one, or "
                "train with a larger --rendered-share or fewer --steps"
            )
        return "NOT better on your held-out frames; keep the old one, or look at the labels (graspcut review)"

    def table(self) -> str:
        """Rows of before and after as Markdown, percent."""
        lines = ["| frames | mean IOU before | after | hand, object before | after |", "|---|---|---|---|---|"]
        for row in (*self.own, self.rendered):
            pairs = [f"{scores[1]:.2f}, {scores[2]:.2f}" for scores in (row.before, row.after)]
            lines.append(
                f"| {row.title} ({row.frames}) | {row.before[0]:.2f} | {row.after[0]:.2f} | {pairs[0]} | {pairs[1]} |"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "is_better": self.is_better, "verdict": self.verdict}


def settle(
    start: str | Path,
    tuned: str | Path,
    readers: Sequence[DatasetReader],
    *,
    largest_loss: float = LARGEST_LOSS,
    **options: Any,
) -> Comparison:
    """Scores both networks, and takes less of the way where the trained one lost too much on rendered frames.

    The largest of three quarters, a half and a quarter is taken that loses no more than may be lost and is still better
    on the user's frames: the folder `tuned` then holds that average of both networks. If there is none, or no frame of
    the user's to tell by, it stays as it was trained.

    Args:
        start: Model folder or shipped model that the training began with.
        tuned: The trained model folder.
        readers: See `compare`.
        largest_loss: Points of mean IOU that may be lost.
        options: See `compare`.

    Returns:
        the comparison of what is in `tuned` now.
    """
    whole = replace(compare(start, tuned, readers, **options), largest_loss=largest_loss)
    whole = replace(whole, lost_by_all=whole.lost)
    if whole.lost <= largest_loss or whole.gain <= 0:
        return whole
    network = Segmenter.load_network(str(tuned))
    old, new = (Segmenter.load_network(str(model)).state_dict() for model in (start, tuned))
    if old.keys() != new.keys():  # a network that has grown
        return whole
    for share in PARTS_OF_THE_WAY[1:]:
        network.load_state_dict(between(old, new, share))
        comparison = compare(start, network, readers, known=whole, **options)
        comparison = replace(comparison, largest_loss=largest_loss, share=share, lost_by_all=whole.lost)
        if comparison.is_better:
            config, _ = load_model_folder(tuned)
            training = {**config.get("training", {}), "share_of_the_way": share}
            card = Path(tuned) / CARD_NAME
            text = card.read_text(encoding="utf-8") if card.exists() else ""
            save_model_folder(tuned, {**config, "training": training}, network.state_dict(), text)
            return comparison
    return whole


def compare(
    start: str | Path,
    tuned: str | Path | nn.Module,
    readers: Sequence[DatasetReader],
    *,
    known: Comparison | None = None,
    rendered_frames: int = RENDERED_FRAMES,
    most_frames: int = 400,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Scores both networks.

    Args:
        start: Model folder or shipped model that the training began with.
        tuned: The trained model folder, or a network.
        readers: The user's folders; of those with a split, the validation part, others whole.
        known: An earlier comparison on the same frames, whose scores of `start` are taken.
        rendered_frames: Rendered frames of unseen kinds.
        most_frames: At most so many frames of each folder, spread evenly.
        threads: Of the networks.
        progress: Called with (frames done, frames in all).
    """
    models = [tuned] if known is not None else [start, tuned]
    networks = [_opened(model, threads) for model in models]
    known_rows = iter(()) if known is None else iter((*known.own, known.rendered))
    chosen = [_spread(frames_of_part(reader, "validation"), most_frames) for reader in readers]
    total, done = sum(map(len, chosen)) + rendered_frames, 0

    def score(title: str, frames: Iterator[LabelledDepth]) -> ComparedScores:
        nonlocal done
        counts = [ConfusionCounts() for _ in networks]
        number = 0
        for depth, labels, camera in frames:
            for network, its_counts in zip(networks, counts, strict=True):
                its_counts.add(labels, network(depth, camera).labels)
            number, done = number + 1, done + 1
            if progress is not None:
                progress(done, total)
        scores = [_percent(its_counts) for its_counts in counts]
        before = scores[0] if known is None else next(known_rows).before
        return ComparedScores(title, number, before, scores[-1])

    own = [
        score(f"{reader.directory.resolve().name}, held out", _recorded(reader, numbers))
        for reader, numbers in zip(readers, chosen, strict=True)
        if numbers
    ]
    return Comparison(tuple(own), score("rendered, unseen kinds", _rendered(rendered_frames)))


def save_comparison(comparison: Comparison, run_folder: str | Path, model_folder: str | Path) -> None:
    """Writes `comparison.json` into the run folder, and the table into the model's card."""
    write_json_atomically(Path(run_folder) / COMPARISON_NAME, comparison.to_dict())
    card = Path(model_folder) / CARD_NAME
    text = card.read_text(encoding="utf-8") if card.exists() else "# Hand and object segmentation\n"
    text = text.partition("\n## Before and after\n")[0].rstrip("\n")
    text += (
        f"\n\n## Before and after\n\n{comparison.table()}\n\n{comparison.verdict[0].upper()}{comparison.verdict[1:]}.\n"
    )
    write_bytes_atomically(card, text.encode())


def _opened(model: str | Path | nn.Module, threads: int | None) -> Segmenter:
    if isinstance(model, str | Path):
        return Segmenter.load(str(model), device="cpu", threads=threads, backend="pytorch")
    return Segmenter.from_network(model, device="cpu", threads=threads)


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(place)] for place in np.linspace(0, len(numbers) - 1, most)]


def _recorded(reader: DatasetReader, numbers: Sequence[int]) -> Iterator[LabelledDepth]:
    for number in numbers:
        depth, labels = reader.read_depth_and_labels(number)
        yield depth, labels, reader.camera(number)


def _rendered(count: int) -> Iterator[LabelledDepth]:
    generator = FrameGenerator(SynthConfig(held_out_kinds=True, colour=False), seed=RENDERED_SEED)
    for number in range(count):
        labelled = generator[number]
        yield labelled.frame.depth_mm, labelled.labels, labelled.frame.camera


def _percent(counts: ConfusionCounts) -> tuple[float, float, float]:
    scores = counts.scores()
    return 100 * scores.mean_iou, 100 * scores.hand_iou, 100 * scores.object_iou
