"""Which files of a folder are depth frames, and which colour belongs to them.

Told by what files are (16-bit or floating point, one channel; read from their headers) and by how they are named. What
else lies in the folder (colour, previews, infrared, side files) is left out and counted. A file that cannot be read and
may be depth stays in the list, so that it is reported as a failure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json
from graspcut.frames.opening import read_bytes
from graspcut.frames.readers.arrays import ARRAY_SUFFIXES, array_header
from graspcut.frames.readers.channels import is_packed
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.readers.headers import header_of_file
from graspcut.frames.readers.pictures import PICTURE_SUFFIXES

DEPTH_SUFFIXES: Final = PICTURE_SUFFIXES + ARRAY_SUFFIXES
_COLOUR_SUFFIXES: Final = (".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
_COLOUR_WORDS: Final = ("colour", "color", "rgb")
# Folders beside depth/ whose files of the same name are colour registered to it.
_COLOUR_FOLDERS: Final = ("colour", "color_on_depth", "color", "rgb")
# Words that make a file something else even where its name says depth, such as depth_0_viz.png, and those that do so
# elsewhere.
_BESIDE_DEPTH_WORDS: Final = frozenset(
    {"ir", "infrared", "infra", "amplitude", "amp", "intensity", "confidence", "conf", "uncertainty", "mask", "masks"}
    | {"viz", "vis", "visual", "visualization", "visualisation", "preview", "thumb", "thumbnail", "overlay", "jet"}
    | {"colormap", "cmap", "heat", "heatmap", "colored", "coloured", "colorized", "colourised", "normal", "normals"}
)
_NOT_DEPTH_WORDS: Final = _BESIDE_DEPTH_WORDS | frozenset(
    {"gray", "grey", "mono", "label", "labels", "seg", "segmentation", "albedo", "flow", "pose", "disparity", "disp"}
)
_COLOUR_NAME_WORDS: Final = frozenset(_COLOUR_WORDS)
_CAMERA_SHAPES: Final = ((3, 3), (3, 4), (4, 4))


class Content(Enum):
    """What a file's first bytes say that it is."""

    DEPTH = auto()
    COLOUR = auto()
    GREY = auto()
    OTHER = auto()
    UNREADABLE = auto()


@dataclass(frozen=True)
class FolderContent:
    """What was chosen from a folder.

    Attributes:
        files: Depth files, in order.
        colours: Registered colour, one or None for each.
        left_out: One line on what was left out, or "".
    """

    files: tuple[Path, ...]
    colours: tuple[Path | None, ...]
    left_out: str


def natural_order(name: str) -> tuple[tuple[int, int | str, str], ...]:
    """Sorting key in which numbers count as numbers: 2 before 10."""
    return tuple(
        (0, int(part), part) if part.isdecimal() and part.isascii() else (1, part, part)
        for part in re.split(r"(\d{1,300})", name)
        if part
    )


def choose_frames(folder: Path) -> FolderContent:
    """The depth frames among a folder's files.

    Raises:
        FrameError: If the folder cannot be read.
    """
    entries = _entries(folder)
    contents = {path: content_of(path) for path in entries}
    chosen = _chosen(contents)
    colours = _paired(chosen, [path for path, content in contents.items() if content is Content.COLOUR])
    paired = {colour for colour in colours if colour is not None}
    taken = paired | set(chosen)
    rest = {path: content for path, content in contents.items() if path not in taken}
    left_out = _left_out(rest, len(paired))
    return FolderContent(tuple(chosen), tuple(colours), left_out)


def depth_folder_below(folder: Path) -> Path | None:
    """The folder of depth inside a folder: depth/, or the only one with "depth" in its name.

    Raises:
        FrameError: If there are several.
    """
    below = [path for path in _sorted(folder) if path.is_dir() and not path.name.startswith(".")]
    for name in ("depth", "Depth", "DEPTH"):
        if folder / name in below:
            return folder / name
    named = [path for path in below if "depth" in path.name.lower() and not _words(path.name) & _NOT_DEPTH_WORDS]
    if len(named) > 1:
        raise FrameError(
            f"{folder} has several folders of depth ({', '.join(path.name for path in named[:5])}); expected one. Give "
            "the one that is meant."
        )
    return named[0] if named else None


def colours_beside(files: Sequence[Path], folder: Path) -> tuple[Path | None, ...]:
    """Colour of the same names in the folders colour/, color/, rgb/ beside the folder of depth."""
    for name in _COLOUR_FOLDERS:
        if (folder / name).is_dir():
            by_stem = {path.stem: path for path in _sorted(folder / name) if _is_picture(path)}
            return tuple(by_stem.get(path.stem) for path in files)
    return (None,) * len(files)


def is_ours(index: Path, format_name: str) -> bool:
    """Whether a JSON file is an index of this program; other programs call theirs dataset.json, too.

    Raises:
        FrameError: If it cannot be read as JSON: then nobody can say.
    """
    if not index.is_file():
        return False
    content = read_json(index)
    # A damaged index of ours may have lost its format, but not all the rest.
    return bool(content.get("format") == format_name or {"depth_unit_mm", "version"} <= content.keys())


def content_of(path: Path) -> Content:
    """What a file is, from its header."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return _content_of_array(path)
        if suffix == ".npz":
            return Content.DEPTH
        header = header_of_file(path)
    except FrameError:
        return Content.UNREADABLE
    if header is None:
        return Content.UNREADABLE if suffix in DEPTH_SUFFIXES else Content.OTHER
    if header.is_indexed:
        return Content.GREY
    if header.bits > 8:
        return Content.DEPTH
    return Content.COLOUR if header.channels >= 3 else Content.GREY


def _content_of_array(path: Path) -> Content:
    header = array_header(path)
    if header.dtype.names is not None:
        return Content.DEPTH if "z" in header.dtype.names else Content.OTHER
    if len(header.shape) < 2 or header.shape in _CAMERA_SHAPES or header.shape[-2:] in _CAMERA_SHAPES:
        return Content.OTHER
    if header.dtype.itemsize == 1:
        return Content.COLOUR if header.shape[-1] in (3, 4) else Content.GREY
    return Content.DEPTH if header.dtype.kind in "iuf" else Content.OTHER


def _entries(folder: Path) -> list[Path]:
    return [
        path
        for path in _sorted(folder)
        if path.suffix.lower() in DEPTH_SUFFIXES + _COLOUR_SUFFIXES and not path.is_dir()
    ]


def _sorted(folder: Path) -> list[Path]:
    try:
        # A leading dot: temporary files, and the side files "._x.png" of macOS.
        return sorted(
            (path for path in folder.iterdir() if not path.name.startswith(".")),
            key=lambda path: natural_order(path.name),
        )
    except OSError as error:
        raise FrameError(f"{folder} cannot be read ({error.strerror}); expected a folder of frames.") from error


def _chosen(contents: dict[Path, Content]) -> list[Path]:
    candidates = [path for path in contents if path.suffix.lower() in DEPTH_SUFFIXES]
    named = [path for path in candidates if "depth" in path.stem.lower()]
    # Depth may be in the name of everything: depth_0.png, depth_0_preview.png.
    for group in (named, candidates):
        usable = [
            path
            for path in group
            if contents[path] in (Content.DEPTH, Content.UNREADABLE) and not _is_something_else(path)
        ]
        if any(contents[path] is Content.DEPTH for path in usable):
            known = set(usable)
            # A single 8-bit picture in the middle of a numbered sequence is a frame that went wrong, no preview.
            patterns = {_pattern(path) for path in usable}
            others = [path for path in group if path not in known and _belongs(path, contents[path], patterns)]
            known |= set(others if 2 * len(others) <= len(usable) else [])
            return [path for path in group if path in known]
    for group in (named, candidates):
        packed = [path for path in group if contents[path] is Content.COLOUR]
        if packed and _holds_packed_depth(packed[0]):
            return packed
    # Nothing here is depth: each picture says why when it is read. Infrared of 16 bits would not say so.
    return [
        path
        for path in named or candidates
        if contents[path] in (Content.COLOUR, Content.GREY) or not _is_something_else(path)
    ]


def _pattern(path: Path) -> str:
    return re.sub(r"\d+", "#", path.name)


def _belongs(path: Path, content: Content, patterns: set[str]) -> bool:
    return content in (Content.GREY, Content.COLOUR) and "#" in _pattern(path) and _pattern(path) in patterns


def _is_something_else(path: Path) -> bool:
    words = _words(path.stem)
    if "depth" in path.stem.lower():
        return bool(words & _BESIDE_DEPTH_WORDS)
    # "depth_to_color_0.png" is depth; "color_0.png" of 16 bits is not.
    return bool(words & (_NOT_DEPTH_WORDS | _COLOUR_NAME_WORDS))


def _words(name: str) -> set[str]:
    """Words of a name: split at everything but letters and digits, at digits, and where small letters meet large."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return {part.lower() for part in parts}


def _holds_packed_depth(path: Path) -> bool:
    try:
        return is_packed(decode_image(read_bytes(path), str(path)))
    except FrameError:
        return False


def _paired(files: Sequence[Path], colours: Iterable[Path]) -> list[Path | None]:
    by_stem = {path.stem: path for path in colours}
    return [_partner(path.stem, by_stem) for path in files]


def _partner(stem: str, by_stem: dict[str, Path]) -> Path | None:
    if stem in by_stem:  # 0.jpg beside 0.png
        return by_stem[stem]
    if "depth" in stem:
        for word in _COLOUR_WORDS:
            partner = by_stem.get(stem.replace("depth", word))
            if partner is not None:
                return partner
    # Cornell's naming: pcd0100d.tiff beside pcd0100r.png.
    if re.search(r"\dd$", stem):
        return by_stem.get(stem[:-1] + "r") or by_stem.get(stem[:-1] + "c")
    return None


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (*PICTURE_SUFFIXES, *_COLOUR_SUFFIXES)


def _left_out(contents: dict[Path, Content], paired: int) -> str:
    """ "left out: 3 colour pictures, 1 8-bit picture"; colour that belongs to depth is no frame of its own either."""
    names = {
        Content.COLOUR: ("colour picture", "colour pictures"),
        Content.GREY: ("8-bit picture", "8-bit pictures"),
        Content.OTHER: ("array without pixels", "arrays without pixels"),
    }
    other = ("infrared or other picture", "infrared or other pictures")
    counts = Counter(names.get(content, other) for content in contents.values())
    parts = [f"{count} {name[count > 1]}" for name, count in counts.items()]
    if paired:
        parts.insert(0, f"{paired} colour picture{'s' if paired > 1 else ''} paired with depth")
    return f"left out: {', '.join(parts)}" if parts else ""
