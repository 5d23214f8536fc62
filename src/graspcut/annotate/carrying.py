"""Corrections of one frame carried to the following ones along the flow of depth, not pasted in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.flow import backward_flow, depths_agree, flow_picture, nearest_depth_mm, sample_along
from graspcut.frames.images import encode_image
from graspcut.frames.verdicts import VERDICTS_NAME, VerdictStore

# Labels as they were before the first stroke of a review; never written again.
ORIGINALS_FOLDER = "label_before_review"
_TOLERANCE_MM = 15.0


def carried_labels(
    reader: DatasetReader, index: int, before: NDArray[np.uint8], count: int
) -> dict[int, NDArray[np.uint8]]:
    """The label maps of the following frames with the corrections of frame `index`.

    Args:
        reader: The frames; its frame `index` has the corrected labels.
        index: The corrected frame.
        before: (H, W) uint8, its labels before the correction.
        count: How many following frames at most; the end of the recording and frames of other sizes end it too.

    Returns:
        Number -> (H, W) uint8, of the frames that change.
    """
    depth, labels = reader.read_depth_and_labels(index)
    corrected = labels != before
    recording = reader.meta(index).get("recording")
    changed: dict[int, NDArray[np.uint8]] = {}
    for number in range(index + 1, min(index + 1 + count, len(reader))):
        if not corrected.any() or reader.meta(number).get("recording") != recording:
            break
        next_depth, next_labels = reader.read_depth_and_labels(number)
        if next_depth.shape != depth.shape:
            break
        nearest = nearest_depth_mm(depth)
        flow = backward_flow(flow_picture(next_depth, nearest), flow_picture(depth, nearest))
        agree = depths_agree(next_depth, depth, flow, tolerance_mm=_TOLERANCE_MM)
        maps = np.stack([labels, corrected]).transpose(1, 2, 0).astype(np.float32)
        brought = sample_along(maps, flow, nearest=True)
        corrected = (brought[..., 1] > 0) & agree
        labels = np.where(corrected, brought[..., 0].astype(np.uint8), next_labels)
        if (labels != next_labels).any():
            changed[number] = labels
        depth = next_depth
    return changed


def followed_labels(
    reader: DatasetReader, trusted: Sequence[int], reach: int = 15
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The label maps of all other frames after those of the trusted ones: a person corrects a few, the rest follows.

    Labels of the nearest trusted frame before and of the nearest one after are brought to each frame along the flow,
    step by step, and hold where depths agree on the whole way; the nearer one wins. Elsewhere a frame keeps its own.

    Args:
        reader: The frames, in order of time.
        trusted: Numbers of the frames whose labels are right.
        reach: How many frames a label is carried at most.

    Yields:
        (number, (H, W) uint8) of the frames that change.
    """
    known = sorted(set(trusted))
    brought: dict[int, list[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]] = {}
    for position, start in enumerate(known):
        for direction in (1, -1):
            other = position + direction
            limit = known[other] if 0 <= other < len(known) else (len(reader) if direction > 0 else -1)
            for number, labels, valid in _carried_from(reader, start, direction, limit, reach):
                brought.setdefault(number, []).append((abs(number - start), labels, valid))
        # What lies before this trusted frame can change no more.
        end = known[position + 1] if position + 1 < len(known) else len(reader)
        settled = [number for number in brought if number < start] if end < len(reader) else list(brought)
        for number in sorted(settled):
            own = reader.read_labels(number)
            labels = own.copy()
            for _, carried, valid in sorted(brought.pop(number), key=lambda entry: -entry[0]):
                labels[valid] = carried[valid]
            if (labels != own).any():
                yield number, labels


def _carried_from(
    reader: DatasetReader, start: int, direction: int, limit: int, reach: int
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
    """(number, labels, where they hold) of the frames from `start` on, until `limit`, another recording or size."""
    depth, labels = reader.read_depth_and_labels(start)
    valid = np.ones(labels.shape, dtype=bool)
    recording = reader.meta(start).get("recording")
    for step in range(1, reach + 1):
        number = start + direction * step
        if number == limit or not 0 <= number < len(reader) or reader.meta(number).get("recording") != recording:
            return
        next_depth, _ = reader.read_depth_and_labels(number)
        if next_depth.shape != depth.shape:
            return
        nearest = nearest_depth_mm(depth)
        flow = backward_flow(flow_picture(next_depth, nearest), flow_picture(depth, nearest))
        agree = depths_agree(next_depth, depth, flow, tolerance_mm=_TOLERANCE_MM)
        maps = np.stack([labels, valid]).transpose(1, 2, 0).astype(np.float32)
        moved = sample_along(maps, flow, nearest=True)
        labels, valid = moved[..., 0].astype(np.uint8), (moved[..., 1] > 0) & agree
        yield number, labels, valid
        depth = next_depth


def follow_corrections(
    folder: str | Path, *, reach: int = 15, progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Lets all frames without a verdict follow those that were corrected or accepted.

    Args:
        folder: A dataset folder under review.
        reach: See `followed_labels`.
        progress: Called with (frames changed so far, frames in all).

    Returns:
        Trusted frames, and frames that changed.

    Raises:
        FrameError: If no frame was corrected or accepted.
    """
    reader = DatasetReader(folder)
    corrected = {path.stem for path in (reader.directory / ORIGINALS_FOLDER).glob("*.png")}
    judged: set[str] = set()
    accepted: set[str] = set()
    if (reader.directory / VERDICTS_NAME).exists():
        store = VerdictStore(folder)
        current = store.current()
        store.close()
        judged = set(current)
        accepted = {name for name, verdict in current.items() if verdict.verdict == "accept"}
    trusted = [index for index, name in enumerate(reader.names) if name in corrected | accepted]
    if not trusted:
        raise FrameError(f"no frame of {folder} was corrected or accepted; do a few first: graspcut review {folder}")
    changed = 0
    for index, labels in followed_labels(reader, trusted, reach):
        name = reader.names[index]
        if name in judged or name in corrected:
            continue
        write_bytes_atomically(reader.directory / "label" / f"{name}.png", encode_image(labels, ".png", name=name))
        changed += 1
        if progress is not None:
            progress(changed, len(reader))
    return len(trusted), changed
