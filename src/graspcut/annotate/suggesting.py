"""Colour rules for the frames of a command: which frames are looked at, and the clicks among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from graspcut.annotate.colour_samples import Click, gather_clicked, gather_colours
from graspcut.annotate.suggestion import Suggestion, suggest_rules
from graspcut.frames.errors import FrameError
from graspcut.frames.sources import FoundFrame

_FRAMES = 40


def suggest_for(found: Sequence[FoundFrame], *, clicks: Sequence[str] = ()) -> Suggestion:
    """Finds rules from at most 40 frames spread over the inputs; frames that cannot be read are left out.

    Args:
        found: The frames.
        clicks: "FRAME:COLUMN,ROW=CLASS".

    Raises:
        FrameError: If clicks are wrong, no frame has colour, or nothing looks like skin.
    """
    pointed = [Click.parse(text) for text in clicks]
    far = [click for click in pointed if click.frame >= len(found)]
    if far:
        raise FrameError(f"a click is in frame {far[0].frame}; expected 0..{len(found) - 1}.")
    clicked = gather_clicked([found[click.frame].load() for click in pointed], pointed)
    numbers = sorted({round(place) for place in np.linspace(0, len(found) - 1, min(len(found), _FRAMES))})
    frames, reasons = [], []
    for number in numbers:
        try:
            frame = found[number].load()
            if frame.colour is None:
                raise FrameError(
                    f"frame {found[number].name} has no colour; expected colour to annotate by. For depth alone: "
                    "--from-model MODEL."
                )
            frames.append(frame)
        except FrameError as error:
            reasons.append(str(error))
    if not frames:
        raise FrameError(reasons[0])
    return suggest_rules(dataclasses.replace(gather_colours(frames), clicked=clicked))
