"""Folders and recordings whose frames follow each other: order, resume, bad frames, several recordings."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.images import read_single_channel
from graspcut.frames.json_files import read_json
from graspcut.segmentation.batch import segment_folder
from graspcut.segmentation.result import Segmentation
from graspcut.segmentation.stream import SegmentationStream

COUNT = 150  # more than two blocks
SIZE = (48, 64)


class NearIsHand:
    """What is nearer than 600 mm is hand, with little confidence; one frame in seven calls it object."""

    parallel_calls = 2
    digest = "fake"

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, depth_mm: Any, camera: Camera | None = None) -> Segmentation:
        depth = depth_mm if isinstance(depth_mm, np.ndarray) else depth_mm.depth_mm
        with self._lock:
            self.calls += 1
        wrong = int(depth[0, 0]) % 7 == 3
        near = (depth < 600) & (depth > 0)
        probabilities = np.where(near, np.float32(0.1), np.float32(0.0005)).repeat(3).reshape(*SIZE, 3)
        probabilities = np.ascontiguousarray(probabilities.transpose(2, 0, 1))
        probabilities[2 if wrong else 1][near] = 0.8
        probabilities[0][~near] = 0.999
        return Segmentation(probabilities.argmax(axis=0).astype(np.uint8), probabilities, depth, camera)


def write_frames(folder: Path, count: int = COUNT) -> Path:
    """A bumpy block that moves slowly; the first pixel tells the frame's number."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for number in range(count):
        u = x - 10 - (number % 30) / 3
        block = (u > 0) & (u < 24) & (y > 10) & (y < 40)
        depth = np.where(block, 450 + 20 * np.sin(u / 2) * np.cos(y / 3), 1000).astype(np.uint16)
        depth[0, 0] = 1000 + number
        cv2.imwrite(str(folder / f"{number:04d}.png"), depth)
    return folder


def labels_in(folder: Path) -> dict[str, NDArray[np.uint8]]:
    return {path.stem: read_single_channel(path, what="label map") for path in sorted(folder.glob("*.png"))}


def run(inputs: list[Path], out: Path, segmenter: NearIsHand | None = None, **options: Any) -> Any:
    return segment_folder(
        inputs, out, segmenter or NearIsHand(), model_name="fake", depth_unit_mm=1.0, focal_px=240.0, **options
    )


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("video") / "depth")


@pytest.fixture(scope="module")
def whole(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "out"
    report = run([frames], out, video=True)
    assert report.done == COUNT and not report.failures
    return out


def test_neighbours_correct_the_wrong_frames(frames: Path, whole: Path, tmp_path: Path) -> None:
    run([frames], tmp_path / "alone")
    alone, steadied = labels_in(tmp_path / "alone"), labels_in(whole)
    assert sum((labels == 2).any() for labels in alone.values()) > COUNT // 8
    assert sum((labels == 2).sum() for labels in steadied.values()) < 0.05 * sum(
        (labels == 2).sum() for labels in alone.values()
    )


def test_the_folder_has_the_labels_of_the_stream(frames: Path, whole: Path) -> None:
    from graspcut.frames.sources import open_source

    camera = Camera.from_focal_length(SIZE[1], SIZE[0], 240.0)
    stream = SegmentationStream(NearIsHand()).smooth(open_source(frames, depth_unit_mm=1.0, camera=camera))
    for (name, labels), result in zip(labels_in(whole).items(), stream, strict=True):
        assert np.array_equal(labels, result.labels), name


@pytest.mark.parametrize("missing", [{0}, {70}, {5, 149}, set(range(100, 150))])
def test_a_stopped_run_goes_on_with_the_same_labels(
    frames: Path, whole: Path, tmp_path: Path, missing: set[int]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in whole.iterdir():
        if path.suffix == ".json" or int(path.stem) not in missing:
            (out / path.name).write_bytes(path.read_bytes())
    segmenter = NearIsHand()
    report = run([frames], out, segmenter, video=True)
    assert (report.done, report.skipped) == (len(missing), COUNT - len(missing))
    assert segmenter.calls < COUNT or len(missing) > 40
    expected, found = labels_in(whole), labels_in(out)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert len(read_json(out / "summary.json")["frames"]) == COUNT


def test_bad_frames_are_failures_and_bridged(frames: Path, tmp_path: Path) -> None:
    folder = tmp_path / "depth"
    folder.mkdir()
    for path in sorted(frames.iterdir())[:20]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "0010.png").write_bytes(b"nothing")
    report = run([folder], tmp_path / "out", video=True)
    assert report.done == 19 and [name for name, _ in report.failures] == ["0010"]
    found = labels_in(tmp_path / "out")
    assert max((labels == 2).sum() for labels in found.values()) < 0.2 * min(
        (labels > 0).sum() for labels in found.values()
    )


def test_recordings_do_not_mix_and_files_of_a_folder_belong_together(frames: Path, tmp_path: Path) -> None:
    files = sorted(frames.iterdir())[:20]
    run([*files], tmp_path / "files", video=True)
    first, second = write_frames(tmp_path / "a", 20), write_frames(tmp_path / "b", 20)
    run([first, second], tmp_path / "both", video=True)
    single, both = labels_in(tmp_path / "files"), labels_in(tmp_path / "both")
    assert len(both) == 40
    for name, labels in single.items():
        assert np.array_equal(labels, both[f"a_{name}"]) and np.array_equal(labels, both[f"b_{name}"])


def test_a_folder_takes_one_kind_of_run(frames: Path, whole: Path) -> None:
    with pytest.raises(ValueError, match="Give another --out"):
        run([frames], whole, video=False)
