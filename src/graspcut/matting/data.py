"""Matting datasets on disk, and training batches composed from any foregrounds over any backgrounds.

Layouts (`open_foregrounds`, `open_images`):

    graspcut synth matting   foreground/ alpha/ background/ trimap/ image/
    AIM, Composition-1k      fg/ alpha/, or Training_set and Test_set with such folders below them; test images are
                             merged/ and trimaps/, named NAME_0 to NAME_19 for one alpha NAME
    alphamatting.com         input/ trimap/ alpha/, or input_training_lowres/ trimap_training_lowres/Trimap1/
                             gt_training_lowres/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_colour
from graspcut.matting.augmentation import MattingAugmentation, training_example
from graspcut.matting.classical import classical_alpha
from graspcut.matting.foreground import closed_form_foreground, estimate_foreground
from graspcut.matting.images import image_files, read_alpha, read_trimap
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.training_options import ForegroundRefinement
from graspcut.matting.trimap import with_estimate
from graspcut.train.description import described_fields
from graspcut.train.sources import epoch_position

_FOREGROUND_FOLDERS = ("foreground", "fg")
_IMAGE_FOLDERS = ("image", "input", "merged", "input_training_lowres")
_TRIMAP_FOLDERS = ("trimap", "trimaps", "trimap_training_lowres/Trimap1", "Trimap1")
_ALPHA_FOLDERS = ("alpha", "gt_training_lowres", "gt")
_DRAW_STREAM, _BACKGROUND_ORDER = 21, 22


class MattingBatch(NamedTuple):
    """Training items; with a leading B in a batch.

    Attributes:
        image: (3, H, W) float32 in 0..1.
        trimap: (1, H, W) float32: 0, 128/255 and 1.
        alpha: (1, H, W) float32 in 0..1.
    """

    image: Any
    trimap: Any
    alpha: Any


class Foregrounds(Protocol):
    """Foregrounds by number."""

    def __len__(self) -> int: ...

    def foreground(self, index: int, /) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Colours (H, W, 3) and alpha (H, W), float32 in 0..1."""
        ...


class Backgrounds(Protocol):
    """Backgrounds by number."""

    def __len__(self) -> int: ...

    def background(self, index: int, /) -> NDArray[np.float32]:
        """(H, W, 3) float32 in 0..1."""
        ...


@dataclass(frozen=True)
class ForegroundFolder:
    """Foregrounds with alpha of the same name.

    Attributes:
        colours: folder of colours, not premultiplied.
        alpha: folder of mattes.
        refinement: "rf" re-estimates the colours by the paper's method, "cf" by closed-form, each time one is read.
        names: found when it is made.

    Raises:
        FrameError: if a matte is missing.
    """

    colours: Path
    alpha: Path
    refinement: ForegroundRefinement = "none"
    names: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        colours, mattes = image_files(self.colours), image_files(self.alpha)
        missing = sorted(set(colours) - set(mattes))
        if missing or not colours:
            what = f"no matte for {missing[0]}" if missing else "no images"
            raise FrameError(f"{self.colours} with {self.alpha}: {what}; expected a matte of the name of every image.")
        object.__setattr__(self, "names", tuple(colours))

    def __len__(self) -> int:
        return len(self.names)

    def foreground(self, index: int, /) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Foregrounds`."""
        name = self.names[index]
        colours_path, alpha_path = _one(self.colours, name), _one(self.alpha, name)
        colours, alpha = read_colour(colours_path).astype(np.float32) / np.float32(255.0), read_alpha(alpha_path)
        if colours.shape[:2] != alpha.shape:
            raise FrameError(
                f"{colours_path} is {colours.shape[:2]} and {alpha_path} {alpha.shape} (H, W); expected one size."
            )
        if self.refinement == "rf":
            colours = np.clip(estimate_foreground(colours, alpha, threads=1), 0.0, 1.0)
        elif self.refinement == "cf":
            colours = np.clip(closed_form_foreground(colours, alpha), 0.0, 1.0)
        return colours, alpha


@dataclass(frozen=True)
class BackgroundFolder:
    """All images of a folder."""

    folder: Path
    names: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        found = tuple(image_files(self.folder))
        if not found:
            raise FrameError(f"{self.folder} holds no images; expected backgrounds.")
        object.__setattr__(self, "names", found)

    def __len__(self) -> int:
        return len(self.names)

    def background(self, index: int, /) -> NDArray[np.float32]:
        """See `Backgrounds`."""
        return read_colour(_one(self.folder, self.names[index])).astype(np.float32) / np.float32(255.0)


@dataclass(frozen=True)
class DrawnMattes:
    """Foregrounds and backgrounds drawn when they are needed.

    Attributes:
        source: what to draw.
        count: an epoch's length.
    """

    source: ProceduralMattes
    count: int = 10_000

    def __len__(self) -> int:
        return self.count

    def foreground(self, index: int, /) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Foregrounds`."""
        found = self.source.foreground(index)
        return found.colours, found.alpha

    def background(self, index: int, /) -> NDArray[np.float32]:
        """See `Backgrounds`."""
        return self.source.background(index)


@dataclass(frozen=True)
class ImageEntry:
    """One image of a test set.

    Attributes:
        name: of its files.
        image: its path.
        trimap: path.
        alpha: path, or None where the truth is kept secret.
    """

    name: str
    image: Path
    trimap: Path
    alpha: Path | None


def open_foregrounds(
    folder: str | Path, refinement: ForegroundRefinement = "none"
) -> tuple[ForegroundFolder, BackgroundFolder | None]:
    """Foregrounds of a training set, and its backgrounds if it has any; layouts see above.

    Raises:
        FrameError: if the folder holds none.
    """
    for place in (Path(folder), *(Path(folder) / name for name in ("Training_set", "Adobe-licensed images", "Other"))):
        colours = _existing(place, _FOREGROUND_FOLDERS)
        if colours is not None and (place / "alpha").is_dir():
            backgrounds = place / "background"
            return (
                ForegroundFolder(colours, place / "alpha", refinement),
                BackgroundFolder(backgrounds) if backgrounds.is_dir() else None,
            )
    raise FrameError(
        f"{folder} has no foregrounds; expected a folder with foreground/ (or fg/) and alpha/, such as "
        "graspcut synth matting writes."
    )


def open_images(folder: str | Path) -> list[ImageEntry]:
    """The images of a test set with their trimaps, in order of names; layouts see above.

    Raises:
        FrameError: if the folder holds none, or an image has no trimap.
    """
    place = Path(folder)
    images, trimaps, mattes = (_existing(place, names) for names in (_IMAGE_FOLDERS, _TRIMAP_FOLDERS, _ALPHA_FOLDERS))
    if images is None or trimaps is None:
        raise FrameError(
            f"{folder} has no images with trimaps; expected one of {', '.join(_IMAGE_FOLDERS)} and one of "
            f"{', '.join(_TRIMAP_FOLDERS)}."
        )
    marked, truths = image_files(trimaps), image_files(mattes) if mattes is not None else {}
    entries = []
    for name, path in image_files(images).items():
        if name not in marked:
            raise FrameError(f"{trimaps} lacks {name}; expected a trimap for every image of {images}.")
        entries.append(ImageEntry(name, path, marked[name], truths.get(name) or truths.get(name.rpartition("_")[0])))
    return entries


@dataclass(frozen=True)
class CompositeView:
    """Training batches: foreground after foreground, each over a background drawn at random (a `BatchSource`).

    Attributes:
        foregrounds: where foregrounds come from.
        backgrounds: where backgrounds come from.
        augmentation: the chain.
        batch_size: items in a batch.
        probability: weight of this view among all views.
        order_seed: seed of the order of foregrounds and of the choice of backgrounds.
        closed_form: whether unknown pixels of the trimaps carry closed-form's matte; a tenth of a second or more each.
    """

    foregrounds: Foregrounds
    backgrounds: Backgrounds
    augmentation: MattingAugmentation
    batch_size: int = 16
    probability: float = 1.0
    order_seed: int = 0
    closed_form: bool = False
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def batch(self, first: int, seed: int) -> MattingBatch:
        """The batch of the items first .. first + batch_size - 1, the same one each time."""
        items = [self._item(index, seed) for index in range(first, first + self.batch_size)]
        return MattingBatch(*(np.stack(parts) for parts in zip(*items, strict=True)))

    def _item(self, index: int, seed: int) -> MattingBatch:
        rng = np.random.default_rng([_DRAW_STREAM, seed, index])
        place = epoch_position(index, len(self.foregrounds), self.order_seed, self._orders)
        colours, alpha = self.foregrounds.foreground(place)
        background = self.backgrounds.background(int(rng.integers(len(self.backgrounds))))
        example = training_example(colours, alpha, background, self.augmentation, rng)
        trimap = example.trimap
        if self.closed_form:
            trimap = with_estimate(trimap, classical_alpha(example.image, trimap))
        return batch_item(example.image, trimap, example.alpha)

    def describe(self) -> dict[str, Any]:
        """JSON-able: everything that decides what the batches are."""
        return described_fields(self)


@dataclass(frozen=True)
class FixedComposites:
    """Composites of a written set, for validation: every image once, a square round the middle of what is unknown.

    Attributes:
        entries: images with trimap and alpha.
        size: side of the square.
        batch_size: items in a batch.
        closed_form: see `CompositeView`.
    """

    entries: tuple[ImageEntry, ...]
    size: int
    batch_size: int = 8
    closed_form: bool = False

    @property
    def count(self) -> int:
        """Number of items."""
        return len(self.entries)

    def items(self, first: int, last: int, /) -> list[MattingBatch]:
        """The items first .. last - 1."""
        return [self.item(index) for index in range(first, last)]

    def item(self, index: int) -> MattingBatch:
        """Item number `index`."""
        entry = self.entries[index]
        if entry.alpha is None:
            raise FrameError(f"{entry.image} has no true matte; validation needs one.")
        image = read_colour(entry.image).astype(np.float32) / np.float32(255.0)
        trimap, alpha = read_trimap(entry.trimap), read_alpha(entry.alpha)
        height, width = trimap.shape
        pad = ((0, max(self.size - height, 0)), (0, max(self.size - width, 0)))
        image = np.pad(image, (*pad, (0, 0)), mode="edge")
        trimap, alpha = np.pad(trimap, pad, mode="edge"), np.pad(alpha, pad, mode="edge")
        rows, columns = np.nonzero(trimap == 128)
        y, x = _nearest_to_middle(rows, columns)
        y = min(max(y - self.size // 2, 0), trimap.shape[0] - self.size)
        x = min(max(x - self.size // 2, 0), trimap.shape[1] - self.size)
        window = np.s_[y : y + self.size, x : x + self.size]
        marks = trimap[window]
        if self.closed_form:
            marks = with_estimate(marks, classical_alpha(image[window], marks))
        return batch_item(image[window], marks, alpha[window])


def batch_item(image: NDArray[np.float32], trimap: NDArray[np.uint8], alpha: NDArray[np.float32]) -> MattingBatch:
    """One item in the network's layout: channels first, the trimap as 0, 128/255 and 1."""
    return MattingBatch(
        np.ascontiguousarray(image.transpose(2, 0, 1)),
        (trimap.astype(np.float32) / np.float32(255.0))[None],
        np.ascontiguousarray(alpha, dtype=np.float32)[None],
    )


def _nearest_to_middle(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[int, int]:
    """The pixel nearest to the middle of all of them: of a ring, one on it."""
    if len(rows) == 0:
        return 0, 0
    nearest = int(np.argmin(np.square(rows - rows.mean()) + np.square(columns - columns.mean())))
    return int(rows[nearest]), int(columns[nearest])


def _existing(place: Path, names: Sequence[str]) -> Path | None:
    return next((place / name for name in names if (place / name).is_dir()), None)


def _one(folder: Path, name: str) -> Path:
    for suffix in (".png", ".jpg", ".jpeg"):
        if (folder / f"{name}{suffix}").exists():
            return folder / f"{name}{suffix}"
    return image_files(folder)[name]
