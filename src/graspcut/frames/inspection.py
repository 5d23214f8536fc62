"""What a file or folder of frames is, and whether it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graspcut.frames.camera import Camera, CameraLike, given_camera
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.depth_values import examine_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.label_shares import mask_fault
from graspcut.frames.notes import Note, summarised
from graspcut.frames.plausibility import DepthRange, likely_units
from graspcut.frames.recording import Recording
from graspcut.frames.sources import DatasetFrames, DepthFiles, Source, open_source
from graspcut.frames.splits import PARTS, frames_of_part, is_split
from graspcut.frames.statistics import read_statistics
from graspcut.frames.verdicts import accepted_frames


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        kind: "recording", "dataset folder", "depth image", ...
        facts: (what, value) to print, in order.
        faults: One line for each thing that is damaged; empty = whole.
    """

    kind: str
    facts: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]


def inspect_frames(
    path: str | Path,
    *,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera: CameraLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Reads a depth image, numpy file, folder of images, recording or dataset folder whole.

    Args:
        path: File or folder.
        depth_unit_mm: Unit of whole numbers in files that do not say it. Without it such files are described in their
            raw steps.
        focal_px: Focal length of frames without a camera.
        camera: Intrinsics of these frames instead; whatever `Camera.of` takes.
        progress: Called with (frames read, frames in all) where it takes long.

    Raises:
        FrameError: If it is nothing of the kind.
    """
    place = Path(path)
    given = given_camera(camera, focal_px)
    labelled = _labelled_folder(place, depth_unit_mm, given)
    if labelled is not None:
        return _dataset(labelled, progress)
    source = open_source(place, depth_unit_mm=depth_unit_mm, camera=given)
    if isinstance(source, Recording):
        return _recording(source)
    if isinstance(source, DatasetFrames):
        return _dataset(source.reader, progress)
    if isinstance(source, DepthFiles) and depth_unit_mm is None and _needs_unit(source):
        return _raw(place, source, progress)
    return _frames(place, source, progress)


def _labelled_folder(place: Path, depth_unit_mm: float | None, camera: CameraLike | None) -> DatasetReader | None:
    """A plain folder with depth/ and label/ that can be trained on; others are folders of depth images."""
    if depth_unit_mm is None or not ((place / "depth").is_dir() and (place / "label").is_dir()):
        return None
    try:
        reader = DatasetReader(place, depth_unit_mm=depth_unit_mm, camera=camera)
    except FrameError:
        return None
    return reader if reader.is_plain else None


def _needs_unit(source: DepthFiles) -> bool:
    """Whether the first file that can be read has no unit and makes no sense in millimetres, or is no depth at all."""
    for index in range(len(source)):
        try:
            raw = source.raw(index)
        except FrameError:
            continue
        if raw.unit_mm is not None:
            return False
        try:
            examine_depth(raw.values, None, no_data_from=raw.no_data_from)
        except FrameError:
            return True
        return False
    return False


def _raw(path: Path, source: DepthFiles, progress: Callable[[int, int], None] | None) -> Inspection:
    """Files in their own steps: what is needed to find the unit."""
    faults: list[str] = []
    notes: list[Note] = []
    sizes, types = set[str](), set[str]()
    lows, highs, medians = list[float](), list[float](), list[float]()
    filled, pixels, pictures = 0, 0, 0
    for index in range(len(source)):
        try:
            raw = source.raw(index)
        except FrameError as error:
            faults.append(str(error))
        else:
            values = raw.values
            channels = 1 if values.ndim == 2 else values.shape[2]
            sizes.add(f"{values.shape[1]}x{values.shape[0]}")
            types.add(f"{channels} channel(s) of {values.dtype}")
            pictures += values.ndim == 3 or values.dtype.itemsize == 1
            notes += raw.notes
            if values.dtype.kind == "f" and not (values > 0).any() and (values < 0).any():
                notes.append(
                    Note("turned", "all distances are negative, as in OpenGL and Isaac Gym; their sign counts not")
                )
                values = -values
            valid = values[values > 0]
            filled, pixels = filled + valid.size, pixels + values.size
            if valid.size:
                lows.append(valid.min())
                highs.append(valid.max())
                medians.append(np.median(valid))
        if progress is not None:
            progress(index + 1, len(source))
    facts = [] if len(source) == 1 else [("frames", str(len(source)))]
    facts += [("size", ", ".join(sorted(sizes)) or "unknown"), ("values", ", ".join(sorted(types)) or "unknown")]
    if pictures:
        faults += [] if pictures == len(source) else [f"{pictures} of {len(source)} files are no depth images"]
        return Inspection("picture, not a depth image (8 bits or several channels)", tuple(facts), tuple(faults))
    facts.append(("pixels with data", f"{filled / max(pixels, 1):.1%}"))
    if lows:
        facts.append(("raw values", f"{min(lows)} .. {max(highs)}, median {np.median(medians):g}"))
    facts += [("note", text) for text in summarised(notes)] + _left_out(source)
    unit = "not in the file; give --depth-unit-mm to see millimetres"
    likely = likely_units(_range(lows, medians, highs), None) if lows else []
    if likely:
        unit += f" (likely: {' or '.join(f'{value:.8g}, {name}' for value, name in likely[:3])})"
    facts.append(("unit", unit))
    kind = "depth image" if len(source) == 1 else "folder of depth images" if path.is_dir() else "depth file"
    return Inspection(kind, tuple(facts), tuple(faults))


def _range(lows: list[float], medians: list[float], highs: list[float]) -> DepthRange:
    near, median, far = float(np.median(lows)), float(np.median(medians)), float(np.median(highs))
    return DepthRange(near, median, min(far, 3 * median), far, np.array([near, median, far]))


def _left_out(source: Source) -> list[tuple[str, str]]:
    text = getattr(source, "left_out", "")
    return [("left out", text.removeprefix("left out: "))] if text else []


def _recording(recording: Recording) -> Inspection:
    facts = [("frames", str(len(recording))), ("unit", f"{recording.depth_unit_mm:g} mm a step")]
    facts.append(("depth camera", describe_camera(recording.camera or _camera_of_first(recording))))
    facts.append(("colour camera", describe_camera(recording.colour_camera)))
    times = [time for time in recording.timestamps_s if time is not None]
    if len(times) > 1 and times[-1] > times[0]:
        facts.append(
            ("length", f"{times[-1] - times[0]:.2f} s, {(len(times) - 1) / (times[-1] - times[0]):.1f} frames/s")
        )
    return Inspection("recording", tuple(facts), tuple(recording.check()))


def _camera_of_first(recording: Recording) -> Camera | None:
    """What was given for a recording without a camera, at the size of its first frame; faults are told elsewhere."""
    try:
        return recording[0].camera if len(recording) else None
    except FrameError:
        return None


def _dataset(reader: DatasetReader, progress: Callable[[int, int], None] | None) -> Inspection:
    facts = [("frames", str(len(reader)))]
    facts += [(f"description: {name}", str(value)) for name, value in sorted(reader.description.items())]
    if len(reader):
        facts.append(("first frame's camera", describe_camera(reader.camera(0))))
    count = len(reader)
    statistics, faults = read_statistics(reader, None if progress is None else lambda done: progress(done, count))
    facts += statistics.facts()
    shares = statistics.label_shares()
    if shares.frames:
        facts.append(("label shares", str(shares)))
    if shares.are_masks:
        faults = [*faults, mask_fault(str(reader.directory), shares)]
    accepted = accepted_frames(reader.directory, reader.names)
    if accepted is not None:
        facts.append(("accepted by reviewers", f"{len(accepted)} frames"))
    if is_split(reader.directory):
        facts.append(("split", ", ".join(f"{len(frames_of_part(reader, part))} {part}" for part in PARTS)))
    return Inspection(
        "plain folder of depth and label images" if reader.is_plain else "dataset folder", tuple(facts), tuple(faults)
    )


def _frames(path: Path, source: Source, progress: Callable[[int, int], None] | None) -> Inspection:
    faults: list[str] = []
    sizes: set[str] = set()
    nearest, farthest, filled, pixels = np.inf, 0.0, 0, 0
    first: Frame | None = None
    notes: list[Note] = []
    for index in range(len(source)):
        try:
            frame = source[index]
        except FrameError as error:
            faults.append(str(error))
        else:
            first = first or frame
            notes += frame.notes or ()
            sizes.add(f"{frame.width}x{frame.height}")
            valid = frame.depth_mm[frame.depth_mm > 0]
            filled, pixels = filled + valid.size, pixels + frame.depth_mm.size
            if valid.size:
                nearest, farthest = min(nearest, float(valid.min())), max(farthest, float(valid.max()))
        if progress is not None:
            progress(index + 1, len(source))
    facts = [("frames", str(len(source)))]
    if first is not None:
        facts += [("size", ", ".join(sorted(sizes))), ("pixels with data", f"{filled / pixels:.1%}")]
        facts.append(("depth", f"{nearest:.0f} .. {farthest:.0f} mm" if filled else "none"))
        facts.append(("camera", describe_camera(first.camera)))
        facts.append(("colour", "no" if first.colour is None else "registered to depth"))
    facts += [("note", text) for text in summarised(notes)] + _left_out(source)
    return Inspection("folder of depth images" if path.is_dir() else "depth file", tuple(facts), tuple(faults))


def describe_camera(camera: Camera | None) -> str:
    """ "640x480, fx 476.0, fy 476.0, cx 313.7, cy 242.8", or "unknown"."""
    if camera is None:
        return "unknown"
    distorted = ", with distortion" if any(camera.distortion) else ""
    numbers = f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, cy {camera.cy:.1f}"
    return f"{camera.width}x{camera.height}, {numbers}{distorted}"
