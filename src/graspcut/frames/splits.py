"""Which frames of dataset folders train and which validate: `splits.json` in each folder.

By recording, so that neighbouring frames do not lie on both sides; a single recording is cut once, with a gap. Frames
drawn at random, as the paper does it (46,720 / 5,192), are one option away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.verdicts import accepted_frames

SPLITS_NAME = "splits.json"
PARTS = ("train", "validation")
_MOST_GAP = 15


@dataclass(frozen=True)
class SplitReport:
    """What a split holds.

    Attributes:
        train, validation: Frames in each part, over all folders.
        discarded: Frames that reviewers did not accept.
        gap: Frames left out between the parts of a recording that was cut.
        how: "by recording", "one recording, cut once" or "random frames".
    """

    train: int
    validation: int
    discarded: int
    gap: int
    how: str


def split_datasets(
    folders: Sequence[str | Path],
    *,
    validation_share: float = 0.1,
    random_frames: bool = False,
    unreviewed: bool = False,
    seed: int = 0,
) -> SplitReport:
    """Splits dataset folders together and writes `splits.json` into each.

    Args:
        folders: Dataset folders.
        validation_share: Share of the frames for validation, more than 0 and less than 1.
        random_frames: Draw frames instead of whole recordings; neighbours then lie on both sides.
        unreviewed: Take frames of an annotated folder that nobody reviewed.
        seed: Of the draw.

    Raises:
        FrameError: If a folder is no dataset, nobody reviewed what the annotation made, or a part would be empty.
    """
    if not 0 < validation_share < 1:
        raise FrameError(f"the validation share is {validation_share}; expected more than 0 and less than 1.")
    paths = [Path(folder) for folder in folders]
    readers = {path: DatasetReader(path) for path in paths}
    usable = {path: _usable(path, reader, unreviewed) for path, reader in readers.items()}
    discarded = sum(len(reader) for reader in readers.values()) - sum(map(len, usable.values()))
    frames = [(path, name) for path in paths for name in usable[path]]
    if len(frames) < 2:
        raise FrameError(f"{len(frames)} frame(s) can be split; expected at least 2. Accept more frames in the review.")
    wanted = math.ceil(round(validation_share * len(frames), 6))
    rng = np.random.default_rng(seed)
    groups = {} if random_frames else _recordings(readers, usable)
    left_out: set[tuple[Path, str]] = set()
    if random_frames:
        how = "random frames"
        chosen = {frames[position] for position in rng.permutation(len(frames))[:wanted]}
    elif len(groups) > 1:
        how = "by recording"
        chosen = _whole_recordings(groups, wanted, rng)
    else:
        how = "one recording, cut once"
        gap = min(_MOST_GAP, (len(frames) - wanted) // 10)
        chosen = set(frames[-wanted:])
        left_out = set(frames[len(frames) - wanted - gap : len(frames) - wanted])
    for path in paths:
        parts = {
            "train": [name for name in usable[path] if (path, name) not in chosen and (path, name) not in left_out],
            "validation": [name for name in usable[path] if (path, name) in chosen],
        }
        write_json_atomically(path / SPLITS_NAME, {**parts, "how": how, "seed": seed})
    train = len(frames) - len(chosen) - len(left_out)
    if not train or not chosen:
        raise FrameError(
            f"the split would have {train} and {len(chosen)} frames; expected some in both. Add recordings."
        )
    return SplitReport(train, len(chosen), discarded, len(left_out), how)


def frames_of_part(reader: DatasetReader, part: str) -> tuple[int, ...]:
    """Numbers of the frames of one part; all of them if the folder has not been split.

    Raises:
        FrameError: If there is no such part or `splits.json` names frames that are not there.
    """
    if part not in PARTS:
        raise FrameError(f"part {part!r} came; expected one of {', '.join(PARTS)}.")
    path = reader.directory / SPLITS_NAME
    if not path.exists():
        return tuple(range(len(reader)))
    names = read_json(path).get(part)
    positions = {name: position for position, name in enumerate(reader.names)}
    if not isinstance(names, list) or not all(isinstance(name, str) and name in positions for name in names):
        raise FrameError(f"{path} lacks or garbles {part!r}; make the split again with graspcut split.")
    return tuple(positions[name] for name in names)


def is_split(folder: str | Path) -> bool:
    """Whether the folder has a `splits.json`."""
    return (Path(folder) / SPLITS_NAME).exists()


def _usable(path: Path, reader: DatasetReader, unreviewed: bool) -> list[str]:
    accepted = accepted_frames(path, reader.names)
    if accepted is not None:
        return accepted
    if not unreviewed and reader.description.get("made_by") == "graspcut annotate":
        raise FrameError(
            f"nobody reviewed {path}, and only accepted frames go into a split. Review it with graspcut review {path}, "
            "or give --unreviewed."
        )
    return list(reader.names)


def _recordings(
    readers: Mapping[Path, DatasetReader], usable: Mapping[Path, Sequence[str]]
) -> dict[tuple[Path, str], list[tuple[Path, str]]]:
    """Frames by the recording that they come from; a folder without such notes is one recording."""
    groups: dict[tuple[Path, str], list[tuple[Path, str]]] = {}
    for path, reader in readers.items():
        taken = set(usable[path])
        for index, name in enumerate(reader.names):
            if name in taken:
                recording = str(reader.meta(index).get("recording", ""))
                groups.setdefault((path, recording), []).append((path, name))
    return groups


def _whole_recordings(
    groups: Mapping[tuple[Path, str], list[tuple[Path, str]]], wanted: int, rng: np.random.Generator
) -> set[tuple[Path, str]]:
    """Recordings that together come closest to the wanted number of frames; at least one, not all."""
    keys = [list(groups)[position] for position in rng.permutation(len(groups))]
    # Which totals can be reached, and with which recordings: small numbers, so exactly.
    reachable: dict[int, tuple[int, ...]] = {0: ()}
    for position, key in enumerate(keys):
        for total, used in list(reachable.items()):
            larger = total + len(groups[key])
            if larger not in reachable and len(used) + 1 < len(keys) and total <= 2 * wanted:
                reachable[larger] = (*used, position)
    reachable.pop(0)
    best = min(reachable, key=lambda total: (abs(total - wanted), total))
    return {frame for position in reachable[best] for frame in groups[keys[position]]}
