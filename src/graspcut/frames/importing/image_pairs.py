"""Folders of image pairs: one depth image and one colour image a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import check_depth, check_unit
from graspcut.frames.images import read_colour, read_image
from graspcut.frames.importing.stream import FLOAT_UNIT_MM, Stream, StreamFrame, metres_to_raw
from graspcut.frames.json_files import read_json

_DEPTH_SUFFIXES = (".png", ".tif", ".tiff", ".pgm", ".exr", ".npy")
_COLOUR_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm")


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
        depth_folder: 16-bit depth images.
        colour_folder: Pictures of the same names, or of the same numbers in their names; None for depth alone.
        depth_unit_mm: Millimetres per step.
        focal_px: Focal length of the depth images where there is no camera file.
        camera_file: JSON of a camera, or of {"camera": ..., "colour_camera": ...}.
        registered: Colour lies pixel by pixel on depth.
        frames_per_s: Makes timestamps.

    Raises:
        FrameError: If images do not pair up, or the calibration is missing.
    """
    depths = _files(Path(depth_folder), _DEPTH_SUFFIXES)
    if depth_unit_mm is None:
        raise FrameError(
            f"{depth_folder} does not state its depth unit; expected --depth-unit-mm: 1 for millimetres, 0.1249866 for "
            "an SR300, 1000 for metres."
        )
    unit = check_unit(depth_unit_mm)
    notes: list[str] = []
    colours: list[Path | None] = [None] * len(depths)
    if colour_folder is not None:
        colours = _paired(depths, _files(Path(colour_folder), _COLOUR_SUFFIXES), notes)
    camera, colour_camera = _cameras(camera_file)
    first = read_image(depths[0])
    if camera is None and focal_px is not None:
        camera = Camera.from_focal_length(first.shape[1], first.shape[0], focal_px)
    if colour_folder is not None and not registered and colour_camera is None:
        raise FrameError(
            "colour came without its calibration; expected --registered if it lies pixel by pixel on depth, or "
            '--camera camera.json with {"camera": ..., "colour_camera": ...}.'
        )
    if registered:
        colour_camera = None
    is_float = first.dtype.kind == "f"

    def frames() -> Iterator[StreamFrame]:
        for number, (depth_path, colour_path) in enumerate(zip(depths, colours, strict=True)):
            try:
                raw = _raw_depth(depth_path, unit)
                colour = None if colour_path is None else read_colour(colour_path)
            except FrameError as error:
                stream.damaged.append(str(error))
                continue
            yield StreamFrame(raw, colour, None if frames_per_s is None else number / frames_per_s)

    stream = Stream(
        frames, FLOAT_UNIT_MM if is_float else unit, camera, colour_camera, expected=len(depths), notes=notes
    )
    return stream


def _raw_depth(path: Path, unit_mm: float) -> NDArray[np.uint16]:
    image = read_image(path) if path.suffix.lower() != ".npy" else np.load(path, allow_pickle=False)
    if image.dtype.kind == "f":
        return metres_to_raw(check_depth(image, unit_mm) / np.float32(1000))
    check_depth(image, unit_mm)
    if image.min() < 0 or image.max() > 65535:
        raise FrameError(f"{path} goes from {image.min()} to {image.max()}; expected 16 bits.")
    return np.asarray(image, dtype=np.uint16)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise FrameError(f"{folder} is no folder; expected a folder of images.")
    files = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    if not files:
        raise FrameError(f"{folder} has no {', '.join(suffixes)} files; expected one image a frame.")
    return sorted(files, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]


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


def _cameras(path: str | Path | None) -> tuple[Camera | None, Camera | None]:
    if path is None:
        return None, None
    values = read_json(path)
    try:
        if "camera" in values or "colour_camera" in values:
            pair = [
                Camera.from_dict(values[name]) if values.get(name) else None for name in ("camera", "colour_camera")
            ]
            return pair[0], pair[1]
        return Camera.from_dict(values), None
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error
