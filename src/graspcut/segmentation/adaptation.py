"""Makes a network better for one's own camera, place and habits from recordings that nobody labelled.

A teacher labels the recording: the network itself, with what the frames before and after know (`stream.py`). Where it
is sure, its labels teach; the rest is unknown. Fresh rendered frames are mixed in by a stated share, and on them the
network is held to what it said before, so that nothing is forgotten; where something is, or where the recording's own
labels get less steady, only three quarters of the way are gone, or half, or a quarter, or none. Before any training,
half of the batch-norm statistics are taken from the recording; `quick` stops there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from graspcut.draw import contact_sheet, overlay
from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.camera import CameraLike, given_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import HAND
from graspcut.nn.averaging import PARTS_OF_THE_WAY, between
from graspcut.runtime.model_folder import check_target, fill_network, load_model_folder, save_model_folder
from graspcut.segmentation.adaptation_figures import Figures, figures_of, rendered_test
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.self_training import (
    AdaptationConfig,
    Progress,
    Recordings,
    statistics_batches,
    take_statistics,
    train_round,
)
from graspcut.synth.place import PlaceConfig, open_place
from graspcut.train.trainer import RunConfig, prepare_run

_LEAST_HAND_SHARE = 0.002  # of a frame's pixels, to count as a frame in which a hand may be
_LEAST_FRAMES_WITH_HAND = 0.05
_SAMPLE_FRAMES = 24  # of a recording, to see whether there are hands
_SHOWN = 4


@dataclass(frozen=True)
class AdaptationReport:
    """How an adaptation ended.

    Attributes:
        frames: frames of the recordings that were used.
        failures: (name, message) of those that could not be.
        before: the network that was given.
        after: the one that was written.
        rounds: figures of each round, the statistics first.
        shares: how much of the way from the given network to the end of each round was taken: the whole, or three,
            two or one quarters.
        kept_old: whether all of it lost too much or made the recording worse, so that the old network was written.
        finished: False when stopped; the same command continues.
        model_folder: what was written, or None.
    """

    frames: int
    failures: tuple[tuple[str, str], ...]
    before: Figures
    after: Figures
    rounds: tuple[Figures, ...]
    shares: tuple[float, ...]
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
    known = _load(start)[1]
    say = progress if progress is not None else lambda _what, _done, _total: None

    first = _shown_frames(recordings)
    before_pictures = _pictures(network, first)
    _refuse_without_hands(network, recordings, own, say)
    rendered = rendered_test(own, say)

    def score(what: str, before: Figures | None = None) -> Figures | None:
        return figures_of(network, recordings, rendered, own, say, f"scoring {what}", before)

    before = _scored(score, "before")
    first_state = best_state = _state(network)
    best = before
    take_statistics(network, statistics_batches(recordings), own.statistics_share)
    whole_statistics = _state(network)
    rounds, shares = list[Figures](), list[float]()
    for number in range(1, 1 if own.quick else own.rounds + 1):
        if number == 1:  # what one camera's statistics cost on rendered frames, training wins back: its end is judged
            rounds.append(_scored(score, "statistics"))
            shares.append(1.0)
        folder = work / f"round-{number}"
        if not train_round(network, known, folder_config, recordings, folder, own, say, number, scene):
            return _report(recordings, before, best, rounds, shares, kept_old=False, target=None)
        share, figures = _go_as_far_as_allowed(network, first_state, score, f"round {number}", before, own)
        rounds.append(figures)
        shares.append(share)
        if not figures.may_follow(before, own.largest_loss):
            break
        best_state, best = _state(network), figures
    if best is before:
        network.load_state_dict(whole_statistics)
        share, figures = _go_as_far_as_allowed(network, first_state, score, "statistics", before, own)
        rounds[:1], shares[:1] = [figures], [share]
        if figures.may_follow(before, own.largest_loss):
            best_state, best = _state(network), figures
    network.load_state_dict(best_state)
    report = _report(recordings, before, best, rounds, shares, kept_old=best is before, target=target)
    _write(target, work, folder_config, network, report, own, inputs)
    rows = [picture for pair in zip(before_pictures, _pictures(network, first), strict=True) for picture in pair]
    if rows:
        write_image_atomically(work / "before_after.png", contact_sheet(rows, 2, ["before", "after"] * len(first)))
    return report


def _scored(score: Callable[[str, Figures | None], Figures | None], what: str) -> Figures:
    figures = score(what, None)
    assert figures is not None  # without figures to keep up with there always are some
    return figures


def _go_as_far_as_allowed(
    network: nn.Module,
    start: dict[str, Tensor],
    score: Callable[[str, Figures | None], Figures | None],
    what: str,
    before: Figures,
    config: AdaptationConfig,
) -> tuple[float, Figures]:
    """Takes a change of the network whole or in part, until rendered frames lose little and the recording gains.

    A camera unlike all others pulls far, and a part of the way still brings most of the gain.

    Args:
        network: changed; left where it went.
        start: its state before the change.
        score: scores it, told what it is and what it has to keep up with.
        what: the change.
        before: what is compared with.
        config: says how much may be lost.

    Returns:
        the share of the way, and the figures there.
    """
    end = _state(network)
    for share in PARTS_OF_THE_WAY:
        network.load_state_dict(between(start, end, share))
        can_be_less = share != PARTS_OF_THE_WAY[-1]
        figures = score(what if share == 1 else f"{what}, {share:g} of it", before if can_be_less else None)
        if figures is not None and figures.may_follow(before, config.largest_loss):
            break
    assert figures is not None
    return share, figures


def _report(
    recordings: Recordings,
    before: Figures,
    best: Figures,
    rounds: Sequence[Figures],
    shares: Sequence[float],
    *,
    kept_old: bool,
    target: Path | None,
) -> AdaptationReport:
    return AdaptationReport(
        frames=sum(len(part) for part in recordings.parts) - len(recordings.failures),
        failures=tuple(recordings.failures.items()),
        before=before,
        after=best,
        rounds=tuple(rounds),
        shares=tuple(shares),
        kept_old=kept_old,
        finished=target is not None,
        model_folder=target,
    )


def _load(model: str) -> tuple[dict[str, Any], nn.Module]:
    folder_config, weights = load_model_folder(model)
    network = build_model(folder_config["model"])
    fill_network(network, weights, model)
    return folder_config, network.eval()


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


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
        "| percent | rendered, unseen kinds: mean IOU | close-ups | flicker | stream and frame agree | unsure |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {own.rendered_iou:.2f} | {own.close_up_iou:.2f} | {own.flicker:.2f} | {own.agreement:.2f} "
            f"| {own.unsure:.2f} |"
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
            "shares": list(report.shares),
            "rounds": [asdict(entry) for entry in report.rounds],
            "config": asdict(config),
        },
    )
