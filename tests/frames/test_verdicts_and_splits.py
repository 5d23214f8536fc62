"""Verdicts that are neither lost nor double; splits that do not leak; Table 1's figures."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.splits import frames_of_part, split_datasets
from graspcut.frames.statistics import read_statistics
from graspcut.frames.verdicts import VERDICTS_NAME, VerdictStore, accepted_frames
from tests.frames.datasets import write_dataset


def accept_all(folder: Path, names: list[str], discard: tuple[str, ...] = ()) -> None:
    store = VerdictStore(folder)
    for name in names:
        store.add(f"id-{name}", name, "discard" if name in discard else "accept", "ann")
    store.close()


def test_verdicts_count_once_and_the_last_one_holds(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path)
    assert store.add("a", "000001", "accept", "ann")
    assert not store.add("a", "000001", "accept", "ann"), "sent twice"
    assert store.add("b", "000001", "discard", "bob")
    assert store.add("c", "000002", "accept", "bob")
    assert len(store.all()) == 3
    assert store.current()["000001"].verdict == "discard"
    assert store.remove("b") and not store.remove("b")
    assert store.current()["000001"].verdict == "accept"
    with pytest.raises(FrameError, match="accept, discard"):
        store.add("d", "000001", "perhaps", "ann")
    store.close()
    assert accepted_frames(tmp_path, ["000002", "000001", "000003"]) == ["000002", "000001"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / VERDICTS_NAME).write_bytes(b"no database" * 100)
    with pytest.raises(FrameError, match="review database"):
        VerdictStore(tmp_path / "other")


def _give_verdicts(folder: str, answered: str) -> None:
    store = VerdictStore(folder)
    with open(answered, "a", encoding="ascii") as file:
        for number in range(100_000):
            store.add(f"id-{number}", f"{number:06d}", "accept", "ann")
            file.write(f"{number}\n")
            file.flush()


def test_a_killed_process_loses_no_answered_verdict(tmp_path: Path) -> None:
    answered = tmp_path / "answered"
    process = multiprocessing.get_context("spawn").Process(target=_give_verdicts, args=(str(tmp_path), str(answered)))
    process.start()
    while not answered.exists() or answered.stat().st_size < 60:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    numbers = answered.read_text().split("\n")[:-1]
    store = VerdictStore(tmp_path)
    stored = [verdict.id for verdict in store.all()]
    assert len(stored) == len(set(stored))
    assert {f"id-{number}" for number in numbers} <= set(stored)


def test_split_by_recording(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 40, recordings=8)
    report = split_datasets([tmp_path / "one"], validation_share=0.2)
    assert (report.train, report.validation, report.how) == (30, 10, "by recording")
    parts = {part: frames_of_part(reader, part) for part in ("train", "validation")}
    recordings = {part: {reader.meta(index)["recording"] for index in numbers} for part, numbers in parts.items()}
    assert recordings["train"].isdisjoint(recordings["validation"])
    assert len(recordings["validation"]) == 2
    assert split_datasets([tmp_path / "one"], validation_share=0.2) == report
    assert set(frames_of_part(reader, "train")) | set(frames_of_part(reader, "validation")) == set(range(40))


def test_one_recording_is_cut_once(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 30)
    report = split_datasets([tmp_path / "one"])
    assert report.validation == 3 and report.gap == 2 and report.train == 25
    assert frames_of_part(reader, "validation") == (27, 28, 29)
    assert frames_of_part(reader, "train") == tuple(range(25)), "the gap is left out"


def test_random_frames_are_the_papers_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = write_dataset(tmp_path / "one", 20)
    report = split_datasets([tmp_path / "one"], random_frames=True, seed=3)
    assert (report.train, report.validation) == (18, 2)
    assert len(set(frames_of_part(reader, "train")) & set(frames_of_part(reader, "validation"))) == 0
    # 51,912 frames: 46,720 and 5,192.
    names = [f"{number:06d}" for number in range(51_912)]
    monkeypatch.setattr("graspcut.frames.splits._usable", lambda *_: names)
    report = split_datasets([tmp_path / "one"], random_frames=True)
    assert (report.train, report.validation) == (46_720, 5_192)


def test_only_accepted_frames_go_into_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = write_dataset(tmp_path / "one", 20, recordings=4, annotated=True)
    with pytest.raises(FrameError, match="nobody reviewed"):
        split_datasets([tmp_path / "one"])
    assert split_datasets([tmp_path / "one"], unreviewed=True).train == 15
    accept_all(tmp_path / "one", reader.names[:18], discard=("000003", "000010"))
    with pytest.raises(SystemExit) as end:
        main(["split", str(tmp_path / "one")])
    assert not end.value.code
    assert "not accepted" in capsys.readouterr().out
    used = {reader.names[index] for part in ("train", "validation") for index in frames_of_part(reader, part)}
    assert used == set(reader.names[:18]) - {"000003", "000010"}
    with pytest.raises(FrameError, match="share"):
        split_datasets([tmp_path / "one"], validation_share=1.0)


def test_a_damaged_split_is_named(tmp_path: Path) -> None:
    reader = write_dataset(tmp_path / "one", 4)
    assert frames_of_part(reader, "train") == (0, 1, 2, 3), "not split: all of them"
    (tmp_path / "one" / "splits.json").write_text(json.dumps({"train": ["000009"], "validation": []}))
    with pytest.raises(FrameError, match=r"splits\.json"):
        frames_of_part(reader, "train")


def test_table_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = write_dataset(tmp_path / "one", 6, instances=True)
    statistics, faults = read_statistics(reader)
    assert faults == [] and statistics.frames == 6 and statistics.interacting == 6
    assert statistics.objects == {"cup", "pen"} and statistics.hand_heights_px == [16] * 6
    expected = [int((reader[index].labels == 1).sum()) for index in range(6)]
    assert statistics.hand_px == expected
    split_datasets([tmp_path / "one"], validation_share=0.5)
    accept_all(tmp_path / "one", reader.names[:5])
    with pytest.raises(SystemExit) as end:
        main(["info", str(tmp_path / "one")])
    assert not end.value.code
    printed = capsys.readouterr().out
    for text in ("hand resolution", "object interaction", "100.0% of the frames", "5 frames", "3 train"):
        assert text in printed
    (tmp_path / "one" / "label" / "000002.png").write_bytes(b"")
    assert len(read_statistics(DatasetReader(tmp_path / "one"))[1]) == 1
