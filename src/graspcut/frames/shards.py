"""Dataset folders as shards for streaming: WebDataset tar files, read in any order through an index.

`shard-000000.tar` holds NAME.depth.png, NAME.label.png and NAME.meta.json of each frame, one after the other, as the
library webdataset expects them; `shards.json`, written last, says where in which file each frame begins. Equal
frames give equal bytes. Training needs `sample i` at any time to resume exactly, hence the index: a tar file by itself
can only be read from its beginning.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import make_output_folder, write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import check_depth
from graspcut.frames.json_files import JsonObject, parse_json, write_json_atomically
from graspcut.frames.labelled import check_labels
from graspcut.frames.opening import open_regular
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.splits import frames_of_part

INDEX_NAME = "shards.json"
FORMAT = "graspcut-shards"
VERSION = 1
_KINDS = ("depth.png", "label.png", "meta.json")


def pack_datasets(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    part: str = "train",
    frames_per_shard: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Writes shards with the frames of dataset folders, mixed.

    Args:
        folders: Dataset folders of one depth unit.
        out: New or empty folder.
        part: "train" or "validation" of their splits, or "all".
        frames_per_shard: Frames in a tar file, >= 1.
        seed: Of the order.
        progress: Called with (frames done, frames in all).

    Returns:
        Frames and shards written.

    Raises:
        FrameError: If units differ, there are no frames, or `out` holds something.
    """
    if frames_per_shard < 1:
        raise FrameError(f"frames_per_shard is {frames_per_shard}; expected 1 or more.")
    readers = [DatasetReader(folder) for folder in folders]
    units = {reader.depth_unit_mm for reader in readers}
    if len(units) != 1:
        raise FrameError(f"the folders have depth units of {sorted(units)} mm; expected one. Pack them apart.")
    frames = [
        (number, index)
        for number, reader in enumerate(readers)
        for index in (range(len(reader)) if part == "all" else frames_of_part(reader, part))
    ]
    if not frames:
        raise FrameError(f"the folders have no frames of the part {part!r}; expected at least one.")
    target = Path(out)
    make_output_folder(target)
    if any(target.iterdir()):
        raise FrameError(f"{target} is not empty; expected a new folder for the shards.")
    order = np.random.default_rng(seed).permutation(len(frames))
    entries: list[list[Any]] = []
    shards: list[str] = []
    for first in range(0, len(order), frames_per_shard):
        shard = f"shard-{len(shards):06d}.tar"
        content, offsets = io.BytesIO(), []
        with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for position in order[first : first + frames_per_shard]:
                number, index = frames[position]
                offsets.append(_add(archive, f"{number:03d}-{readers[number].names[index]}", readers[number], index))
                if progress is not None:
                    progress(len(entries) + len(offsets), len(frames))
        write_bytes_atomically(target / shard, content.getvalue())
        entries += [[len(shards), *places] for places in offsets]
        shards.append(shard)
    index_entries = {
        "format": FORMAT,
        "version": VERSION,
        "depth_unit_mm": units.pop(),
        "shards": shards,
        "frames": entries,
        "sources": [reader.directory.name for reader in readers],
    }
    write_json_atomically(target / INDEX_NAME, index_entries, one_line=True)
    return len(entries), len(shards)


def _add(archive: tarfile.TarFile, name: str, reader: DatasetReader, index: int) -> list[int]:
    """Adds a frame's files; returns (offset, size) of each one's content."""
    files = {
        "depth.png": reader.encoded_images(index)["depth"],
        "label.png": reader.encoded_label(index),
        "meta.json": json.dumps(reader.meta(index), sort_keys=True).encode(),
    }
    places = []
    for kind in _KINDS:
        entry = tarfile.TarInfo(f"{name}.{kind}")
        entry.size = len(files[kind])
        archive.addfile(entry, io.BytesIO(files[kind]))
        # The content lies before its padding to whole blocks.
        end = archive.offset
        blocks = -(-entry.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        places += [end - blocks, entry.size]
    return places


class ShardReader:
    """Reads shards; can be sent to worker processes.

    Args:
        directory: The folder with `shards.json`.

    Raises:
        FrameError: If it holds no shards.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        index = JsonObject.read(self.directory / INDEX_NAME)
        if index.get("format", None) != FORMAT or index.get("version", None) != VERSION:
            raise FrameError(f"{self.directory}/{INDEX_NAME} is no index of shards; make them with graspcut pack.")
        self.depth_unit_mm = index.number("depth_unit_mm", above=0)
        self.shards = [str(name) for name in index.array("shards")]
        self._frames = np.array(index.array("frames"), dtype=np.int64).reshape(-1, 1 + 2 * len(_KINDS))
        if len(self._frames) and int(self._frames[:, 0].max()) >= len(self.shards):
            raise FrameError(f"{self.directory}/{INDEX_NAME} names shards that it does not list; pack again.")

    def __len__(self) -> int:
        return len(self._frames)

    def shard_of(self) -> NDArray[np.int64]:
        """(n,) the shard of each frame, ascending."""
        return np.asarray(self._frames[:, 0])

    def read_depth_and_labels(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Depth (H, W) float32 mm with 0 = no data, and labels (H, W) uint8.

        Raises:
            FrameError: If the shard is damaged.
        """
        depth_png, label_png = self._content(index, (0, 1))
        place = f"{self._path(index)}, frame {index}"
        depth = check_depth(decode_image(depth_png, place), self.depth_unit_mm)
        labels = decode_image(label_png, place)
        check_labels(labels, depth.shape)
        return depth, labels

    def camera(self, index: int) -> Camera | None:
        """The depth camera of a frame, or None if unknown."""
        place = f"{self._path(index)}, frame {index}"
        meta = JsonObject(parse_json(self._content(index, (2,))[0] or b"{}", place), place)
        camera = meta.get("camera", None)
        return Camera.from_dict(camera) if camera else None

    def _path(self, index: int) -> Path:
        return self.directory / self.shards[int(self._frames[index, 0])]

    def _content(self, index: int, kinds: Sequence[int]) -> list[bytes]:
        path = self._path(index)
        contents = []
        with open_regular(path, what="shard") as file:
            for kind in kinds:
                offset, size = (int(value) for value in self._frames[index, 1 + 2 * kind : 3 + 2 * kind])
                file.seek(offset)
                data = file.read(size)
                if len(data) != size:
                    raise FrameError(f"{path} ends too early; expected the whole shard. Copy it again.")
                contents.append(data)
        return contents
