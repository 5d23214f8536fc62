"""Labelled frames with instance maps as ground truth for the scores of `graspcut.instances.evaluation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.labelled import LabelledFrame
from graspcut.instances.coco import (
    CocoDetection,
    CocoGroundTruth,
    CocoImage,
    CocoObject,
    CocoResults,
    box_of_mask,
    encode_mask,
)
from graspcut.labels import LABEL_NAMES

CLASSES_BY_LABEL: Mapping[str, int] = {name: number for number, name in enumerate(LABEL_NAMES) if number}


def frames_groundtruth(
    frames: Iterable[LabelledFrame],
    *,
    smallest_px: int = 40,
    kinds: Sequence[str] = (),
    origin: str = "frames",
) -> CocoGroundTruth:
    """The instances of labelled frames; image ids are 0, 1, ... in their order.

    Args:
        frames: with instance maps.
        smallest_px: instances with fewer pixels do not count: they are crowds, which nothing has to find.
        kinds: names of categories 1, 2, ...; an instance's name ("left hand" and "right hand" are "hand") decides, and
            names that are not among them are left out. None given: hand and object.
        origin: for titles and errors.

    Raises:
        FrameError: a frame has no instance map.
    """
    categories = (
        dict(enumerate(kinds, start=1)) if kinds else {number: name for name, number in CLASSES_BY_LABEL.items()}
    )
    number_of = {name: number for number, name in categories.items()}
    images: dict[int, CocoImage] = {}
    objects: dict[int, list[CocoObject]] = {}
    for number, frame in enumerate(frames):
        if frame.instances is None:
            raise FrameError(f"frame {frame.frame.name!r} has no instance map; expected frames with instances.")
        height, width = frame.instances.shape
        images[number] = CocoImage(number, frame.frame.name or str(number), height, width)
        objects[number] = []
        for entry in frame.instance_table:
            name = kind_of(entry.name) if kinds else LABEL_NAMES[entry.label]
            mask = frame.instances == entry.id
            pixels = int(np.count_nonzero(mask))
            if name in number_of and pixels:
                crowd = pixels < smallest_px
                objects[number].append(
                    CocoObject(number_of[name], box_of_mask(mask), float(pixels), crowd, encode_mask(mask))
                )
    return CocoGroundTruth(origin, images, categories, objects)


def kind_of(name: str) -> str:
    """The kind of an instance by its name in the table: both hands are "hand"."""
    return "hand" if name.endswith("hand") else name


def mask_results(
    found: Iterable[tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]],
    categories: Iterable[NDArray[np.int64]] | None = None,
    *,
    origin: str = "proposals",
) -> CocoResults:
    """Masks and scores of image 0, 1, ... as results; empty masks are left out.

    Args:
        found: for each image masks (N, H, W) and scores (N,).
        categories: for each image (N,) category ids; all 1 if not given.
        origin: for titles and errors.
    """
    detections: dict[int, list[CocoDetection]] = {}
    kinds = iter(categories) if categories is not None else None
    for number, (masks, scores) in enumerate(found):
        own = next(kinds) if kinds is not None else np.ones(len(scores), np.int64)
        detections[number] = [
            CocoDetection(int(kind), float(score), box_of_mask(mask), encode_mask(mask))
            for mask, score, kind in zip(masks, scores, own, strict=True)
            if mask.any()
        ]
    return CocoResults(origin, detections, "mask")
