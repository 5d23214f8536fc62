"""Mattes of many images with trimaps into a folder; a bad one is reported, and what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import make_output_folder
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_colour
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.matting.images import image_files, read_trimap
from graspcut.matting.result import Colour, Matte

SUMMARY_NAME = "summary.json"
ProgressCallback = Callable[[int, int], None]
MatteFunction = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Matte]


@dataclass(frozen=True)
class MatteReport:
    """How a run ended.

    Attributes:
        done: names of images done in this run.
        skipped: names of those that an earlier run had done.
        failures: (name, message) of what could not be used.
    """

    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]


def matte_images(
    images: str | Path,
    trimaps: str | Path,
    out: str | Path,
    matter: MatteFunction,
    *,
    settings: Mapping[str, Any],
    over: NDArray[np.uint8] | Colour | None = None,
    progress: ProgressCallback | None = None,
) -> MatteReport:
    """Writes NAME_alpha.png, NAME_foreground.png and NAME_rgba.png for an image, or for all of a folder.

    Args:
        images: an image, or a folder of them.
        trimaps: its trimap, or a folder with trimaps of the same names; NAME_trimap is taken as well.
        out: folder for the results; made if needed.
        matter: makes a matte.
        settings: what the results depend on, JSON values; recorded in summary.json. Results of other settings are made
            again.
        over: also write NAME_over.png.
        progress: called with (images done, images in all).

    Raises:
        FrameError: if there is nothing to do, or a folder comes with a file.
        OSError: if results cannot be written.
    """
    pairs = image_pairs(Path(images), Path(trimaps))
    folder = Path(out)
    make_output_folder(folder)
    # One image is asked for to be done; of a folder, what is there need not be made again.
    known = _known(folder, settings) if Path(images).is_dir() else {}
    done, skipped, failures = [], [], []
    for number, (name, (image_path, trimap_path)) in enumerate(pairs.items(), start=1):
        written = known.get(name)
        identity = [_identity(image_path), _identity(trimap_path) if trimap_path is not None else None]
        if written == identity and (folder / f"{name}_alpha.png").exists():
            skipped.append(name)
        else:
            try:
                if trimap_path is None:
                    raise FrameError(f"{trimaps} has no trimap of this name")
                matter(read_colour(image_path), read_trimap(trimap_path)).save(folder, name, over)
            except (ValueError, OSError) as error:
                failures.append((name, str(error)))
            else:
                done.append(name)
                known[name] = identity
                write_json_atomically(folder / SUMMARY_NAME, {"settings": dict(settings), "images": known})
        if progress is not None:
            progress(number, len(pairs))
    return MatteReport(tuple(done), tuple(skipped), tuple(failures))


def image_pairs(images: Path, trimaps: Path) -> dict[str, tuple[Path, Path | None]]:
    """Images with their trimaps by name; None where a folder lacks one.

    Raises:
        FrameError: see `matte_images`.
    """
    for path, what in ((images, "image"), (trimaps, "trimap")):
        if not path.exists():
            raise FrameError(f"{path} does not exist; expected the {what} or a folder of them.")
    if images.is_dir() != trimaps.is_dir():
        raise FrameError(f"{images} and {trimaps}: one is a folder and one a file; expected two files or two folders.")
    if not images.is_dir():
        return {images.stem: (images, trimaps)}
    marked = image_files(trimaps)
    found = {
        name: (path, marked.get(name) or marked.get(f"{name}_trimap"))
        for name, path in image_files(images).items()
        if not (images == trimaps and name.endswith("_trimap"))
    }
    if not found:
        raise FrameError(f"{images} holds no images; expected some with trimaps in {trimaps}.")
    return found


def _known(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier run with the same settings did."""
    path = folder / SUMMARY_NAME
    if not path.exists():
        return {}
    summary = read_json(path)
    if summary.get("settings") != dict(settings) or not isinstance(summary.get("images"), dict):
        return {}
    return dict(summary["images"])


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]
