"""Makes a network better for one's own camera, place and habits from recordings that nobody labelled.

A teacher labels the recording: the network itself, with what the frames before and after know (`stream.py`). Where it
is sure, its labels teach; the rest is unknown. Fresh rendered frames are mixed in by a stated share, so that nothing
is forgotten, and a round is taken back when it is. Before any training, half of the batch-norm statistics are taken
from the recording; `quick` stops there.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.cores import usable_cores
from graspcut.draw import contact_sheet, overlay
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.camera import CameraLike, given_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.json_files import write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import BACKGROUND, HAND
from graspcut.runtime.model_folder import check_target, fill_network, load_model_folder, save_model_folder
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.self_training import (
    AdaptationConfig,
    Progress,
    Recordings,
    statistics_batches,
    streamed,
    take_statistics,
    train_round,
)
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.place import PlaceConfig, open_place
from graspcut.train.trainer import RunConfig, prepare_run

TEST_SEED = 999_979  # of the rendered frames of unseen kinds that say whether something was forgotten
_TEACHER_UNIT_MM = 0.5
_FARTHEST_MM = 32_000.0
_LEAST_HAND_SHARE = 0.002  # of a frame's pixels, to count as a frame in which a hand may be
_LEAST_FRAMES_WITH_HAND = 0.05
_FIGURE_FRAMES = 200
_QUICK_FIGURE_FRAMES, _QUICK_TEST_FRAMES = 32, 100
_STATISTICS_ATTEMPTS = 3
_SAMPLE_FRAMES = 24  # of a recording, to see whether there are hands
_SHOWN = 4


@dataclass(frozen=True)
class Figures:
    """What can be said of a network on a recording without truth, and on rendered frames with it.

    Attributes:
        rendered_iou: percent mean IOU on rendered frames of unseen kinds.
        flicker: percent of the possible hand and object pixels whose label changes from one frame to the next although
            the depth stays.
        agreement: percent of them that a frame alone labels as the stream does.
        unsure: percent of them of which the stream is not sure.
    """

    rendered_iou: float
    flicker: float
    agreement: float
    unsure: float


@dataclass(frozen=True)
class AdaptationReport:
    """How an adaptation ended.

    Attributes:
        frames: frames of the recordings that were used.
        failures: (name, message) of those that could not be.
        before: the network that was given.
        after: the one that was written.
        rounds: figures of each round, the statistics first.
        statistics_share: share of the recording in the statistics of the first round.
        kept_old: whether all of it lost too much, so that the old network was written.
        finished: False when stopped; the same command continues.
        model_folder: what was written, or None.
    """

    frames: int
    failures: tuple[tuple[str, str], ...]
    before: Figures
    after: Figures
    rounds: tuple[Figures, ...]
    statistics_share: float
    kept_old: bool
    finished: bool
    model_folder: Path | None


def adapt_to_recordings(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    start: str = "dense-attention-small",
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera: CameraLike | None = None,
    scene: PlaceConfig | None = None,
    config: AdaptationConfig | None = None,
    progress: Progress | None = None,
) -> AdaptationReport:
    """Adapts a network to recordings and writes a model folder.

    What is needed to continue after a stop lies in OUT-adaptation, with report.json and before_after.png.

    Args:
        inputs: recordings, folders or files, each with frames in order of time.
        out: model folder to write.
        start: model to begin with.
        depth_unit_mm: of files that do not say it.
        focal_px: focal length in pixels of frames without a camera.
        camera: intrinsics of these frames instead; whatever `Camera.of` takes.
        scene: frames of the empty place; half of the rendered frames then show hands and objects in it.
        config: how.
        progress: called with (what is done, done, in all).

    Raises:
        FrameError: no frame is usable, or nothing that could be a hand is found in them.
        ModelFolderError: there is no such model.
    """
    own = config if config is not None else AdaptationConfig()
    target, work = Path(out), Path(f"{out}-adaptation")
    if scene is not None:
        open_place(scene)  # what is wrong with it is said before anything is made
    check_target(target)
    make_output_folder(work, option="the folder of the adaptation")
    recordings = Recordings(inputs, depth_unit_mm, given_camera(camera, focal_px), own.most_frames)
    prepare_run(RunConfig(work, seed=own.seed, threads=own.threads))
    folder_config, network = _load(start)
    say = progress if progress is not None else lambda _what, _done, _total: None

    first = _shown_frames(recordings)
    before_pictures = _pictures(network, first)
    _refuse_without_hands(network, recordings, own, say)
    rendered = _rendered_test(own, say)
    before = _figures(network, recordings, rendered, own, say, "scoring before")
    best_state, best = _state(network), before
    lost_too_much = before.rendered_iou - own.largest_loss
    share, figures = _take_what_loses_little(network, recordings, rendered, own, say, lost_too_much)
    rounds = [figures]  # of the statistics alone, then of each round of training
    taken = figures.rendered_iou >= lost_too_much
    if taken:
        best_state, best = _state(network), figures
    for number in range(1, 1 if own.quick else own.rounds + 1):
        if not train_round(network, folder_config, recordings, work / f"round-{number}", own, say, number, scene):
            return AdaptationReport(
                _count(recordings), _failures(recordings), before, best, tuple(rounds), share, False, False, None
            )
        figures = _figures(network, recordings, rendered, own, say, f"scoring round {number}")
        rounds.append(figures)
        if figures.rendered_iou >= lost_too_much:
            best_state, best, taken = _state(network), figures, True
    network.load_state_dict(best_state)
    report = AdaptationReport(
        _count(recordings), _failures(recordings), before, best, tuple(rounds), share, not taken, True, target
    )
    _write(target, work, folder_config, network, report, own, inputs)
    rows = [picture for pair in zip(before_pictures, _pictures(network, first), strict=True) for picture in pair]
    if rows:
        write_image_atomically(work / "before_after.png", contact_sheet(rows, 2, ["before", "after"] * len(first)))
    return report


def _take_what_loses_little(
    network: nn.Module,
    recordings: Recordings,
    rendered: Sequence[LabelledFrame],
    config: AdaptationConfig,
    say: Progress,
    lost_too_much: float,
) -> tuple[float, Figures]:
    """Statistics of the recording, their share halved while rendered frames lose too much; the share and the figures.

    A camera unlike all others pulls the statistics far, and a smaller share still brings most of the gain.
    """
    state, share = _state(network), config.statistics_share
    for attempt in range(_STATISTICS_ATTEMPTS):
        network.load_state_dict(state)
        share = config.statistics_share / 2**attempt
        take_statistics(network, statistics_batches(recordings), share)
        figures = _figures(network, recordings, rendered, config, say, f"scoring statistics, share {share:g}")
        if figures.rendered_iou >= lost_too_much:
            break
    return share, figures


def _load(model: str) -> tuple[dict[str, Any], nn.Module]:
    folder_config, weights = load_model_folder(model)
    network = build_model(folder_config["model"])
    fill_network(network, weights, model)
    return folder_config, network.eval()


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _failures(recordings: Recordings) -> tuple[tuple[str, str], ...]:
    return tuple(recordings.failures.items())


def _count(recordings: Recordings) -> int:
    return sum(len(part) for part in recordings.parts) - len(recordings.failures)


def _shown_frames(recordings: Recordings) -> list[Frame]:
    """A few frames of the first recording, spread over it."""
    part = recordings.parts[0]
    return list(recordings.frames(part[:: max(1, len(part) // _SHOWN)][:_SHOWN]))


def _pictures(network: nn.Module, frames: Sequence[Frame]) -> list[NDArray[np.uint8]]:
    segmenter = Segmenter.from_network(network, device="cpu")
    return [overlay(frame.depth_mm, segmenter(frame).labels) for frame in frames]


def _refuse_without_hands(network: nn.Module, recordings: Recordings, config: AdaptationConfig, say: Progress) -> None:
    """What a network never finds, it cannot teach itself; statistics of frames without hands make it worse."""
    segmenter = Segmenter.from_network(network, device="cpu")
    sample = [entry for part in recordings.parts for entry in part[:: max(1, len(part) // _SAMPLE_FRAMES)]]
    seen = with_hand = 0
    for number, frame in enumerate(recordings.frames(sample), start=1):
        labels = segmenter(frame).labels
        seen += 1
        with_hand += int(np.count_nonzero(labels == HAND) > _LEAST_HAND_SHARE * labels.size)
        say("looking for hands", number, len(sample))
    if seen == 0:
        reasons = "\n".join(recordings.failures.values())
        raise FrameError(f"none of the {len(sample)} frames can be used:\n{reasons}")
    if with_hand < max(1, _LEAST_FRAMES_WITH_HAND * seen):
        raise FrameError(
            f"something that could be a hand was found in {with_hand} of {seen} frames; expected at least one in "
            f"{round(1 / _LEAST_FRAMES_WITH_HAND)}. Without hands there is nothing to learn from: record frames with "
            "hands at work, or check --depth-unit-mm and --focal-px with 'graspcut info'."
        )


def _rendered_test(config: AdaptationConfig, say: Progress) -> list[LabelledFrame]:
    """Rendered frames of unseen kinds, which say whether something was forgotten."""
    generator = FrameGenerator(SynthConfig(held_out_kinds=True, colour=False), seed=TEST_SEED)
    count = min(config.test_frames, _QUICK_TEST_FRAMES) if config.quick else config.test_frames
    frames = []
    with ThreadPoolExecutor(usable_cores()) as threads:
        for frame in threads.map(generator.__getitem__, range(count)):
            frames.append(frame)
            say("rendering test frames", len(frames), count)
    return frames


def _figures(
    network: nn.Module,
    recordings: Recordings,
    rendered: Sequence[LabelledFrame],
    config: AdaptationConfig,
    say: Progress,
    what: str,
) -> Figures:
    segmenter = Segmenter.from_network(network, device="cpu")
    counts = ConfusionCounts()
    part = recordings.parts[0][: _QUICK_FIGURE_FRAMES if config.quick else _FIGURE_FRAMES]
    total = len(rendered) + len(part)
    for number, labelled in enumerate(rendered, start=1):
        counts.add(labelled.labels, segmenter(labelled.frame).labels)
        say(what, number, total)
    possible = changed = unlike = unsure = 0
    last: Segmentation | None = None
    for number, (alone, smooth) in enumerate(streamed(segmenter, recordings, part), start=1):
        either = (alone.labels != BACKGROUND) | (smooth.labels != BACKGROUND)
        possible += int(np.count_nonzero(either))
        unlike += int(np.count_nonzero(either & (alone.labels != smooth.labels)))
        unsure += int(np.count_nonzero(either & (smooth.probabilities.max(axis=0) < config.certainty)))
        if last is not None and last.depth_mm.shape == alone.depth_mm.shape:
            stayed = np.abs(alone.depth_mm - last.depth_mm) < 10
            changed += int(np.count_nonzero(either & stayed & (alone.labels != last.labels)))
        last = alone
        say(what, len(rendered) + number, total)
    share = 100.0 / max(1, possible)
    return Figures(100 * counts.scores().mean_iou, share * changed, 100 - share * unlike, share * unsure)


def _write(
    target: Path,
    work: Path,
    folder_config: dict[str, Any],
    network: nn.Module,
    report: AdaptationReport,
    config: AdaptationConfig,
    inputs: Sequence[str | Path],
) -> None:
    figures = {"before": asdict(report.before), "after": asdict(report.after)}
    training = {"adapted": asdict(config), "frames": report.frames, "start": folder_config.get("training", {})}
    written = {key: value for key, value in folder_config.items() if key != "format"}
    written |= {"training": training, "results": figures}
    card = [
        "# Hand and object segmentation, adapted without labels",
        "",
        f"- recordings: {', '.join(Path(place).name for place in inputs)} ({report.frames} frames)",
        f"- method: {'batch-norm statistics only' if config.quick else f'{config.rounds} rounds of self-training'}",
        *(["- every round lost too much on rendered frames: these are the old weights"] if report.kept_old else []),
        "",
        "| percent | rendered, unseen kinds: mean IOU | flicker | stream and frame agree | unsure |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {own.rendered_iou:.2f} | {own.flicker:.2f} | {own.agreement:.2f} | {own.unsure:.2f} |"
            for name, own in (("before", report.before), ("after", report.after))
        ),
    ]
    save_model_folder(target, written, network.state_dict(), "\n".join(card))
    write_json_atomically(
        work / "report.json",
        {
            "frames": report.frames,
            "failures": [list(entry) for entry in report.failures],
            "kept_old": report.kept_old,
            **figures,
            "statistics_share": report.statistics_share,
            "rounds": [asdict(entry) for entry in report.rounds],
            "config": asdict(config),
        },
    )
