"""Intrinsics from the files in which people have them.

Read are: this program's JSON (also inside recording.json), JSON of RealSense (`ppx`, `ppy`, `coeffs`), Open3D
(`intrinsic_matrix`, columns first), BOP (`cam_K`), nerfstudio (`fl_x`) and others with K or fx, fy, cx, cy; YAML of ROS
(`camera_info`), OpenCV, Kalibr and ORB-SLAM; lines of "fx = ..."; a matrix as text, .npy or .npz.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from graspcut.frames.camera_presets import PRESETS
from graspcut.frames.distortion import inverse_distortion
from graspcut.frames.errors import FrameError
from graspcut.frames.intrinsics import Intrinsics, of_numbers
from graspcut.frames.json_files import as_number, parse_json
from graspcut.frames.opening import read_bytes
from graspcut.frames.readers.arrays import ArrayHeader, array_header

_MOST_BYTES: Final = 4 << 20
_MATRIX_NAMES: Final = (
    "K",
    "k",
    "intrinsic_matrix",
    "camera_matrix",
    "intrinsics_matrix",
    "cam_K",
    "intrinsicMatrix",
    "intrinsics",
    "intrinsic",
    "depth_K",
    "cameraMatrix",
    "M1",
)
_WIDTH_NAMES: Final = ("width", "image_width", "w", "W", "imageWidth")
_HEIGHT_NAMES: Final = ("height", "image_height", "h", "H", "imageHeight")
_DISTORTION_NAMES: Final = ("distortion_coefficients", "D", "d", "coeffs", "dist_coeffs", "distortion")
_FOUR_NAMES: Final = (
    ("fx", "fy", "cx", "cy"),
    ("fx", "fy", "ppx", "ppy"),
    ("focal_x", "focal_y", "cx", "cy"),
    ("fl_x", "fl_y", "cx", "cy"),
)
_DISTORTION_PARTS: Final = ("k1", "k2", "p1", "p2", "k3")
# Streams of depth come before others in a file of several cameras.
_NESTED_FIRST: Final = ("depth", "camera", "depth_intrinsics", "depth_camera", "ir", "left", "intrinsic", "intrinsics")
_TOO_BIG_ERROR_PX: Final = 0.5


def find_camera(text: str, *, option: str = "--camera") -> Intrinsics | str:
    """What a user typed for a camera: the name of a known one, or a file of intrinsics.

    Args:
        text: Name or path.
        option: How the user gave it, for errors.

    Returns:
        What `Camera.of` takes: the file's intrinsics, or the name.

    Raises:
        FrameError: If it is neither.
    """
    name = text.lower().replace("-", "_")
    if not Path(text).exists():
        if name in PRESETS:
            return name
        raise FrameError(
            f"{option} {text}: there is no such file, and no camera of this name; expected a file with intrinsics, or "
            f"one of {', '.join(sorted(PRESETS))}."
        )
    return read_intrinsics(text)


def read_intrinsics(path: str | Path) -> Intrinsics:
    """The intrinsics of a file.

    Raises:
        FrameError: If it cannot be read or holds none.
    """
    place = Path(path)
    if place.suffix.lower() in (".npy", ".npz"):
        return of_numbers(_array(place), origin=str(place))
    data = read_bytes(place, what="camera file", most=_MOST_BYTES)
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise FrameError(f"{place} is no text; expected JSON, YAML or a matrix of intrinsics.") from error
    value: Any
    if text.startswith(("{", "[")) and not re.match(r"\[\w+\]\s*\n", text):
        value = parse_json(text, str(place))
    else:
        value = _plain_numbers(text)
        if value is None:
            value = _read_yaml(text)
    found = _search(value, str(place))
    if found is None:
        raise FrameError(
            f"{place} holds no intrinsics that are known here; expected fx, fy, cx, cy with width and height, or a "
            "camera matrix K, as JSON, YAML, text or .npy."
        )
    return found


def _array(path: Path) -> Any:
    if path.suffix.lower() == ".npy":
        header: ArrayHeader = array_header(path)
        if header.size > _MOST_BYTES:
            raise FrameError(f"{path} has shape {header.shape}; expected a camera matrix of 3x3 numbers.")
        return np.load(path, allow_pickle=False)
    read_bytes(path, what="camera file", most=_MOST_BYTES)
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in (*_MATRIX_NAMES, *archive.files):
                if name in archive.files and archive[name].shape in ((3, 3), (3, 4), (4, 4), (4,)):
                    return archive[name]
    except Exception as error:
        raise FrameError(f"{path} cannot be read as a numpy file ({error}); expected one with a matrix K.") from error
    raise FrameError(f"{path} has no array K of 3x3 numbers; expected one.")


def _plain_numbers(text: str) -> list[float] | None:
    """Numbers parted by spaces, commas, semicolons or brackets, and nothing else."""
    words = re.split(r"[\s,;\[\]()]+", re.sub(r"#[^\n]*", "", text).strip())
    try:
        numbers = [float(word) for word in words if word]
    except ValueError:
        return None
    return numbers if len(numbers) in (4, 9, 12, 16) else None


def _search(value: Any, origin: str, depth: int = 0) -> Intrinsics | None:
    """Intrinsics in a parsed file: at the top, or in the first object inside that has some."""
    if isinstance(value, list) and depth == 0:
        flat = value if value and not isinstance(value[0], list) else [number for row in value for number in row]
        if all(as_number(number) is not None for number in flat) and len(flat) in (4, 9, 12, 16):
            return of_numbers(flat, origin=origin)
    if not isinstance(value, dict) or depth > 4:
        return None
    here = _of_object(value, origin)
    if here is not None:
        return here
    for inner in _inner(value):
        found = _search(inner, origin, depth + 1)
        if found is not None:
            return found
    return None


def _inner(value: dict[str, Any]) -> Iterator[Any]:
    lower = {str(name).lower(): inner for name, inner in value.items()}
    yield from (lower[name] for name in _NESTED_FIRST if isinstance(lower.get(name), dict))
    yield from list(value.values())[:1000]


def _of_object(value: dict[str, Any], origin: str) -> Intrinsics | None:
    found = None
    for names in _FOUR_NAMES:
        numbers = [as_number(value.get(name)) for name in names]
        if all(number is not None for number in numbers):
            found = of_numbers(numbers, origin=origin)
            break
    if found is None:
        for name in _MATRIX_NAMES:
            matrix = value.get(name)
            if isinstance(matrix, dict) and "data" in matrix:
                matrix = matrix["data"]
            if isinstance(matrix, list) and matrix:
                found = of_numbers(matrix, origin=f"{origin}: {name}")
                break
    if found is None:
        return None
    width, height = _size(value, _WIDTH_NAMES), _size(value, _HEIGHT_NAMES)
    if width is not None and height is not None:
        found = replace(found, width=width, height=height, origin=origin)
    return _with_distortion(found, value, origin)


def _size(value: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        number = as_number(value.get(name))
        if number is not None and number >= 1 and number == int(number):
            return int(number)
    return None


def _with_distortion(found: Intrinsics, value: dict[str, Any], origin: str) -> Intrinsics:
    coefficients: Any = None
    for name in _DISTORTION_NAMES:
        coefficients = value.get(name)
        if isinstance(coefficients, dict):
            coefficients = coefficients.get("data")
        if isinstance(coefficients, list):
            break
    if coefficients is None and any(name in value for name in _DISTORTION_PARTS):
        coefficients = [value.get(name, 0.0) for name in _DISTORTION_PARTS]
    numbers = [as_number(number) for number in coefficients] if isinstance(coefficients, list) else []
    known = [number for number in numbers if number is not None]
    if len(known) != len(numbers) or not any(known):
        return found
    model = str(value.get("distortion_model", value.get("model", ""))).lower()
    # Our own files and RealSense's infrared say coefficients of the inverse model.
    if "inverse" in model or ("distortion" in value and "rotation" in value):
        return replace(found, distortion=tuple((known + [0.0] * 5)[:5]))
    if found.width is None or found.height is None or "fisheye" in model or "equidistant" in model or len(known) > 8:
        raise FrameError(
            f"{origin} has distortion coefficients of the model {model or 'unknown'} that cannot be used here; "
            "expected plumb_bob with the size of the picture. Undistort the pictures and give the matrix alone."
        )
    fitted, error_px = inverse_distortion(known, found.fx, found.fy, found.cx, found.cy, found.width, found.height)
    if error_px > _TOO_BIG_ERROR_PX:
        raise FrameError(
            f"{origin} has a distortion that no model here follows to less than {error_px:.1f} pixels; undistort the "
            "pictures and give the matrix alone."
        )
    return replace(found, distortion=fitted)


def _read_yaml(text: str) -> dict[str, Any]:
    """The part of YAML that camera files use: keys, numbers, words, lists in brackets or with dashes, one level of
    nesting; also lines of "name = value". What is not understood is left out.
    """
    joined = re.sub(r"\[[^\]]*\]", lambda match: match[0].replace("\n", " "), text)
    top: dict[str, Any] = {}
    inner: dict[str, Any] = top
    listed: list[Any] | None = None
    for line in joined.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if dash := re.fullmatch(r"\s*-\s+(\S+)", line):
            if listed is not None:
                listed.append(_scalar(dash[1]))
            continue
        match = re.fullmatch(r"(\s*)([\w.-]+)\s*[:=]\s*(.*)", line)
        if match is None:
            continue
        # "Camera.fx" of ORB-SLAM is fx.
        indent, name, rest = match[1], re.sub(r"^Camera\d?\.", "", match[2]), match[3].strip()
        if not indent:
            inner = top
        if rest.startswith("["):
            inner[name] = [_scalar(word) for word in re.split(r"[,\s]+", rest.strip("[] ")) if word]
        elif rest and not rest.startswith("!!"):
            inner[name] = _scalar(rest)
        else:
            # A list with dashes, or an object: the next line says which.
            listed = []
            holder = _Either(listed)
            inner[name] = holder
            if not indent:
                inner = holder
    return {name: value.settled() if isinstance(value, _Either) else value for name, value in top.items()}


class _Either(dict[str, Any]):
    """An object or a list, until it is known which."""

    def __init__(self, listed: list[Any]) -> None:
        super().__init__()
        self._listed = listed

    def settled(self) -> Any:
        """What it turned out to be."""
        if self._listed and not self:
            return self._listed
        return {name: value.settled() if isinstance(value, _Either) else value for name, value in self.items()}


def _scalar(word: str) -> Any:
    try:
        return float(word)
    except ValueError:
        return word.strip("'\"")
