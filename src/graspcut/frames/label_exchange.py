"""Labels of a dataset folder out to and in from other formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import make_output_folder, write_bytes_atomically
from graspcut.frames.coco import read_coco, write_coco
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image, read_single_channel
from graspcut.frames.labelled import check_labels
from graspcut.frames.mask_files import read_cvat, read_labelme

Progress = Callable[[int, int], None]


def export_labels(reader: DatasetReader, out: str | Path, progress: Progress | None = None) -> int:
    """Writes a COCO JSON file (a name ending in .json) or a folder of PNG label maps; returns the masks or maps."""
    target = Path(out)
    if target.suffix.lower() == ".json":
        make_output_folder(target.parent, option="the folder of --out")
        return write_coco(reader, target, progress)
    make_output_folder(target)
    for index, name in enumerate(reader.names):
        write_bytes_atomically(target / f"{name}.png", reader.encoded_label(index), sync=index + 1 == len(reader))
        if progress is not None:
            progress(index + 1, len(reader))
    return len(reader)


def import_labels(
    reader: DatasetReader,
    source: str | Path,
    names: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[int, list[str]]:
    """Replaces the label maps of a dataset folder by those of a file or folder of the same frame names.

    All of them are read and checked before the first is written.

    Args:
        reader: The dataset folder.
        source: COCO JSON, CVAT XML, a labelme JSON file or a folder of them, or a folder of PNG label maps.
        names: What labels are called there: {"palm": "hand"}.
        progress: Called with (maps written, maps in all).

    Returns:
        Maps written, and the names of maps for which the folder has no frame.

    Raises:
        FrameError: If the source is none of these, or a map does not fit its frame.
    """
    positions = {name: index for index, name in enumerate(reader.names)}
    ready: dict[int, NDArray[np.uint8]] = {}
    strangers = []
    for name, labels in _read(Path(source), names):
        if name not in positions:
            strangers.append(name)
            continue
        index = positions[name]
        try:
            check_labels(labels, reader.read_labels(index).shape)
        except FrameError as error:
            raise FrameError(f"{source}, frame {name}: {error}") from error
        ready[index] = labels
    if not ready:
        raise FrameError(f"{source} has no labels for the frames of {reader.directory}; expected the same names.")
    for done, (index, labels) in enumerate(sorted(ready.items()), 1):
        path = reader.directory / "label" / f"{reader.names[index]}.png"
        write_bytes_atomically(path, encode_image(labels, ".png"), sync=done == len(ready))
        if progress is not None:
            progress(done, len(ready))
    return len(ready), strangers


def _read(source: Path, names: Mapping[str, str] | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in (".json", ".png"))
        if not files:
            raise FrameError(f"{source} has neither .json nor .png files; expected labelme files or label maps.")
        for path in files:
            if path.suffix.lower() == ".json":
                yield read_labelme(path, names)
            else:
                yield path.stem, read_single_channel(path, what="label map")
    elif source.suffix.lower() == ".xml":
        yield from read_cvat(source, names)
    elif source.suffix.lower() == ".json":
        from graspcut.frames.json_files import read_json

        if "shapes" in read_json(source):
            yield read_labelme(source, names)
        else:
            for name, labels, _ in read_coco(source):
                yield name, labels
    else:
        raise FrameError(f"{source} is no labels file; expected .json (COCO, labelme), .xml (CVAT) or a folder.")
