"""PASCAL VOC and SBD as they are distributed, as ground truth for the scores of `graspcut.instances.evaluation`.

    VOC   JPEGImages/, SegmentationClass/ and SegmentationObject/ (palette PNG), ImageSets/Segmentation/SPLIT.txt
    SBD   img/, cls/ and inst/ (MATLAB files), SPLIT.txt; 5,623 training and 5,732 validation images in the split that
          MNC and FCIS use

VOC marks a band around every object as void (255); it belongs to no mask here, and proposals are to be cut by it
(`VocImage.void`) before they are compared. SBD's instances have no such band.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_image
from graspcut.instances.coco import CocoGroundTruth, CocoImage, CocoObject, box_of_mask, encode_mask
from graspcut.runtime.engines import extra_hint

VOID = 255
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class VocImage:
    """One annotated image.

    Attributes:
        name: without ending.
        masks: (N, H, W) bool, one object a mask.
        classes: (N,) int64 1..20, see `VOC_CLASSES`.
        void: (H, W) bool, pixels that count for nothing; empty of True in SBD.
    """

    name: str
    masks: NDArray[np.bool_]
    classes: NDArray[np.int64]
    void: NDArray[np.bool_]


def voc_palette() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: the colours that VOC's palette images show for their values."""
    values = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((values >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours


@lru_cache(maxsize=1)
def _value_of_colour() -> NDArray[np.int16]:
    table = np.full(1 << 24, -1, np.int16)
    colours = voc_palette().astype(np.int64)
    table[(colours[:, 0] << 16) | (colours[:, 1] << 8) | colours[:, 2]] = np.arange(256)
    return table


def read_palette_image(path: str | Path) -> NDArray[np.uint8]:
    """The values of a VOC annotation, whether it is stored with a palette or as plain numbers.

    Args:
        path: PNG file.

    Returns:
        (H, W) uint8.

    Raises:
        FrameError: it is no such image, or has colours that VOC's palette lacks.
    """
    image = read_image(path)
    if image.dtype != np.uint8:
        raise FrameError(f"{path} holds {image.dtype}; expected a VOC annotation of 8 bits.")
    if image.ndim == 2:
        return image
    wide = image[..., :3].astype(np.int64)
    values = _value_of_colour()[(wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]]
    if (values < 0).any():
        raise FrameError(f"{path} has colours that are not of VOC's palette; expected a VOC annotation, no picture.")
    return np.asarray(values, np.uint8)


def split_names(folder: Path, split: str | None, annotations: Path, suffix: str) -> list[str]:
    """Names of a split; without one, of everything that is annotated.

    Raises:
        FrameError: there is no such split, or nothing is annotated.
    """
    if split is None:
        names = sorted(path.stem for path in annotations.glob(f"*{suffix}"))
    else:
        places = [folder / "ImageSets" / "Segmentation" / f"{split}.txt", folder / f"{split}.txt"]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise FrameError(f"{folder} has no split {split!r}; expected {places[0]} or {places[1]}.")
        names = [line.split()[0] for line in found.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise FrameError(f"{annotations} has no annotations; expected {suffix} files. Check the folder.")
    return names


def read_voc(folder: str | Path, split: str | None = None) -> Iterable[VocImage]:
    """The images of a PASCAL VOC folder.

    Args:
        folder: such as VOCdevkit/VOC2012.
        split: "train", "val", ...; None takes all annotated images.

    Raises:
        FrameError: the folder is something else, or a file is damaged.
    """
    root = Path(folder)
    names = split_names(root, split, root / "SegmentationObject", ".png")
    for name in names:
        objects = read_palette_image(root / "SegmentationObject" / f"{name}.png")
        classes = read_palette_image(root / "SegmentationClass" / f"{name}.png")
        if objects.shape != classes.shape:
            raise FrameError(f"{name}: SegmentationObject is {objects.shape} and SegmentationClass {classes.shape}.")
        ids = [int(value) for value in np.unique(objects) if value not in (0, VOID)]
        masks = objects[None] == np.array(ids, np.uint8)[:, None, None]
        # An object's class is that of most of its pixels: a few at borders may differ.
        kinds = [int(np.bincount(classes[mask & (classes != VOID)], minlength=1).argmax()) for mask in masks]
        yield VocImage(name, masks, np.array(kinds, np.int64), objects == VOID)


def read_sbd(folder: str | Path, split: str | None = None) -> Iterable[VocImage]:
    """The images of an SBD folder ("dataset" of the distributed archive). Needs SciPy.

    Args:
        folder: with img/, cls/ and inst/.
        split: "train", "val", ...; None takes all annotated images.

    Raises:
        FrameError: the folder is something else, a file is damaged, or SciPy is missing.
    """
    root = Path(folder)
    for name in split_names(root, split, root / "inst", ".mat"):
        path = root / "inst" / f"{name}.mat"
        found = _read_matlab(path, "GTinst")
        try:
            instances = np.asarray(found["Segmentation"], np.int64)
            kinds = np.atleast_1d(np.asarray(found["Categories"], np.int64)).ravel()
        except (KeyError, TypeError, ValueError) as error:
            raise FrameError(f"{path} has no GTinst with Segmentation and Categories ({error}).") from error
        ids = np.arange(1, len(kinds) + 1)
        if instances.ndim != 2 or instances.max(initial=0) > len(kinds):
            raise FrameError(f"{path}: the segmentation does not fit its {len(kinds)} categories.")
        masks = instances[None] == ids[:, None, None]
        yield VocImage(name, masks, kinds, np.zeros(instances.shape, bool))


def _read_matlab(path: Path, name: str) -> Any:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise FrameError(f"reading SBD's .mat files needs SciPy: {extra_hint('instances')}") from error
    try:
        return loadmat(path, simplify_cells=True)[name]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise FrameError(f"{path} is no SBD annotation ({error}).") from error


def voc_groundtruth(images: Iterable[VocImage], origin: str = "VOC") -> CocoGroundTruth:
    """Annotated images as ground truth for the evaluation; image ids are 0, 1, ... in their order.

    Args:
        images: of `read_voc` or `read_sbd`.
        origin: for titles and errors.
    """
    entries: dict[int, CocoImage] = {}
    objects: dict[int, list[CocoObject]] = {}
    for number, image in enumerate(images):
        height, width = image.void.shape
        entries[number] = CocoImage(number, image.name, height, width)
        objects[number] = [_object(mask, int(kind)) for mask, kind in zip(image.masks, image.classes, strict=True)]
    names = {number: name for number, name in enumerate(VOC_CLASSES, start=1)}
    return CocoGroundTruth(origin, entries, names, objects)


def _object(mask: NDArray[np.bool_], kind: int) -> CocoObject:
    return CocoObject(kind, box_of_mask(mask), float(np.count_nonzero(mask)), False, encode_mask(mask))
