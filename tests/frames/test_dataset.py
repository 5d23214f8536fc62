"""Dataset folders: exact round trips, order and processes do not matter, damage is named."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspcut.frames.camera import Camera
from graspcut.frames.dataset import DatasetReader, DatasetWriter, open_dataset, raw_depth
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.labelled import Instance, LabelledFrame

UNIT = 0.125


def example(index: int, **changes: Any) -> LabelledFrame:
    """A frame with everything in it, depth on the grid of the unit."""
    generator = np.random.default_rng(index)
    instances = generator.integers(0, 3, (24, 32)).astype(np.uint8)
    frame: dict[str, Any] = {
        "depth_mm": (generator.integers(0, 9000, (24, 32)) * np.float32(UNIT)).astype(np.float32),
        "camera": Camera(30.5, 30.25, 16.0, 12.0, 32, 24, (0.1, 0, 0, 0, 0.01)),
        "colour": generator.integers(0, 256, (48, 64, 3)).astype(np.uint8),
        "colour_camera": Camera(60, 60, 32, 24, 64, 48, translation_mm=(25.7, 0.57, 3.96)),
        "timestamp_s": 0.1 * index,
        "name": f"scene {index}",
    }
    return LabelledFrame(
        Frame(**(frame | changes)),
        labels=np.array([0, 1, 2], np.uint8)[instances],
        instances=instances,
        parts=np.where(instances == 1, generator.integers(1, 22, (24, 32)), 0).astype(np.uint8),
        joints_mm=generator.normal(0, 300, (1, 21, 3)).astype(np.float32),
        joints_visible=generator.random((1, 21)) < 0.5,
        instance_table=(Instance(1, 1, "left hand"), Instance(2, 2, "mug")),
    )


def assert_equal(a: LabelledFrame, b: LabelledFrame) -> None:
    for name in ("depth_mm", "colour"):
        assert np.array_equal(getattr(a.frame, name), getattr(b.frame, name)), name
    for name in ("camera", "colour_camera", "timestamp_s", "name"):
        assert getattr(a.frame, name) == getattr(b.frame, name), name
    for name in ("labels", "instances", "parts", "joints_mm", "joints_visible"):
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second), name
    assert a.instance_table == b.instance_table


def write(folder: Path, order: list[int]) -> DatasetWriter:
    writer = DatasetWriter(folder, depth_unit_mm=UNIT, description={"kind": "test", "seed": 4})
    for index in order:
        writer.write(index, example(index))
    return writer


def write_one(arguments: tuple[Path, int]) -> None:
    write(arguments[0], [arguments[1]])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write(tmp_path / "set", [0, 1, 2]).finish(3)
    return tmp_path / "set"


def test_everything_comes_back_exactly(dataset: Path) -> None:
    reader = DatasetReader(dataset)
    assert len(reader) == 3
    assert reader.depth_unit_mm == UNIT
    assert reader.description == {"kind": "test", "seed": 4}
    for index in range(3):
        assert_equal(reader[index], example(index))
    assert_equal(reader[-1], example(2))
    assert [entry.frame.name for entry in reader[1:]] == ["scene 1", "scene 2"]
    assert reader.camera(1) == example(1).frame.camera
    assert reader.check() == []


def test_fast_path_equals_the_whole_frame(dataset: Path) -> None:
    depth, labels = DatasetReader(dataset).read_depth_and_labels(1)
    assert depth.dtype == np.float32
    assert np.array_equal(depth, example(1).frame.depth_mm)
    assert np.array_equal(labels, example(1).labels)


def test_a_frame_with_depth_and_labels_alone(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, depth_unit_mm=1.0, description={})
    labels = np.full((3, 4), 255, np.uint8)
    writer.write(0, LabelledFrame(Frame(np.full((3, 4), 300.4, np.float32)), labels))
    writer.finish(1)
    back = DatasetReader(tmp_path)[0]
    assert back.frame.depth_mm[0, 0] == 300.0
    assert back.frame.camera is None
    assert back.frame.colour is None
    assert back.instances is None
    assert back.parts is None
    assert back.joints_mm.shape == (0, 21, 3)
    assert np.array_equal(back.labels, labels)


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_order_and_processes_do_not_change_a_byte(dataset: Path, tmp_path: Path) -> None:
    write(tmp_path / "backwards", [2, 0, 1]).finish(3)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write_one, [(tmp_path / "shared", index) for index in range(3)]))
    DatasetWriter(tmp_path / "shared", depth_unit_mm=UNIT, description={"kind": "test", "seed": 4}).finish(3)
    assert all_bytes(tmp_path / "backwards") == all_bytes(dataset)
    assert all_bytes(tmp_path / "shared") == all_bytes(dataset)


def test_rounding_is_half_a_step_at_most_and_zero_stays_zero() -> None:
    depth = np.random.default_rng(0).uniform(100, 8000, (50, 50)).astype(np.float32)
    depth[0] = 0
    raw = raw_depth(depth, UNIT)
    assert np.abs(raw * UNIT - depth).max() <= UNIT / 2 + 1e-3
    assert (raw[0] == 0).all()


def test_depth_past_the_range_of_the_unit_is_refused(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, depth_unit_mm=UNIT, description={})
    frame = LabelledFrame(Frame(np.full((3, 4), 9000.0, np.float32)), np.zeros((3, 4), np.uint8))
    with pytest.raises(FrameError, match="9000 mm, which is 72000 steps"):
        writer.write(0, frame)


def test_finish_names_missing_and_extra_frames(tmp_path: Path) -> None:
    writer = write(tmp_path, [0, 2, 5])
    with pytest.raises(FrameError, match=r"2 \(1, 3\) missing, 1 \(5\) too many"):
        writer.finish(4)
    assert not (tmp_path / "dataset.json").exists()


def test_an_unfinished_dataset_is_refused_and_can_go_on(tmp_path: Path) -> None:
    writer = write(tmp_path, [0])
    assert writer.has(0)
    assert not writer.has(1)
    with pytest.raises(FrameError, match="writer was stopped"):
        DatasetReader(tmp_path)
    write(tmp_path, [1]).finish(2)
    assert_equal(DatasetReader(tmp_path)[0], example(0))


def test_the_unit_cannot_change(dataset: Path) -> None:
    with pytest.raises(FrameError, match=r"depth unit of 0.125 mm; 1.0 mm\s+came"):
        DatasetWriter(dataset, depth_unit_mm=1.0, description={})
    with pytest.raises(FrameError, match=r"states a depth unit of 0.125 mm, but 1 mm came"):
        DatasetReader(dataset, depth_unit_mm=1.0)
    assert len(DatasetReader(dataset, depth_unit_mm=0.125)) == 3


def test_missing_files_are_found_on_opening(dataset: Path) -> None:
    (dataset / "label" / "000001.png").unlink()
    with pytest.raises(FrameError, match=r"label lacks 1 \(000001\) of 3 files"):
        DatasetReader(dataset)


def test_damage_is_found_by_the_check_and_named_when_read(dataset: Path) -> None:
    path = dataset / "depth" / "000001.png"
    path.write_bytes(path.read_bytes()[:-30])
    write_image_atomically(dataset / "label" / "000002.png", np.full((24, 32), 77, np.uint8))
    reader = DatasetReader(dataset)
    with pytest.raises(FrameError, match=r"000001\.png is damaged"):
        reader.read_depth_and_labels(1)
    faults = reader.check()
    assert [fault[:12] for fault in faults] == ["frame 000001", "frame 000002"]
    assert "[77]" in faults[1]


def test_damaged_meta_is_named(dataset: Path) -> None:
    path = dataset / "meta" / "000000.json"
    meta = json.loads(path.read_text())
    del meta["instances"]
    path.write_text(json.dumps(meta))
    with pytest.raises(FrameError, match=r"000000\.json lacks the field .instances"):
        DatasetReader(dataset)[0]


def test_a_dataset_of_another_version_is_refused(dataset: Path) -> None:
    (dataset / "dataset.json").write_text('{"format": "graspcut-dataset", "version": 99}')
    with pytest.raises(FrameError, match="version 99"):
        DatasetReader(dataset)


def test_a_garbled_index_is_named(dataset: Path) -> None:
    (dataset / "dataset.json").write_text('{"format": "graspcut-dataset", "version": 1, "count": 3}')
    with pytest.raises(FrameError, match=r"dataset\.json lacks the field .depth_unit_mm"):
        DatasetReader(dataset)


def test_a_description_that_json_cannot_hold_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="cannot be stored as JSON"):
        DatasetWriter(tmp_path / "new", depth_unit_mm=1.0, description={"path": tmp_path})
    assert not (tmp_path / "new").exists()


def test_indices_outside_are_index_errors(dataset: Path) -> None:
    with pytest.raises(IndexError, match="has 3 frames"):
        DatasetReader(dataset)[3]


def test_a_reader_travels_to_worker_processes(dataset: Path) -> None:
    reader = pickle.loads(pickle.dumps(DatasetReader(dataset)))
    assert_equal(reader[2], example(2))


def test_leftovers_of_a_killed_writer_are_ignored(dataset: Path) -> None:
    (dataset / "depth" / ".000003.png.17-9.tmp").write_bytes(b"half")
    assert len(DatasetReader(dataset)) == 3


def plain_folder(folder: Path) -> Path:
    for name in ("depth", "label"):
        (folder / name).mkdir(parents=True)
    for number in (27, 28):
        write_image_atomically(folder / "depth" / f"{number:04d}.png", np.full((3, 4), number * 10, np.uint16))
        write_image_atomically(folder / "label" / f"{number:04d}.png", np.full((3, 4), 255, np.uint8))
    return folder


def test_a_plain_folder_needs_its_unit(tmp_path: Path) -> None:
    folder = plain_folder(tmp_path)
    with pytest.raises(FrameError, match="--depth-unit-mm"):
        DatasetReader(folder)
    reader = DatasetReader(folder, depth_unit_mm=0.5, camera=Camera(4, 4, 2, 1, 4, 3))
    assert reader.names == ["0027", "0028"]
    assert reader[1].frame.depth_mm[0, 0] == 140.0
    assert reader[1].frame.name == "0028"
    assert reader[1].frame.camera == reader.camera(1) == Camera(4, 4, 2, 1, 4, 3)


def test_a_plain_folder_needs_a_label_for_every_depth(tmp_path: Path) -> None:
    (plain_folder(tmp_path) / "label" / "0028.png").unlink()
    with pytest.raises(FrameError, match=r"label lacks 1 \(0028\)"):
        DatasetReader(tmp_path, depth_unit_mm=1)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no dataset; expected"):
        DatasetReader(tmp_path, depth_unit_mm=1)
    with pytest.raises(FrameError, match="is no folder"):
        DatasetReader(tmp_path / "none")


def test_real_frames_are_read_with_their_labels(real_data: Path) -> None:
    reader = DatasetReader(real_data / "hand-object" / "cube_white", depth_unit_mm=1.0)
    assert len(reader) == 196
    entry = reader[60]
    assert entry.frame.depth_mm.shape == (240, 320)
    assert entry.frame.colour is not None
    valid = entry.frame.depth_mm[entry.frame.depth_mm > 0]
    assert 150 < np.median(valid) < 900
    # Labels were made from registered colour, so they must lie on the depth of the hand and the block.
    known = (entry.labels == 1) | (entry.labels == 2)
    assert known.sum() > 1000
    assert (entry.frame.depth_mm[known] > 0).all()


def test_a_focal_length_serves_frames_of_every_size_and_needs_no_whole_first_frame(tmp_path: Path) -> None:
    for folder in ("depth", "label"):
        (tmp_path / folder).mkdir()
    for name, shape in (("0", (4, 6)), ("1", (8, 6)), ("2", (8, 10))):
        write_image_atomically(tmp_path / "depth" / f"{name}.png", np.full(shape, 500, np.uint16))
        write_image_atomically(tmp_path / "label" / f"{name}.png", np.zeros(shape, np.uint8))
    (tmp_path / "depth" / "0.png").write_bytes(b"damaged")
    reader = open_dataset(tmp_path, depth_unit_mm=1, focal_px=7.0)
    for index, (width, height) in ((1, (6, 8)), (2, (10, 8))):
        expected = Camera.from_focal_length(width, height, 7.0)
        assert reader.camera(index) == expected == reader[index].frame.camera
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(FrameError, match="focal length"):
            open_dataset(tmp_path, depth_unit_mm=1, focal_px=wrong)
