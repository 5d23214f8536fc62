"""What can be said of a network on a recording that nobody labelled, and on rendered frames.

Nothing without labels shows what a network forgets: a recording's own figures get better while another is ruined, and
rendered frames of all cameras and places gain while close-ups lose. So both kinds are scored, each by itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import nn

from graspcut.cores import usable_cores
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import BACKGROUND
from graspcut.segmentation.metrics import ConfusionCounts
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.self_training import AdaptationConfig, Progress, Recordings, streamed
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import ProfileName

TEST_SEED = 999_979  # of the rendered frames of unseen kinds that say whether something was forgotten
_FIGURE_FRAMES = 200
_QUICK_FIGURE_FRAMES, _QUICK_TEST_FRAMES = 24, 50
_STAYED_MM = 10.0


@dataclass(frozen=True)
class Figures:
    """What can be said of a network on a recording without truth, and on rendered frames with it.

    Attributes:
        rendered_iou: percent mean IOU on rendered frames of unseen kinds, of all cameras and places.
        close_up_iou: percent mean IOU on rendered close-ups of unseen kinds, which the first version of the renderer
            makes: what is lost there is not seen among all cameras and places.
        flicker: percent of the possible hand and object pixels whose label changes from one frame to the next although
            the depth stays.
        agreement: percent of them that a frame alone labels as the stream does.
        unsure: percent of them of which the stream is not sure.
    """

    rendered_iou: float
    close_up_iou: float
    flicker: float
    agreement: float
    unsure: float

    def lost(self, before: Figures) -> float:
        """Points of mean IOU lost on the rendered frames that lost most."""
        return max(before.rendered_iou - self.rendered_iou, before.close_up_iou - self.close_up_iou)

    def may_follow(self, before: Figures, largest_loss: float) -> bool:
        """Whether a network with these figures may take the place of one with those before.

        It must not have lost more than `largest_loss` points on rendered frames, and the recording must not speak
        against it: labels that flicker more and agree less with the stream were worse ones wherever the truth is known.
        """
        worse = self.flicker > before.flicker and self.agreement < before.agreement
        return self.lost(before) <= largest_loss and not worse


class RenderedTest(NamedTuple):
    """Rendered frames of unseen kinds, which say whether something was forgotten, of both versions of the renderer."""

    all_cameras: list[LabelledFrame]
    close_ups: list[LabelledFrame]


def rendered_test(config: AdaptationConfig, say: Progress) -> RenderedTest:
    """Renders them.

    Args:
        config: says how many of each.
        say: told how far it is.
    """
    count = min(config.test_frames, _QUICK_TEST_FRAMES) if config.quick else config.test_frames
    found: list[list[LabelledFrame]] = []
    profiles: tuple[ProfileName, ...] = ("v2", "v1")
    with ThreadPoolExecutor(usable_cores()) as threads:
        for profile in profiles:
            generator = FrameGenerator(SynthConfig(profile=profile, held_out_kinds=True, colour=False), seed=TEST_SEED)
            found.append([])
            for frame in threads.map(generator.__getitem__, range(count)):
                found[-1].append(frame)
                say("rendering test frames", sum(map(len, found)), len(profiles) * count)
    return RenderedTest(*found)


def figures_of(
    network: nn.Module,
    recordings: Recordings,
    rendered: RenderedTest,
    config: AdaptationConfig,
    say: Progress,
    what: str,
    before: Figures | None = None,
) -> Figures | None:
    """Scores a network.

    Args:
        network: in evaluation mode.
        recordings: of the first one, some frames are looked at alone and as a stream.
        rendered: frames with labels.
        config: says how many frames, and what counts as sure.
        say: told how far it is.
        what: the name of this stage.
        before: figures to keep up with: as soon as more than `config.largest_loss` is lost, nothing more is scored.

    Returns:
        the figures; None where too much was lost.
    """
    segmenter = Segmenter.from_network(network, device="cpu")
    part = recordings.parts[0][: _QUICK_FIGURE_FRAMES if config.quick else _FIGURE_FRAMES]
    total, done = sum(map(len, rendered)) + len(part), 0
    scores: list[float] = []
    wanted = (-np.inf, -np.inf) if before is None else (before.rendered_iou, before.close_up_iou)
    for frames, least in zip(rendered, wanted, strict=True):
        counts = ConfusionCounts()
        for labelled in frames:
            counts.add(labelled.labels, segmenter(labelled.frame).labels)
            done += 1
            say(what, done, total)
        scores.append(100 * counts.scores().mean_iou)
        if scores[-1] < least - config.largest_loss:
            return None
    possible = changed = unlike = unsure = 0
    last: Segmentation | None = None
    for number, (alone, smooth) in enumerate(streamed(segmenter, recordings, part), start=1):
        either = (alone.labels != BACKGROUND) | (smooth.labels != BACKGROUND)
        possible += int(np.count_nonzero(either))
        unlike += int(np.count_nonzero(either & (alone.labels != smooth.labels)))
        unsure += int(np.count_nonzero(either & (smooth.probabilities.max(axis=0) < config.certainty)))
        if last is not None and last.depth_mm.shape == alone.depth_mm.shape:
            stayed = np.abs(alone.depth_mm - last.depth_mm) < _STAYED_MM
            changed += int(np.count_nonzero(either & stayed & (alone.labels != last.labels)))
        last = alone
        say(what, done + number, total)
    share = 100.0 / max(1, possible)
    all_cameras, close_ups = scores
    return Figures(all_cameras, close_ups, share * changed, 100 - share * unlike, share * unsure)
