"""Label maps as COCO JSON with run-length masks, and back, exactly.

One annotation for each instance of each label (one for the whole label where a frame has no instance map); unknown
pixels are a category of their own, so that nothing is lost. Masks are run lengths in COCO's compressed form
(pycocotools), never polygons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import JsonObject, write_json_atomically
from graspcut.labels import HAND, OBJECT, UNKNOWN

CATEGORIES = {HAND: "hand", OBJECT: "object", UNKNOWN: "unknown"}


def write_coco(reader: DatasetReader, path: str | Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Writes the labels of a dataset folder as one COCO JSON file; returns the number of annotations."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, name in enumerate(reader.names):
        labelled = reader[index]
        height, width = labelled.labels.shape
        images.append({"id": index + 1, "file_name": f"depth/{name}.png", "width": width, "height": height})
        for label, instance, mask in _masks(labelled.labels, labelled.instances):
            run_lengths = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            entry = {
                "id": len(annotations) + 1,
                "image_id": index + 1,
                "category_id": label,
                "segmentation": {"size": [height, width], "counts": run_lengths["counts"].decode("ascii")},
                "area": int(coco_mask.area(run_lengths)),
                "bbox": [float(value) for value in coco_mask.toBbox(run_lengths)],
                "iscrowd": int(label == UNKNOWN),
            }
            if instance:
                entry["instance_id"] = instance
            annotations.append(entry)
        if progress is not None:
            progress(index + 1, len(reader))
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    write_json_atomically(path, {"images": images, "annotations": annotations, "categories": categories}, one_line=True)
    return len(annotations)


def _masks(
    labels: NDArray[np.uint8], instances: NDArray[np.uint8] | None
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """(label, instance or 0, mask) for everything in a frame."""
    for label in CATEGORIES:
        of_label = labels == label
        numbers = np.unique(instances[of_label]) if instances is not None else np.zeros(1, np.uint8)
        for number in numbers:
            mask = of_label if instances is None else of_label & (instances == number)
            if mask.any():
                yield label, int(number), mask


def read_coco(path: str | Path) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Label maps out of a COCO JSON file.

    Categories are matched by name: hand, object, unknown; others are refused. Polygons are refused, because they do not
    say which pixels they mean.

    Yields:
        Name of the frame (file name without folder and ending), labels (H, W) uint8, and instance ids or None.

    Raises:
        FrameError: If the file is no such JSON or masks do not fit their images.
    """
    document = JsonObject.read(path)
    known = {name: number for number, name in CATEGORIES.items()}
    categories: dict[int, int] = {}
    for entry in document.objects("categories"):
        name = entry.text("name")
        if name not in known:
            raise entry.wrong("name", f"one of {', '.join(known)}")
        categories[entry.whole("id")] = known[name]
    by_image: dict[int, list[JsonObject]] = {}
    for entry in document.objects("annotations"):
        by_image.setdefault(entry.whole("image_id"), []).append(entry)
    for image in document.objects("images"):
        shape = (image.whole("height", least=1, most=2**15), image.whole("width", least=1, most=2**15))
        labels, instances = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        for entry in by_image.get(image.whole("id"), []):
            mask = _decoded(entry, shape)
            category = entry.whole("category_id")
            if category not in categories:
                raise entry.wrong("category_id", f"one of {sorted(categories)}")
            labels[mask] = categories[category]
            instances[mask] = entry.whole("instance_id", 0, most=255)
        yield Path(image.text("file_name")).stem, labels, instances if instances.any() else None


def _decoded(entry: JsonObject, shape: tuple[int, int]) -> NDArray[np.bool_]:
    segmentation = entry.get("segmentation")
    if not isinstance(segmentation, dict) or list(segmentation.get("size", [])) != list(shape):
        raise entry.wrong("segmentation", f"run lengths of size {list(shape)} (polygons are not exact)")
    counts = segmentation.get("counts")
    try:
        if isinstance(counts, list):
            run_lengths = coco_mask.frPyObjects({"size": list(shape), "counts": counts}, *shape)
        else:
            run_lengths = {"size": list(shape), "counts": str(counts).encode("ascii")}
        mask = coco_mask.decode(run_lengths)
    except Exception as error:
        raise FrameError(f"{entry.place}: its run lengths cannot be decoded ({error}).") from error
    return np.asarray(mask != 0)
