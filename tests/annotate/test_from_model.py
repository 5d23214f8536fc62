"""Labels proposed by a network, its second opinion beside colours, and frames that follow corrected ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.annotate.carrying import ORIGINALS_FOLDER, follow_corrections
from graspcut.annotate.colour_rules import NO_COLOUR, ColourRules, HalfSpace
from graspcut.annotate.frame_work import AnnotationJob
from graspcut.annotate.proposals import annotate_by_model, disagreement, proposed_labels
from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.frames.verdicts import VerdictStore
from graspcut.labels import HAND, OBJECT, UNKNOWN
from tests.annotate.recordings import DEPTH_CAMERA, frames, write_recording

RULES = ColourRules(skin=((HalfSpace(h=1, max=20), HalfSpace(h=-1, max=12), HalfSpace(s=1, max=150)),))


def by_depth(batch: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
    """A stand-in for a network that knows the scene's distances, some frames late; unsure in a corner."""
    waiting: list[NDArray[np.float32]] = []
    for frame in batch:
        depth = frame.depth_mm
        truth = np.where(depth < 350, 2, np.where(depth < 500, 1, 0))
        probabilities = np.full((3, *depth.shape), 0.05, np.float32)
        np.put_along_axis(probabilities, truth[None], 0.9, axis=0)
        probabilities[:, 100:] = np.array([0.1, 0.5, 0.4], np.float32)[:, None, None]
        waiting.append(probabilities)
        if len(waiting) > 3:
            yield waiting.pop(0)
    yield from waiting


def job(folder: Path, rules: ColourRules = NO_COLOUR) -> AnnotationJob:
    return AnnotationJob((str(folder / "recording"),), str(folder / "out"), rules, 1.0)


def test_proposals_leave_unsure_pixels_unknown(tmp_path: Path) -> None:
    truth = write_recording(tmp_path / "recording", 8)
    report = annotate_by_model(job(tmp_path), by_depth, "stand-in")
    assert (report.written, report.failures) == (8, ())
    reader = DatasetReader(tmp_path / "out")
    assert reader.check() == [] and reader.description["model"] == "stand-in"
    for index, labels in enumerate(truth):
        got = reader[index].labels
        assert np.array_equal(got[:100], labels[:100])
        assert (got[100:] == UNKNOWN).all()
    # Stopped and started again: what is there stays.
    (tmp_path / "out" / "meta" / "000003.json").unlink()
    (tmp_path / "out" / "dataset.json").unlink()
    again = annotate_by_model(job(tmp_path), by_depth, "stand-in")
    assert (again.written, again.skipped) == (1, 7)
    with pytest.raises(FrameError, match="other model"):
        annotate_by_model(job(tmp_path), by_depth, "another")


def test_depth_without_colour_needs_no_colour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingWriter(tmp_path / "recording", DEPTH_CAMERA, 1.0) as writer:
        for frame, _ in frames(3):
            writer.append(frame.depth_mm.astype(np.uint16))
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(tmp_path / "recording"), "--out", str(tmp_path / "colours")])
    assert end.value.code == 1 and "--from-model" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        places = [str(tmp_path / "recording"), "--out", str(tmp_path / "out")]
        main(["annotate", *places, "--from-model", "dense-attention-small"])
    assert not end.value.code
    assert len(DatasetReader(tmp_path / "out")) == 3


def test_the_second_opinion_moves_frames_to_the_front(tmp_path: Path) -> None:
    write_recording(tmp_path / "recording", 6)

    def wrong_in_frame_4(batch: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
        for number, probabilities in enumerate(by_depth(batch)):
            yield probabilities[[0, 2, 1]] if number == 4 else probabilities

    annotate_by_model(job(tmp_path, RULES), wrong_in_frame_4, "stand-in", use_colour=True)
    rows = json.loads((tmp_path / "out" / "quality.json").read_text())["frames"]
    assert max(rows, key=lambda row: row["doubt"])["name"] == "000004"
    assert rows[4]["disagreement"] > 0.5 > 0.1 > rows[3]["disagreement"]
    assert (DatasetReader(tmp_path / "out")[4].labels == HAND).any(), "the labels are those of the colours"


def test_disagreement_and_certainty() -> None:
    labels = np.array([[HAND, OBJECT, 0, UNKNOWN]], np.uint8)
    sure = np.zeros((3, 1, 4), np.float32)
    sure[[2, 2, 0, 1], 0, range(4)] = 1.0
    assert disagreement(labels, sure, 0.8) == pytest.approx(0.5)
    assert disagreement(labels, np.full((3, 1, 4), 1 / 3, np.float32), 0.8) == 0.0
    proposed = proposed_labels(sure * 0.7 + 0.1, np.array([[400, 400, 400, 0]], np.float32), 0.75)
    assert proposed.labels.tolist() == [[2, 2, 0, 0]]
    assert proposed_labels(sure * 0.6 + 0.1, np.ones((1, 4), np.float32), 0.75).labels.tolist() == [[UNKNOWN] * 4]


def test_the_rest_follows_a_few_corrected_frames(tmp_path: Path) -> None:
    truth = write_recording(tmp_path / "recording", 13)

    def confused(batch: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
        for probabilities in by_depth(batch):
            yield np.stack([probabilities[0], probabilities[1] + probabilities[2], np.zeros_like(probabilities[0])])

    annotate_by_model(job(tmp_path), confused, "stand-in")
    out = tmp_path / "out"
    with pytest.raises(FrameError, match="graspcut review"):
        follow_corrections(out)
    (out / ORIGINALS_FOLDER).mkdir()
    for index in (0, 6, 12):
        (out / ORIGINALS_FOLDER / f"{index:06d}.png").write_bytes((out / "label" / f"{index:06d}.png").read_bytes())
        write_image_atomically(out / "label" / f"{index:06d}.png", truth[index])
    store = VerdictStore(out)
    store.add("verdict-1", "000009", "discard", "ann")
    store.close()

    def wrong(index: int) -> float:
        return float(np.mean(DatasetReader(out)[index].labels[:100][truth[index][:100] == OBJECT] != OBJECT))

    assert wrong(3) == 1.0
    with pytest.raises(SystemExit) as end:
        main(["labels", "follow", str(out)])
    assert not end.value.code
    assert max(wrong(index) for index in (1, 2, 3, 4, 5, 7, 8, 10, 11)) < 0.2
    assert wrong(9) == 1.0, "a frame with a verdict stays as it is"
