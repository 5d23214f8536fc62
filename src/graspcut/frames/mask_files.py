"""Masks that people drew elsewhere: CVAT's XML ("CVAT for images 1.1") and labelme's JSON, to label maps."""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import JsonObject
from graspcut.frames.opening import read_bytes
from graspcut.frames.readers.decoding import decode_image
from graspcut.labels import BACKGROUND, HAND, OBJECT, UNKNOWN

LABELS_BY_NAME = {"background": BACKGROUND, "hand": HAND, "object": OBJECT, "unknown": UNKNOWN}
_MOST_PIXELS = 2**26


def read_cvat(path: str | Path, names: Mapping[str, str] | None = None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Label maps out of a CVAT XML file: masks, polygons and boxes, painted in their z order.

    Args:
        path: annotations.xml of an export as "CVAT for images 1.1".
        names: What the labels there are called: {"palm": "hand"}.

    Yields:
        Name of the image (without folder and ending) and labels (H, W) uint8.

    Raises:
        FrameError: If the file is no such XML, or has labels that nobody named.
    """
    data = read_bytes(path, what="CVAT file")
    # Nothing of CVAT has a document type; entities in one could fill the memory.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise FrameError(f"{path} has a document type or entities; expected plain CVAT XML.")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise FrameError(f"{path} is no XML ({error}); expected CVAT's annotations.xml.") from error
    if root.tag != "annotations" or root.find("image") is None:
        raise FrameError(f"{path} has no images; expected an export as 'CVAT for images 1.1'.")
    for image in root.iter("image"):
        place = f"{path}, image {image.get('name')}"
        try:
            shape = (int(image.attrib["height"]), int(image.attrib["width"]))
            labels = _empty(shape, place)
            shapes = [entry for entry in image if entry.tag in ("mask", "polygon", "box")]
            for entry in sorted(shapes, key=lambda entry: int(entry.get("z_order", "0"))):
                _paint_cvat(labels, entry, _label(entry.attrib["label"], names, place), place)
        except (KeyError, ValueError) as error:
            if isinstance(error, FrameError):
                raise
            raise FrameError(f"{place} lacks or garbles {error}; export it again.") from error
        yield Path(str(image.get("name"))).stem, labels


def _paint_cvat(labels: NDArray[np.uint8], entry: ElementTree.Element, label: int, place: str) -> None:
    if entry.tag == "mask":
        left, top, width, height = (int(float(entry.attrib[name])) for name in ("left", "top", "width", "height"))
        counts = [int(count) for count in entry.attrib["rle"].split(",")]
        inside = 0 <= left <= left + width <= labels.shape[1] and 0 <= top <= top + height <= labels.shape[0]
        if not inside or min(counts, default=0) < 0 or sum(counts) != width * height:
            raise FrameError(f"{place}: a mask of {width}x{height} at {left},{top} does not fit; export it again.")
        # Rows one after the other; the first run is outside.
        mask = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
        labels[top : top + height, left : left + width][mask] = label
    elif entry.tag == "polygon":
        points = [[float(value) for value in point.split(",")] for point in entry.attrib["points"].split(";")]
        _fill(labels, points, label)
    else:
        x0, y0, x1, y1 = (float(entry.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        _fill(labels, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], label)


def read_labelme(path: str | Path, names: Mapping[str, str] | None = None) -> tuple[str, NDArray[np.uint8]]:
    """The label map of a labelme JSON file: polygons, rectangles and masks, painted in their order.

    Args:
        path: The file.
        names: What the labels there are called.

    Returns:
        Name of the image (without folder and ending) and labels (H, W) uint8.

    Raises:
        FrameError: If the file is no such JSON, or has labels that nobody named.
    """
    document = JsonObject.read(path)
    labels = _empty((document.whole("imageHeight", least=1), document.whole("imageWidth", least=1)), str(path))
    for entry in document.objects("shapes"):
        label = _label(entry.text("label"), names, str(path))
        kind = entry.text("shape_type", "polygon")
        points = _points(entry)
        if kind == "mask":
            _paint_labelme_mask(labels, entry, points, label)
        elif kind == "rectangle":
            (x0, y0), (x1, y1) = points[0], points[1]
            _fill(labels, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], label)
        elif kind == "polygon":
            _fill(labels, points, label)
        else:
            raise entry.wrong("shape_type", "polygon, rectangle or mask")
    # labelme saves Windows paths on Windows.
    return Path(document.text("imagePath").replace("\\", "/")).stem, labels


def _points(entry: JsonObject) -> list[list[float]]:
    points = entry.array("points")
    try:
        array = np.array(points, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise entry.wrong("points", "a list of [x, y]") from error
    if len(array) < 2 or not np.isfinite(array).all():
        raise entry.wrong("points", "at least two finite [x, y]")
    return [[float(x), float(y)] for x, y in array]


def _paint_labelme_mask(labels: NDArray[np.uint8], entry: JsonObject, points: list[list[float]], label: int) -> None:
    try:
        image = decode_image(base64.b64decode(entry.text("mask"), validate=True), f"{entry.place}, mask")
    except (binascii.Error, ValueError) as error:
        raise FrameError(f"{entry.place}: its mask cannot be decoded ({error}).") from error
    left, top = round(points[0][0]), round(points[0][1])
    mask = (image if image.ndim == 2 else image[..., 0]) > 0
    inside = (
        left >= 0 and top >= 0 and top + mask.shape[0] <= labels.shape[0] and left + mask.shape[1] <= labels.shape[1]
    )
    if not inside:
        raise entry.wrong("mask", "a mask inside the image")
    labels[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = label


def _label(name: str, names: Mapping[str, str] | None, place: str) -> int:
    ours = (names or {}).get(name, name).lower()
    if ours not in LABELS_BY_NAME:
        raise FrameError(
            f"{place} has the label {name!r}; expected {', '.join(LABELS_BY_NAME)}. Say what it is: --name {name}=hand."
        )
    return LABELS_BY_NAME[ours]


def _empty(shape: tuple[int, int], place: str) -> NDArray[np.uint8]:
    if min(shape) < 1 or shape[0] * shape[1] > _MOST_PIXELS:
        raise FrameError(f"{place} has a size of {shape[1]}x{shape[0]}; expected that of a picture.")
    return np.zeros(shape, dtype=np.uint8)


def _fill(labels: NDArray[np.uint8], points: list[list[float]], label: int) -> None:
    polygon: Any = np.round(np.array(points)).astype(np.int32)[None]
    cv2.fillPoly(labels, polygon, (label,))
