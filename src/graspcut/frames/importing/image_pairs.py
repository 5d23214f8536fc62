"""Folders of image pairs: one depth image and one colour image a frame.

Which files of the folder are depth, and what is in them, is told by the same readers as for every other command
(`frames/sources.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, CameraLike, given_camera
from graspcut.frames.camera_files import find_camera
from graspcut.frames.depth_values import ExaminedDepth, check_unit, examine_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.folders import natural_order
from graspcut.frames.images import read_colour
from graspcut.frames.importing.stream import FLOAT_UNIT_MM, Stream, StreamFrame
from graspcut.frames.json_files import read_json
from graspcut.frames.notes import Note, summarised
from graspcut.frames.readers.raw_depth import RawDepth
from graspcut.frames.sources import DepthFiles, open_source

_COLOUR_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".webp")


def open_image_pairs(
    depth_folder: str | Path,
    colour_folder: str | Path | None = None,
    *,
    depth_unit_mm: float | None = None,
    focal_px: float | None = None,
    camera_file: str | Path | None = None,
    registered: bool = False,
    frames_per_s: float | None = None,
) -> Stream:
    """Opens folders of image pairs.

    Args:
        depth_folder: Depth images or numpy files, or one file of several frames.
        colour_folder: Pictures of the same names, or of the same numbers in their names; None for depth alone, and for
            pictures of the depth's size that lie beside it.
        depth_unit_mm: Millimetres per step of whole numbers that do not say it.
        focal_px: Focal length of depth images without a camera.
        camera_file: File of their intrinsics or name of a camera instead, or JSON of {"camera": ...,
            "colour_camera": ...}.
        registered: Colour lies pixel by pixel on depth.
        frames_per_s: Makes timestamps.

    Raises:
        FrameError: If images do not pair up, or the calibration is missing.
    """
    depth_camera, colour_camera = _cameras(camera_file)
    given = given_camera(depth_camera, focal_px)
    source = open_source(depth_folder, depth_unit_mm=depth_unit_mm)
    if not isinstance(source, DepthFiles):
        raise FrameError(f"{depth_folder} is a recording or dataset already; expected a folder of depth images.")
    notes = [source.left_out] if source.left_out and colour_folder is None else []
    colours: list[Path | None] = [None] * len(source)
    if colour_folder is not None:
        colours = _paired(source.files, _colour_files(Path(colour_folder)), notes)
    if colour_folder is not None and not registered and colour_camera is None:
        raise FrameError(
            "colour came without its calibration; expected --registered if it lies pixel by pixel on depth, or "
            '--camera camera.json with {"camera": ..., "colour_camera": ...}.'
        )
    unit, camera = _unit_and_camera(source, depth_unit_mm, given, depth_folder)
    if camera is None:
        notes.append("no camera is known; give --camera or --focal-px, or other commands assume a focal length")
    told: list[Note] = []

    def frames() -> Iterator[StreamFrame]:
        for number, colour_path in enumerate(colours):
            try:
                raw = source.raw(number)
                examined = _examined(raw, depth_unit_mm, source.files[number])
                if colour_path is not None:
                    colour: NDArray[np.uint8] | None = read_colour(colour_path)
                else:
                    lies_beside = raw.colour is not None or source.colours[number] is not None
                    colour = source[number].colour if lies_beside and colour_folder is None else None
                steps = _steps(raw, examined, unit)
            except FrameError as error:
                stream.damaged.append(str(error))
                continue
            told.extend((*raw.notes, *examined.notes))
            yield StreamFrame(steps, colour, None if frames_per_s is None else number / frames_per_s)
        stream.notes.extend(summarised(told))

    kept = colour_camera if colour_folder is not None and not registered else None
    stream = Stream(frames, unit, camera, kept, expected=len(source), notes=notes)
    return stream


def _examined(raw: RawDepth, depth_unit_mm: float | None, path: Path) -> ExaminedDepth:
    unit = raw.unit_mm if raw.unit_mm is not None else depth_unit_mm
    try:
        return examine_depth(raw.values, unit, no_data_from=raw.no_data_from)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def _unit_and_camera(
    source: DepthFiles, depth_unit_mm: float | None, given: CameraLike | None, place: str | Path
) -> tuple[float, Camera | None]:
    """The unit that the recording is written in, and its camera: those of the first frame that can be read."""
    fault: FrameError | None = None
    for number in range(len(source)):
        try:
            raw = source.raw(number)
        except FrameError as error:
            fault = fault or error
            continue
        known = raw.camera if raw.camera is not None else given
        height, width = raw.values.shape[:2]
        camera = None if known is None else Camera.of(known, width, height)
        if raw.values.dtype.kind == "f":
            return FLOAT_UNIT_MM, camera
        unit = raw.unit_mm if raw.unit_mm is not None else depth_unit_mm
        if unit is None:
            raise FrameError(
                f"{place} does not state its depth unit; expected --depth-unit-mm: 1 for millimetres, 0.1249866 for "
                "an SR300, 1000 for metres."
            )
        return check_unit(unit), camera
    raise fault or FrameError(f"{place} has no frames.")


def _steps(raw: RawDepth, examined: ExaminedDepth, unit_mm: float) -> NDArray[np.uint16]:
    """Depth in steps of the recording: whole numbers of that unit as they are, anything else rounded to it."""
    values, has_data = raw.values, examined.depth_mm > 0
    own = raw.unit_mm if raw.unit_mm is not None else unit_mm
    if values.dtype.kind in "iu" and own == unit_mm and int(values.max(where=has_data, initial=0)) <= 65535:
        return np.where(has_data, values, 0).astype(np.uint16)
    steps = np.rint(examined.depth_mm.astype(np.float64) / unit_mm)
    return np.where(steps <= 65535, steps, 0).astype(np.uint16)


def _colour_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FrameError(f"{folder} is no folder; expected a folder of images.")
    files = [
        path for path in folder.iterdir() if path.suffix.lower() in _COLOUR_SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise FrameError(f"{folder} has no {', '.join(_COLOUR_SUFFIXES)} files; expected one image a frame.")
    return sorted(files, key=lambda path: natural_order(path.name))


def _paired(depths: list[Path], colours: list[Path], notes: list[str]) -> list[Path | None]:
    """The picture of each depth image: of the same name, else of the same last number."""
    for key in (_stem, _number):
        table = {key(path): path for path in colours}
        keys = [key(path) for path in depths]
        if len(table) != len(colours) or len(set(keys)) != len(depths) or not any(name in table for name in keys):
            continue
        missing = [path.name for path, name in zip(depths, keys, strict=True) if name not in table]
        if missing:
            notes.append(f"{len(missing)} depth image(s) have no colour, such as {missing[0]}")
        unused = len(set(table) - set(keys))
        if unused:
            notes.append(f"{unused} picture(s) have no depth image and are left out")
        return [table.get(name) for name in keys]
    raise FrameError(
        f"depth images such as {depths[0].name} and pictures such as {colours[0].name} do not pair up; expected the "
        "same names, or the same numbers in their names."
    )


def _stem(path: Path) -> str:
    return path.stem


def _number(path: Path) -> str:
    numbers = re.findall(r"\d+", path.stem)
    return str(int(numbers[-1])) if numbers else ""


def _cameras(file: str | Path | None) -> tuple[CameraLike | None, Camera | None]:
    """What is known of the depth camera, and the colour camera if the file has one."""
    if file is None:
        return None, None
    path = Path(file)
    if path.suffix.lower() == ".json" and path.is_file():
        values = read_json(path)
        if "colour_camera" in values:
            try:
                pair = [
                    Camera.from_dict(values[name]) if values.get(name) else None for name in ("camera", "colour_camera")
                ]
            except FrameError as error:
                raise FrameError(f"{path}: {error}") from error
            return pair[0], pair[1]
    return find_camera(str(file)), None
