"""Ground truth and results in the JSON files of COCO; masks as run lengths.

Run lengths are pycocotools' own (`{"size": [H, W], "counts": ...}`), the field's exchange format. Only the fields that
are needed are read; what is missing or of another type is an error that names the file and the entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json_value

RunLengths = dict[str, Any]

MOST_BYTES = 4 << 30  # a thousand proposals for each of five thousand images are more than a gigabyte


@dataclass(frozen=True)
class CocoImage:
    """One image.

    Attributes:
        id: in the file.
        file_name: as stated; may be empty.
        height, width: in pixels.
    """

    id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class CocoObject:
    """One object of the ground truth.

    Attributes:
        category: id of its category.
        box: x, y, width, height in pixels.
        area: as stated in the file, in pixels.
        crowd: it stands for many.
        mask: run lengths, or None where only the box is known.
    """

    category: int
    box: tuple[float, float, float, float]
    area: float
    crowd: bool
    mask: RunLengths | None


@dataclass(frozen=True, eq=False)
class CocoDetection:
    """One result.

    Attributes:
        category: id of its category.
        score: the higher the better.
        box: x, y, width, height in pixels.
        mask: run lengths, or None for a box.
    """

    category: int
    score: float
    box: tuple[float, float, float, float]
    mask: RunLengths | None

    @property
    def area(self) -> float:
        """Pixels of the mask, or of the box."""
        return float(coco_mask.area(self.mask)) if self.mask is not None else self.box[2] * self.box[3]


@dataclass(frozen=True, eq=False)
class CocoGroundTruth:
    """Images, categories and objects.

    Attributes:
        origin: the file, for errors.
        images: by id.
        categories: names by id.
        objects: of each image, by its id, in the file's order.
    """

    origin: str
    images: dict[int, CocoImage]
    categories: dict[int, str]
    objects: dict[int, list[CocoObject]] = field(repr=False)


@dataclass(frozen=True, eq=False)
class CocoResults:
    """Detections of each image by its id, in the file's order.

    Attributes:
        origin: the file, for errors.
        detections: by image id.
        kind: "mask" or "box": what all of them have.
    """

    origin: str
    detections: dict[int, list[CocoDetection]] = field(repr=False)
    kind: str

    def __len__(self) -> int:
        return sum(len(found) for found in self.detections.values())


def encode_mask(mask: NDArray[np.bool_]) -> RunLengths:
    """A mask (H, W) as run lengths that fit into JSON."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(size) for size in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def decode_mask(run_lengths: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Run lengths as a mask (H, W)."""
    return np.array(coco_mask.decode([dict(run_lengths)])[..., 0], bool)


def box_of_mask(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """x, y, width and height of a mask (H, W) in pixels; all 0 for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return (
        float(columns[0]),
        float(rows[0]),
        float(columns[-1] - columns[0] + 1),
        float(rows[-1] - rows[0] + 1),
    )


def run_lengths_of(segmentation: Any, height: int, width: int) -> RunLengths:
    """Run lengths from any of COCO's three forms: polygons, plain counts, compressed counts.

    Raises:
        ValueError: it is none of them, or of another size.
    """
    if isinstance(segmentation, list):
        if not segmentation or not all(isinstance(part, list) and len(part) >= 6 for part in segmentation):
            raise ValueError("a segmentation of polygons needs lists of at least six numbers")
        merged: RunLengths = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        return merged
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(segmentation):
        raise ValueError(f"a segmentation is {type(segmentation).__name__}, expected polygons or run lengths")
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"run lengths are for {segmentation['size']}, the image is [{height}, {width}]")
    if isinstance(segmentation["counts"], list):
        plain: RunLengths = coco_mask.frPyObjects(segmentation, height, width)
        return plain
    return {"size": [height, width], "counts": segmentation["counts"]}


def read_groundtruth(path: str | Path) -> CocoGroundTruth:
    """Reads an annotation file ("images", "annotations", "categories").

    Raises:
        FrameError: the file is missing, damaged or something else; the entry is named.
    """
    data = read_json_value(path, most=MOST_BYTES)
    if not isinstance(data, dict) or not {"images", "annotations"} <= set(data):
        raise FrameError(f"{path} is no COCO ground truth; expected an object with images, annotations and categories.")
    images, number = {}, 0
    entry: Any = None
    try:
        for number, entry in enumerate(data["images"]):  # noqa: B007
            image = CocoImage(
                int(entry["id"]), str(entry.get("file_name", "")), int(entry["height"]), int(entry["width"])
            )
            images[image.id] = image
        categories = {int(entry["id"]): str(entry["name"]) for entry in data.get("categories", [])}
        objects: dict[int, list[CocoObject]] = {identity: [] for identity in images}
        for number, entry in enumerate(data["annotations"]):  # noqa: B007
            image = images[int(entry["image_id"])]
            objects[image.id].append(_object(entry, image))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FrameError(f"{path}: entry {number} ({_short(entry)}) is no COCO annotation: {error!r}.") from error
    return CocoGroundTruth(str(path), images, categories, objects)


def _object(entry: Mapping[str, Any], image: CocoImage) -> CocoObject:
    segmentation = entry.get("segmentation")
    mask = None
    if segmentation:
        mask = run_lengths_of(segmentation, image.height, image.width)
    box = entry.get("bbox")
    if box is None:
        if mask is None:
            raise ValueError("it has neither bbox nor segmentation")
        box = coco_mask.toBbox(mask).tolist()
    area = entry.get("area")
    if area is None:
        area = float(coco_mask.area(mask)) if mask is not None else box[2] * box[3]
    return CocoObject(int(entry.get("category_id", 1)), _box(box), float(area), bool(entry.get("iscrowd", 0)), mask)


def _box(values: Any) -> tuple[float, float, float, float]:
    left, top, width, height = (float(value) for value in values)
    return left, top, width, height


def read_results(path: str | Path, groundtruth: CocoGroundTruth) -> CocoResults:
    """Reads a result file: a list of {image_id, category_id, score, segmentation or bbox}.

    Raises:
        FrameError: the file is missing, damaged or something else, or names an image that the ground truth lacks.
    """
    data = read_json_value(path, most=MOST_BYTES)
    if not isinstance(data, list):
        raise FrameError(f"{path} holds a JSON {type(data).__name__}; expected a list of COCO results.")
    detections: dict[int, list[CocoDetection]] = {identity: [] for identity in groundtruth.images}
    masks = bool(data) and isinstance(data[0], dict) and "segmentation" in data[0]
    number, entry = 0, None
    try:
        for number, entry in enumerate(data):  # noqa: B007
            identity = int(entry["image_id"])
            if identity not in groundtruth.images:
                raise ValueError(f"image {identity} is not in {groundtruth.origin}")
            detections[identity].append(_detection(entry, groundtruth.images[identity], masks))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FrameError(f"{path}: entry {number} ({_short(entry)}) is no COCO result: {error!r}.") from error
    return CocoResults(str(path), detections, "mask" if masks else "box")


def _detection(entry: Mapping[str, Any], image: CocoImage, masks: bool) -> CocoDetection:
    mask = run_lengths_of(entry["segmentation"], image.height, image.width) if masks else None
    box = entry["bbox"] if not masks else entry.get("bbox") or coco_mask.toBbox(mask).tolist()
    score = float(entry["score"])
    if not np.isfinite(score):
        raise ValueError(f"the score is {score}")
    return CocoDetection(int(entry.get("category_id", 1)), score, _box(box), mask)


def overlaps_of(detections: Iterable[CocoDetection], objects: Iterable[CocoObject], kind: str) -> NDArray[np.float64]:
    """Intersection over union, (D, G); over a crowd the share of the detection that lies in it.

    Args:
        detections: results of one image.
        objects: its objects.
        kind: "mask" or "box".

    Raises:
        ValueError: objects have no masks.
    """
    found, truth = list(detections), list(objects)
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    crowd = [int(entry.crowd) for entry in truth]
    if kind == "box":
        boxes = [np.array([entry.box for entry in entries], np.float64) for entries in (found, truth)]
        return np.asarray(coco_mask.iou(boxes[0], boxes[1], crowd), np.float64)
    if any(entry.mask is None for entry in truth):
        raise ValueError("the ground truth has objects without a segmentation, and the results are masks")
    masks = [[entry.mask for entry in entries] for entries in (found, truth)]
    return np.asarray(coco_mask.iou(masks[0], masks[1], crowd), np.float64)


def result_entry(image_id: int, category_id: int, score: float, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """One entry of a result file, with the mask as run lengths and its box."""
    encoded = encode_mask(mask)
    box = [float(value) for value in coco_mask.toBbox(encoded)]
    return {
        "image_id": image_id,
        "category_id": category_id,
        "score": round(float(score), 6),
        "segmentation": encoded,
        "bbox": box,
    }


def write_json_list(path: str | Path, entries: list[dict[str, Any]]) -> None:
    """Writes a result file, one entry a line, under a temporary name first."""
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in entries)
    write_bytes_atomically(path, f"[\n{lines}\n]\n".encode() if entries else b"[]\n")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
