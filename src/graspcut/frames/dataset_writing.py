"""Writes labelled dataset folders: what the generator and the annotation make; see `dataset` for the layout."""

from __future__ import annotations

import json
import multiprocessing.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import WriteBatch, make_output_folder
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import check_unit
from graspcut.frames.images import encode_image
from graspcut.frames.json_files import json_bytes, read_json, write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import JOINT_NAMES, LABEL_NAMES

FORMAT = "graspcut-dataset"
VERSION = 1
_FOLDERS = ("depth", "label", "instance", "part", "colour", "meta")


def raw_depth(depth_mm: NDArray[np.float32], unit_mm: float) -> NDArray[np.uint16]:
    """Millimetres to whole steps of the unit, 0 = no data.

    Raises:
        FrameError: If a distance does not fit 16 bits in this unit.
    """
    steps: NDArray[np.float32] = np.rint(depth_mm / np.float32(unit_mm))
    highest = float(steps.max())
    if highest > 65535:
        raise FrameError(
            f"depth goes up to {float(depth_mm.max()):.0f} mm, which is {highest:.0f} steps of {unit_mm:g} mm; "
            "expected at most 65535. Use a larger depth_unit_mm, or set pixels beyond the range to 0."
        )
    return steps.astype(np.uint16)


class DatasetWriter:
    """Writes a labelled dataset folder.

    Args:
        directory: Is made if missing. Frames already there are kept, so an interrupted run can go on.
        depth_unit_mm: Millimetres per step of the depth files; distances are rounded to it.
        description: What the data are and how they were made; plain values for JSON.
        batched: For many frames in a row. Frames wait for the disk together: their files get their names a few seconds
            later, or at `flush`, `finish` or the end of the process (see `atomic_writing.WriteBatch`).

    Raises:
        FrameError: If the unit is wrong, the description is no plain data, or the folder holds a dataset of another
            unit.
    """

    def __init__(
        self, directory: str | Path, *, depth_unit_mm: float, description: Mapping[str, Any], batched: bool = False
    ) -> None:
        self.directory = Path(directory)
        self.depth_unit_mm = check_unit(depth_unit_mm)
        self.description = dict(description)
        try:
            json.dumps(self.description, allow_nan=False)
        except (TypeError, ValueError) as error:
            # Found now rather than after hours of writing, when dataset.json is made.
            raise FrameError(
                f"the description cannot be stored as JSON ({error}); expected plain numbers, texts, lists and "
                "dictionaries."
            ) from error
        index_path = self.directory / "dataset.json"
        if index_path.exists():
            present = read_json(index_path).get("depth_unit_mm")
            if present != self.depth_unit_mm:
                raise FrameError(
                    f"{self.directory} already is a dataset with a depth unit of {present} mm; {depth_unit_mm} mm "
                    "came. Write to another folder, or delete that one."
                )
        for folder in _FOLDERS:
            make_output_folder(self.directory / folder)
        self._batch = WriteBatch()
        self._is_batched = batched
        self._written: set[int] = set()
        # Worker processes end without saying so: their last frames get their names then. The interpreter's own end
        # comes after its threads', hence both.
        self._at_the_end = multiprocessing.util.Finalize(self, self._batch.flush, exitpriority=10)

    def has(self, index: int) -> bool:
        """Whether frame `index` is already written whole."""
        return index in self._written or (self.directory / "meta" / f"{index:06d}.json").exists()

    def flush(self) -> None:
        """Waits until all frames written so far are on the disk under their names."""
        self._batch.flush()

    def write(
        self,
        index: int,
        labelled: LabelledFrame,
        *,
        encoded: Mapping[str, bytes] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes one frame; any order, and several processes may write different indices.

        Args:
            index: Its number.
            labelled: The frame.
            encoded: Whole PNG files of images ("depth", "colour") that were read from such files: copied, not encoded
                again. They must hold what `labelled` holds, depth in steps of this dataset's unit.
            extra: More entries for the frame's meta file, plain values for JSON.

        Raises:
            FrameError: If the frame does not fit the format.
            OSError: If the disk is full or the folder cannot be written.
        """
        if index < 0:
            raise FrameError(f"frame number {index} came; expected 0 or more.")
        frame = labelled.frame
        ready = encoded is not None and "depth" in encoded
        images: dict[str, NDArray[Any] | None] = {
            "depth": frame.depth_mm if ready else raw_depth(frame.depth_mm, self.depth_unit_mm),
            "label": labelled.labels,
            "instance": labelled.instances,
            "part": labelled.parts,
            "colour": frame.colour,
        }
        contents = []
        for folder, image in images.items():
            if image is not None:
                path = self.directory / folder / f"{index:06d}.png"
                data = (encoded or {}).get(folder) or encode_image(image, ".png", name=str(path))
                contents.append((path, data))
        meta = _meta(labelled) | dict(extra or {})
        meta["files"] = [folder for folder, image in images.items() if image is not None]
        # Last: a frame with a meta file is whole.
        meta_path = self.directory / "meta" / f"{index:06d}.json"
        self._batch.add(*contents, (meta_path, json_bytes(meta, one_line=True)))
        self._written.add(index)
        if not self._is_batched:
            self.flush()

    def finish(self, count: int, absent: Sequence[int] = ()) -> None:
        """Checks that frames 0..count-1 are all there and writes `dataset.json`.

        Args:
            count: One more than the last frame's number.
            absent: Numbers below it that have no frame, because their source was damaged.

        Raises:
            FrameError: If frames are missing, or later ones are present.
        """
        self.flush()
        present = {int(name) for name in stems(self.directory / "meta", ".json") if name.isdigit()}
        missing = sorted(set(range(count)) - present - set(absent))
        extra = sorted(index for index in present if index >= count or index in set(absent))
        if missing or extra:
            raise FrameError(
                f"{self.directory} cannot be finished with {count} frames: {some(missing)} missing, {some(extra)} "
                "too many. Write the missing ones, or give the right count."
            )
        entries = {
            "format": FORMAT,
            "version": VERSION,
            "count": count,
            "depth_unit_mm": self.depth_unit_mm,
            "label_names": list(LABEL_NAMES),
            "joint_names": list(JOINT_NAMES),
            "description": self.description,
        }
        if absent:
            entries["absent"] = sorted(absent)
        write_json_atomically(self.directory / "dataset.json", entries)


def _meta(labelled: LabelledFrame) -> dict[str, Any]:
    frame = labelled.frame
    return {
        "name": frame.name,
        "timestamp_s": frame.timestamp_s,
        "camera": frame.camera.to_dict() if frame.camera else None,
        "colour_camera": frame.colour_camera.to_dict() if frame.colour_camera else None,
        "instances": [{"id": entry.id, "label": entry.label, "name": entry.name} for entry in labelled.instance_table],
        # str() of a float32 is the shortest text that reads back exactly.
        "joints_mm": [[[float(str(value)) for value in point] for point in hand] for hand in labelled.joints_mm],
        "joints_visible": labelled.joints_visible.astype(int).tolist(),
    }


def stems(folder: Path, suffix: str) -> set[str]:
    """Names without ending of the files of one folder; temporary files start with a dot and are left out."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {
            entry.name[: -len(suffix)]
            for entry in entries
            if entry.name.endswith(suffix) and not entry.name.startswith(".")
        }


def some(values: Sequence[Any]) -> str:
    """ "3 (000001, 000002, 000007)", shortened past five."""
    if not values:
        return "none"
    shown = ", ".join(str(value) for value in values[:5])
    return f"{len(values)} ({shown}{', ...' if len(values) > 5 else ''})"
