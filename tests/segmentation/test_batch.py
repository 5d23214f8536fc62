"""Segmenting a folder: resume, bad files, names, refusals. The segmenter here is a threshold, so results are known."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import WriteBatch
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_image, write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.frames.sources import FoundFrame
from graspcut.runtime import folder_run
from graspcut.runtime.folder_run import FolderReport
from graspcut.segmentation import batch
from graspcut.segmentation.batch import segment_folder

# How long a test waits for another thread before it fails; nothing waits this long when all is well.
PATIENCE_S = 30.0


@dataclass
class Labels:
    """A result."""

    labels: NDArray[np.uint8]


class Threshold:
    """Labels valid pixels nearer than 0.5 m hand, nearer than 0.6 m object; remembers the cameras it was given."""

    def __init__(self) -> None:
        self.cameras: list[Camera | None] = []

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
        self.cameras.append(camera)
        near = (depth_mm > 0) & (depth_mm < 600)
        return Labels((near * np.where(depth_mm < 500, 1, 2)).astype(np.uint8))


def write_depth(path: Path, base_mm: int, shape: tuple[int, int] = (9, 13)) -> NDArray[np.uint16]:
    """A slope over all three labels, with a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = (base_mm + 20 * np.arange(shape[0] * shape[1]).reshape(shape)).astype(np.uint16)
    depth[0, :4] = 0
    write_image_atomically(path, depth)
    return depth


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    """Three frames of two sizes."""
    for number, shape in enumerate([(9, 13), (9, 13), (7, 8)]):
        write_depth(tmp_path / "in" / f"{number:04d}.png", 300 + 50 * number, shape)
    return tmp_path / "in"


def run(
    inputs: list[Path],
    out: Path,
    segmenter: Threshold,
    *,
    model_name: str = "threshold",
    unit: float | None = 1,
    focal_px: float | None = None,
    overlay: bool = False,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> FolderReport:
    """Calls the function under test."""
    return segment_folder(
        inputs,
        out,
        segmenter,
        model_name=model_name,
        depth_unit_mm=unit,
        focal_px=focal_px,
        overlay=overlay,
        progress=progress,
        workers=workers,
    )


def test_label_maps_and_summary(depth_folder: Path, tmp_path: Path) -> None:
    report = run([depth_folder], tmp_path / "out", Threshold())
    assert (report.done, report.skipped, report.failures) == (3, 0, ())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["complete"] is True
    assert [row["name"] for row in summary["frames"]] == ["0000", "0001", "0002"]
    for row in summary["frames"]:
        labels = read_image(tmp_path / "out" / f"{row['name']}.png")
        depth = read_image(depth_folder / f"{row['name']}.png")
        assert labels.dtype == np.uint8 and labels.shape == depth.shape == (row["height"], row["width"])
        np.testing.assert_array_equal(labels == 1, (depth > 0) & (depth < 500))
        np.testing.assert_array_equal(labels == 2, (depth >= 500) & (depth < 600))
        assert row["hand_pixels"] == np.count_nonzero(labels == 1) > 0
        assert row["object_pixels"] == np.count_nonzero(labels == 2) > 0
        assert row["milliseconds"] >= 0


def test_continues_where_it_stopped(depth_folder: Path, tmp_path: Path) -> None:
    class Killed(Threshold):
        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            if len(self.cameras) == 2:
                raise KeyboardInterrupt
            return super().__call__(depth_mm, camera)

    with pytest.raises(KeyboardInterrupt):
        run([depth_folder], tmp_path / "out", Killed())
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"] is False
    second = Threshold()
    report = run([depth_folder], tmp_path / "out", second)
    assert (report.done, report.skipped) == (1, 2)
    assert len(second.cameras) == 1
    again = run([depth_folder], tmp_path / "whole", Threshold())
    assert again.done == 3
    continued, whole = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("out", "whole"))
    for row in (*continued["frames"], *whole["frames"]):
        del row["milliseconds"]
    assert continued == whole


def test_bad_files_are_reported_and_the_others_done(depth_folder: Path, tmp_path: Path) -> None:
    whole = (depth_folder / "0001.png").read_bytes()
    (depth_folder / "0001.png").write_bytes(whole[:-30])
    write_image_atomically(depth_folder / "0003.png", np.zeros((5, 5, 3), dtype=np.uint8))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    report = run([tmp_path / "broken.npz", depth_folder, tmp_path / "missing"], tmp_path / "out", Threshold())
    assert report.done == 2
    # An input that is not there is named by its path, a bad frame by its name.
    # A colour picture in the middle of a numbered sequence is a frame that went wrong.
    assert {name for name, _ in report.failures} == {"broken", str(tmp_path / "missing"), "0001", "0003"}
    assert all(message for _, message in report.failures)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["complete"] is False
    assert [entry["name"] for entry in summary["failures"]] == [name for name, _ in report.failures]
    (depth_folder / "0001.png").write_bytes(whole)
    (depth_folder / "0003.png").unlink()
    assert run([depth_folder], tmp_path / "out", Threshold()).done == 1


def test_nothing_usable_raises(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="missing"):
        run([tmp_path / "missing"], tmp_path / "out", Threshold())
    assert not (tmp_path / "out").exists()


def test_unknown_unit_is_reported_with_the_option(depth_folder: Path, tmp_path: Path) -> None:
    report = run([depth_folder], tmp_path / "out", Threshold(), unit=None)
    assert report.done == 0 and len(report.failures) == 3
    assert "--depth-unit-mm" in report.failures[0][1]


def test_overlays_are_added_later(depth_folder: Path, tmp_path: Path) -> None:
    run([depth_folder], tmp_path / "out", Threshold())
    report = run([depth_folder], tmp_path / "out", Threshold(), overlay=True)
    assert report.done == 3
    assert read_image(tmp_path / "out" / "overlay" / "0002.png").shape == (7, 8, 3)
    before = (tmp_path / "out" / "summary.json").read_bytes()
    assert run([depth_folder], tmp_path / "out", Threshold(), overlay=True).skipped == 3
    assert (tmp_path / "out" / "summary.json").read_bytes() == before  # the times too


def test_focal_length_is_for_frames_without_camera(depth_folder: Path, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", Camera.sr300(13, 9), 1.0) as writer:
        writer.append(np.full((9, 13), 450, dtype=np.uint16), None, 0.0)
    segmenter = Threshold()
    run([depth_folder, tmp_path / "rec"], tmp_path / "out", segmenter, focal_px=11.5)
    cameras = [camera for camera in segmenter.cameras if camera is not None]
    assert len(cameras) == 4 and Camera.sr300(13, 9) in cameras  # frames come in any order
    cameras.remove(Camera.sr300(13, 9))
    assert sorted((camera.fx, camera.width, camera.height) for camera in cameras) == [
        (11.5, 8, 7), (11.5, 13, 9), (11.5, 13, 9),
    ]  # fmt: skip
    without = Threshold()
    run([depth_folder], tmp_path / "plain", without)
    assert without.cameras == [None, None, None]
    with pytest.raises(FrameError, match="focal"):
        run([depth_folder], tmp_path / "x", Threshold(), focal_px=0)


def test_equal_names_of_two_folders_stay_apart(depth_folder: Path, tmp_path: Path) -> None:
    write_depth(tmp_path / "other" / "0000.png", 400)
    run([depth_folder, tmp_path / "other"], tmp_path / "out", Threshold())
    first, second = (read_image(tmp_path / "out" / f"{name}_0000.png") for name in ("in", "other"))
    assert np.count_nonzero(first == 1) > np.count_nonzero(second == 1) > 0


def test_results_of_different_runs_are_not_mixed(depth_folder: Path, tmp_path: Path) -> None:
    run([depth_folder], tmp_path / "out", Threshold())
    with pytest.raises(FrameError, match="model threshold"):
        run([depth_folder], tmp_path / "out", Threshold(), model_name="another")
    with pytest.raises(FrameError, match=r"depth_unit_mm 1"):
        run([depth_folder], tmp_path / "out", Threshold(), unit=0.125)
    write_depth(tmp_path / "other" / "0000.png", 480)
    with pytest.raises(FrameError, match="other"):
        run([tmp_path / "other"], tmp_path / "out", Threshold())
    write_depth(depth_folder / "0009.png", 400)
    assert run([depth_folder], tmp_path / "out", Threshold()).done == 1


def test_inputs_are_never_overwritten(depth_folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in depth_folder.iterdir()}
    for inputs, out in (
        ([depth_folder], depth_folder),
        ([depth_folder / "0000.png"], depth_folder),
    ):
        with pytest.raises(FrameError, match="--out"):
            run(inputs, out, Threshold())
    (tmp_path / "results").mkdir()
    write_image_atomically(tmp_path / "results" / "0001.png", np.zeros((3, 3), dtype=np.uint8))
    with pytest.raises(FrameError, match=r"summary\.json"):
        run([depth_folder], tmp_path / "results", Threshold())
    assert before == {path.name: path.read_bytes() for path in depth_folder.iterdir()}


def test_settings_of_a_call_without_results_bind_nobody(depth_folder: Path, tmp_path: Path) -> None:
    failed = segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold")
    assert failed.done == 0 and len(failed.failures) == 3
    report = segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold", depth_unit_mm=1.0)
    assert (report.done, report.failures) == (3, ())
    with pytest.raises(FrameError, match="holds results made with depth_unit_mm"):
        segment_folder([depth_folder], tmp_path / "out", Threshold(), model_name="threshold", depth_unit_mm=2.0)


class Meeting(Threshold):
    """Each call waits until `parties` of them run at the same time; remembers who called."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self.callers: set[int] = set()
        self._everyone = threading.Barrier(parties)

    def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
        self.callers.add(threading.get_ident())
        self._everyone.wait(PATIENCE_S)
        return super().__call__(depth_mm, camera)


class StatedMeeting(Meeting):
    """One that says how many calls it takes."""

    def __init__(self, parallel_calls: int) -> None:
        super().__init__(parallel_calls)
        self.parallel_calls = parallel_calls


def when_set(event: threading.Event) -> None:
    """Waits, and fails the test if nothing comes."""
    assert event.wait(PATIENCE_S), "what should happen at the same time did not"


@pytest.fixture
def many_frames(tmp_path: Path) -> Path:
    """Twelve good frames, and two that cannot be read, one early and one late."""
    for number in range(12):
        write_depth(tmp_path / "many" / f"{number:04d}.png", 300 + 10 * number, (9 + number % 3, 13))
    for name in ("0002a", "0010a"):
        (tmp_path / "many" / f"{name}.png").write_bytes(b"no picture")
    return tmp_path / "many"


def results(folder: Path) -> dict[str, object]:
    """Bytes of all files of a results folder, and its summary without times."""
    files: dict[str, object] = {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    summary = json.loads((folder / "summary.json").read_text())
    for row in summary["frames"]:
        del row["milliseconds"]
    return files | {"summary.json": summary, "order": [row["name"] for row in summary["frames"]]}


def test_results_are_the_same_for_any_number_of_workers(many_frames: Path, tmp_path: Path) -> None:
    alone = run([many_frames], tmp_path / "1", Threshold(), overlay=True, workers=1)
    assert (alone.done, [name for name, _ in alone.failures]) == (12, ["0002a", "0010a"])
    for workers in (2, 4):
        segmenter = Meeting(workers)
        report = run([many_frames], tmp_path / str(workers), segmenter, overlay=True, workers=workers)
        assert report.done == 12 and report.failures == alone.failures
        assert len(segmenter.callers) == workers
        assert results(tmp_path / str(workers)) == results(tmp_path / "1")


def test_failures_keep_the_order_of_the_inputs(depth_folder: Path, tmp_path: Path) -> None:
    others_failed = threading.Event()

    class Refuses(Threshold):
        parallel_calls = 2

        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            nearest = depth_mm[depth_mm > 0].min()
            if nearest == 380:  # frame 0000, which begins first and is the last to fail
                when_set(others_failed)
            raise ValueError(f"nothing from {nearest:g} mm")

    def progress(done: int, _: int) -> None:
        if done == 2:
            others_failed.set()

    report = run([depth_folder], tmp_path / "out", Refuses(), progress=progress)
    assert report.failures == tuple((f"000{number}", f"nothing from {380 + 50 * number} mm") for number in range(3))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [entry["name"] for entry in summary["failures"]] == ["0000", "0001", "0002"]


def test_the_segmenter_says_how_many_threads_may_call_it(many_frames: Path, tmp_path: Path) -> None:
    silent = Meeting(1)
    run([many_frames], tmp_path / "silent", silent)
    assert len(silent.cameras) == 12 and len(silent.callers) == 1
    stated = StatedMeeting(3)
    run([many_frames], tmp_path / "stated", stated)
    assert len(stated.callers) == 3
    for allowed in (1, 3):
        exceeded = StatedMeeting(allowed)
        run([many_frames], tmp_path / f"exceeded {allowed}", exceeded, workers=6)
        assert len(exceeded.callers) == allowed
    fewer = Meeting(1)
    fewer.parallel_calls = 3  # type: ignore[attr-defined]
    run([many_frames], tmp_path / "fewer", fewer, workers=1)
    assert len(fewer.callers) == 1
    with pytest.raises(FrameError, match="workers is 0"):
        run([many_frames], tmp_path / "none", Threshold(), workers=0)


def test_one_worker_reads_and_writes_while_the_segmenter_works(
    depth_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    second_read, second_call = threading.Event(), threading.Event()
    load = FoundFrame.load

    def load_and_tell(entry: FoundFrame) -> Frame:
        frame = load(entry)
        read.append(entry.name)
        if len(read) == 2:
            second_read.set()
        return frame

    def encode_during_second_call(image: NDArray[np.uint8], suffix: str) -> bytes:
        when_set(second_call)
        return encode_image(image, suffix)

    class Busy(Threshold):
        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            if not self.cameras:
                when_set(second_read)
            else:
                second_call.set()
            return super().__call__(depth_mm, camera)

    monkeypatch.setattr(folder_run, "usable_cores", lambda: 1)
    monkeypatch.setattr(FoundFrame, "load", load_and_tell)
    monkeypatch.setattr(batch, "encode_image", encode_during_second_call)
    assert run([depth_folder], tmp_path / "out", Busy(), workers=1).done == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_few_frames_are_in_memory(
    workers: int, many_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = 2
    lock = threading.Lock()
    alive = most = 0
    load = FoundFrame.load

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def counted_load(entry: FoundFrame) -> Frame:
        nonlocal alive, most
        frame = load(entry)
        with lock:
            alive += 1
            most = max(most, alive)
            if alive == workers + helpers:
                full.set()
        weakref.finalize(frame.depth_mm, gone)
        return frame

    class Slow(Threshold):
        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            when_set(full)  # no frame goes on before as many as possible are read
            return super().__call__(depth_mm, camera)

    full = threading.Event()
    monkeypatch.setattr(folder_run, "usable_cores", lambda: helpers)
    monkeypatch.setattr(FoundFrame, "load", counted_load)
    assert run([many_frames], tmp_path / "out", Slow(), workers=workers).done == 12
    # A call's thread may let go of its frame a moment after the frame's own thread went on to the next.
    assert workers + helpers <= most <= workers + helpers + workers
    assert alive == 0


def test_progress_counts_up_in_the_calling_thread(many_frames: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    places: set[int] = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        places.add(threading.get_ident())

    run([many_frames], tmp_path / "out", StatedMeeting(2), progress=progress)
    assert told == [(done, 14) for done in range(1, 15)]
    run([many_frames], tmp_path / "out", Threshold(), progress=progress)
    assert told[14:] == told[:14]
    assert places == {threading.get_ident()}


class Broken(Exception):
    """A fault of the segmenter or the computer, not of a frame."""


@pytest.mark.parametrize("where", ["segmenter", "writing", "progress"])
def test_an_unexpected_exception_ends_the_call_and_leaves_whole_files(
    where: str, many_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks(Threshold):
        def __call__(self, depth_mm: NDArray[np.float32], camera: Camera | None = None, /) -> Labels:
            if where == "segmenter" and len(self.cameras) == 3:
                raise Broken
            return super().__call__(depth_mm, camera)

    add = WriteBatch.add

    def add_until_full(files: WriteBatch, *contents: tuple[str | Path, bytes]) -> None:
        if where == "writing" and "0005" in str(contents[0][0]):
            raise Broken
        add(files, *contents)

    def progress(done: int, _: int) -> None:
        if where == "progress" and done == 5:
            raise Broken

    monkeypatch.setattr(WriteBatch, "add", add_until_full)
    monkeypatch.setattr(folder_run, "usable_cores", lambda: 1)  # so that few frames are begun before progress is told
    threads_before = threading.active_count()
    with pytest.raises(Broken):
        run([many_frames], tmp_path / "out", Breaks(), overlay=True, progress=progress)
    assert threading.active_count() <= threads_before
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"] is False
    monkeypatch.undo()
    run([many_frames], tmp_path / "whole", Threshold(), overlay=True)
    whole = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.png")}
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "summary.json"]
    assert left
    for path in left:
        assert path.read_bytes() == whole[path.relative_to(tmp_path / "out")]
    finished = sum(path.parent == tmp_path / "out" for path in left)
    assert finished < 12
    report = run([many_frames], tmp_path / "out", Threshold(), overlay=True)
    assert (report.done, report.skipped) == (12 - finished, finished)
    assert results(tmp_path / "out") == results(tmp_path / "whole")
