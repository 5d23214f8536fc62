"""Labels to COCO and label maps and back without loss; masks of CVAT and labelme; shards."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from graspcut.cli import main
from graspcut.frames.coco import read_coco
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image
from graspcut.frames.label_exchange import export_labels, import_labels
from graspcut.frames.mask_files import read_cvat, read_labelme
from graspcut.frames.readers.decoding import decode_image
from graspcut.frames.shards import ShardReader, pack_datasets
from graspcut.frames.splits import frames_of_part, split_datasets
from graspcut.labels import HAND, OBJECT
from graspcut.train.sources import ShardSamples
from tests.frames.datasets import write_dataset


@pytest.mark.parametrize("instances", [False, True])
def test_coco_round_trip_is_exact(tmp_path: Path, instances: bool) -> None:
    reader = write_dataset(tmp_path / "one", 4, instances=instances)
    assert export_labels(reader, tmp_path / "out" / "labels.json") == 4 * (4 if instances else 3)
    found = {name: (labels, ids) for name, labels, ids in read_coco(tmp_path / "out" / "labels.json")}
    for index, name in enumerate(reader.names):
        labels, ids = found[name]
        assert np.array_equal(labels, reader[index].labels)
        own = reader[index].instances
        assert (ids is None) == (own is None)
        if own is not None and ids is not None:
            assert np.array_equal(ids, own)
    document = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert document["annotations"][0]["bbox"] == [4.0, 4.0, 10.0, 16.0]
    assert {entry["name"] for entry in document["categories"]} == {"hand", "object", "unknown"}
    # Wipe the labels and take them back from the file.
    kept = [reader[index].labels for index in range(4)]
    for name in reader.names:
        (tmp_path / "one" / "label" / f"{name}.png").write_bytes(encode_image(np.zeros((24, 32), np.uint8), ".png"))
    assert import_labels(reader, tmp_path / "out" / "labels.json") == (4, [])
    assert all(np.array_equal(reader[index].labels, labels) for index, labels in enumerate(kept))


def test_label_maps_round_trip_is_exact(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 3)
    before = [(tmp_path / "one" / "label" / f"{name}.png").read_bytes() for name in reader.names]
    with pytest.raises(SystemExit) as end:
        main(["labels", "export", str(tmp_path / "one"), "--out", str(tmp_path / "maps")])
    assert not end.value.code
    assert [(tmp_path / "maps" / f"{name}.png").read_bytes() for name in reader.names] == before
    (tmp_path / "maps" / "000007.png").write_bytes(before[0])
    with pytest.raises(SystemExit) as end:
        main(["labels", "import", str(tmp_path / "one"), str(tmp_path / "maps")])
    assert end.value.code == 1, "one map names no frame"
    assert [(tmp_path / "one" / "label" / f"{name}.png").read_bytes() for name in reader.names] == before


def test_polygons_and_other_sizes_are_refused(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 1)
    export_labels(reader, tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    document["annotations"][0]["segmentation"] = [[1, 1, 5, 1, 5, 5]]
    (tmp_path / "b.json").write_text(json.dumps(document))
    with pytest.raises(FrameError, match="run lengths"):
        list(read_coco(tmp_path / "b.json"))
    document["images"][0]["width"] = 30
    (tmp_path / "c.json").write_text(json.dumps(document))
    before = reader[0].labels
    with pytest.raises(FrameError):
        import_labels(reader, tmp_path / "c.json")
    assert np.array_equal(reader[0].labels, before)


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
 <image id="0" name="frames/000000.png" width="32" height="24">
  <polygon label="palm" points="2.0,3.0;9.0,3.0;9.0,12.0;2.0,12.0" z_order="0"/>
  <mask label="object" rle="1, 2, 2, 1" left="5" top="4" width="3" height="2" z_order="1"/>
 </image>
</annotations>"""


def test_cvat(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT)
    ((name, labels),) = read_cvat(path, {"palm": "hand"})
    expected = np.zeros((24, 32), np.uint8)
    expected[3:13, 2:10] = HAND
    # Runs of 1 outside, 2 inside, 2 outside, 1 inside over rows of three.
    expected[4, 6] = expected[4, 7] = expected[5, 7] = OBJECT
    assert name == "000000" and np.array_equal(labels, expected)
    reader = write_dataset(tmp_path / "one", 2)
    second = reader[1].labels
    with pytest.raises(SystemExit) as end:
        main(["labels", "import", str(tmp_path / "one"), str(path), "--name", "palm=hand"])
    assert not end.value.code
    assert np.array_equal(reader[0].labels, expected) and np.array_equal(reader[1].labels, second)
    with pytest.raises(FrameError, match="--name palm=hand"):
        list(read_cvat(path))
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + CVAT)
    with pytest.raises(FrameError, match="document type"):
        list(read_cvat(path))
    path.write_text(CVAT.replace('left="5"', 'left="31"'))
    with pytest.raises(FrameError, match="does not fit"):
        list(read_cvat(path, {"palm": "hand"}))


def test_labelme(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 2:4] = 255
    text = base64.b64encode(encode_image(mask, ".png")).decode()
    document = {
        "imagePath": "C:\\\\data\\\\000001.png",
        "imageHeight": 24,
        "imageWidth": 32,
        "shapes": [
            {"label": "hand", "shape_type": "polygon", "points": [[2, 3], [9, 3], [9, 12], [2, 12]]},
            {"label": "object", "shape_type": "mask", "points": [[6, 6], [10, 9]], "mask": text},
        ],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    name, labels = read_labelme(path)
    expected = np.zeros((24, 32), np.uint8)
    expected[3:13, 2:10] = HAND
    expected[7:9, 8:10] = OBJECT
    assert name == "000001" and np.array_equal(labels, expected)
    for field, value, message in (
        ("shape_type", "circle", "shape_type"),
        ("points", [[1]], "points"),
        ("mask", "!", "mask"),
    ):
        damaged = json.loads(json.dumps(document))
        damaged["shapes"][1][field] = value
        path.write_text(json.dumps(damaged))
        with pytest.raises(FrameError, match=message):
            read_labelme(path)


def test_shards_hold_the_same_frames(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 10, recordings=5)
    split_datasets([tmp_path / "one"], validation_share=0.2)
    assert pack_datasets([tmp_path / "one"], tmp_path / "shards", frames_per_shard=3) == (8, 3)
    assert pack_datasets([tmp_path / "one"], tmp_path / "again", frames_per_shard=3) == (8, 3)
    for path in sorted((tmp_path / "shards").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    shards = ShardReader(tmp_path / "shards")
    wanted = {reader.read_depth_and_labels(index)[0].tobytes(): index for index in frames_of_part(reader, "train")}
    for index in range(8):
        depth, labels = shards.read_depth_and_labels(index)
        assert np.array_equal(labels, reader.read_labels(wanted.pop(depth.tobytes())))
        assert shards.camera(index) == reader.camera(0)
    assert not wanted
    samples = ShardSamples(shards, seed=4)
    order = [samples.sample(index).maps["depth_mm"].array.tobytes() for index in range(16)]
    assert sorted(order[:8]) == sorted(order[8:]) and order[:8] != order[8:]
    numbers = shards.shard_of()[
        [[shards.read_depth_and_labels(i)[0].tobytes() for i in range(8)].index(o) for o in order[:8]]
    ]
    assert len(list(dict.fromkeys(numbers))) == 1 + np.count_nonzero(np.diff(numbers)), "one shard after the other"
    assert ShardSamples(shards, seed=4).sample(11).maps["depth_mm"].array.tobytes() == order[11]


def test_shards_are_webdatasets(tmp_path: Path) -> None:
    """The library reads them: three files a sample, under one key."""
    webdataset = pytest.importorskip("webdataset", reason="the extra scale is not installed")
    reader = write_dataset(tmp_path / "one", 4)
    pack_datasets([tmp_path / "one"], tmp_path / "shards", part="all", frames_per_shard=4)
    samples = list(webdataset.WebDataset(str(tmp_path / "shards" / "shard-000000.tar"), shardshuffle=False))
    assert len(samples) == 4
    for sample in samples:
        index = reader.names.index(sample["__key__"].rpartition("-")[2])
        labels = decode_image(sample["label.png"], "label")
        assert np.array_equal(labels, reader.read_labels(index))
        assert json.loads(sample["meta.json"])["camera"]["width"] == 32


def test_damaged_shards(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one", 3)
    pack_datasets([tmp_path / "one"], tmp_path / "shards", part="all")
    with pytest.raises(FrameError, match="not empty"):
        pack_datasets([tmp_path / "one"], tmp_path / "shards", part="all")
    shard = tmp_path / "shards" / "shard-000000.tar"
    with tarfile.open(shard) as archive:
        assert len(archive.getnames()) == 9
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(FrameError):
        for index in range(3):
            ShardReader(tmp_path / "shards").read_depth_and_labels(index)
    assert DatasetReader(tmp_path / "one").check() == []
