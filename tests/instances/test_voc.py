"""VOC and SBD as distributed: made files of the same layout, and three real images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.frames.errors import FrameError
from graspcut.instances.coco import decode_mask, read_groundtruth
from graspcut.instances.voc import read_palette_image, read_sbd, read_voc, voc_groundtruth, voc_palette


def made_voc(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """One image with two objects and a void band, stored as the colours of the palette."""
    objects, classes = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    objects[5:15, 5:20], objects[10:25, 22:38] = 1, 2
    classes[5:15, 5:20], classes[10:25, 22:38] = 15, 5
    for image in (objects, classes):
        image[4, 5:20] = 255
    for name, image in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "2007_000001.png"), voc_palette()[image][..., ::-1])
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000001\n")
    return objects, classes


def test_the_palette_of_voc() -> None:
    palette = voc_palette()
    assert palette[[0, 1, 2, 15, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [224, 224, 192],
    ]
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_made_voc(tmp_path: Path) -> None:
    objects, _ = made_voc(tmp_path)
    for split in (None, "val"):
        (image,) = read_voc(tmp_path, split)
        assert image.name == "2007_000001" and image.classes.tolist() == [15, 5]
        np.testing.assert_array_equal(image.masks, [objects == 1, objects == 2])
        np.testing.assert_array_equal(image.void, objects == 255)
    truth = voc_groundtruth(read_voc(tmp_path))
    assert truth.categories[15] == "person" and [entry.area for entry in truth.objects[0]] == [150, 240]
    assert truth.objects[0][0].box == (5, 5, 15, 10)
    np.testing.assert_array_equal(decode_mask(truth.objects[0][1].mask or {}), objects == 2)
    with pytest.raises(FrameError, match="split 'train'"):
        list(read_voc(tmp_path, "train"))
    cv2.imwrite(str(tmp_path / "picture.png"), np.full((4, 4, 3), 77, np.uint8))
    with pytest.raises(FrameError, match="palette"):
        read_palette_image(tmp_path / "picture.png")


def test_made_sbd(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    (tmp_path / "inst").mkdir()
    segmentation = np.zeros((20, 30), np.uint8)
    segmentation[2:8, 2:10], segmentation[10:18, 12:25] = 1, 2
    boundaries = np.empty((2, 1), object)
    boundaries[:, 0] = [np.zeros((2, 2)), np.zeros((2, 2))]
    inside = {"Segmentation": segmentation, "Boundaries": boundaries, "Categories": np.array([[15], [7]], np.uint8)}
    savemat(tmp_path / "inst" / "2008_000002.mat", {"GTinst": inside})
    single = {"Segmentation": (segmentation == 1).astype(np.uint8), "Categories": np.array([[9]], np.uint8)}
    savemat(tmp_path / "inst" / "2008_000003.mat", {"GTinst": single})
    (tmp_path / "train.txt").write_text("2008_000002\n2008_000003\n")
    two, one = read_sbd(tmp_path, "train")
    assert two.classes.tolist() == [15, 7] and one.classes.tolist() == [9] and not two.void.any()
    np.testing.assert_array_equal(two.masks, [segmentation == 1, segmentation == 2])
    (tmp_path / "inst" / "2008_000003.mat").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="2008_000003"):
        list(read_sbd(tmp_path, "train"))


def test_real_images_in_both_formats_agree(real_data: Path) -> None:
    folder = real_data / "voc" / "instance_segmentation"
    voc = {image.name: image for image in read_voc(folder / "data_dataset_voc")}
    coco = read_groundtruth(folder / "data_dataset_coco" / "annotations.json")
    for identity, entry in coco.images.items():
        image = voc[Path(entry.file_name).stem]
        stored = np.load(folder / "data_dataset_voc" / "SegmentationObjectNpy" / f"{image.name}.npy")
        values = np.unique(stored[stored > 0])
        np.testing.assert_array_equal(image.masks, stored[None] == values[:, None, None])
        # The COCO file has whole polygons, the PNG files what is seen of them.
        for mask in image.masks:
            overlaps = []
            for annotation in coco.objects[identity]:
                other = decode_mask(annotation.mask or {})
                overlaps.append((mask & other).sum() / (mask | other).sum())
            assert max(overlaps) > 0.6
