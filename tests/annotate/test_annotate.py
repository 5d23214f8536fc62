"""Whole frames and recordings: labels against the truth, `graspcut annotate`, bad frames, stops, worker processes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.annotate import folder as folder_module
from graspcut.annotate import frame_work
from graspcut.annotate.colour_rules import save_rules
from graspcut.annotate.colour_samples import gather_colours
from graspcut.annotate.continuation import continued_behind
from graspcut.annotate.pipeline import Annotation, AnnotationConfig, annotate_frame
from graspcut.annotate.quality import flicker, quality_of
from graspcut.annotate.suggestion import suggest_rules
from graspcut.cli import main
from graspcut.frames.alignment import registered
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.recording import Recording
from graspcut.labels import HAND, OBJECT, UNKNOWN
from tests.annotate.recordings import DEPTH_CAMERA, frames, write_recording


def annotate(*arguments: str | Path) -> int:
    """Exit code of `graspcut annotate`."""
    with pytest.raises(SystemExit) as end:
        main(["annotate", *map(str, arguments)])
    return int(end.value.code or 0)


def mean_iou(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    known = labels != UNKNOWN
    both = [
        np.sum((labels == k) & (truth == k) & known) / np.sum(((labels == k) | (truth == k)) & known) for k in (1, 2)
    ]
    return float(np.mean(both))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_frame_is_labelled_and_occluded_pixels_are_not_painted() -> None:
    made = frames(6)
    rules = suggest_rules(gather_colours(frame for frame, _ in made)).rules
    raw = AnnotationConfig(morphology_px=0, theta=1e-6, phi=1e6, fill_px=0)
    frame, truth = made[2]
    seen = annotate_frame(frame, rules, raw)
    naive = annotate_frame(
        frame, rules, AnnotationConfig(morphology_px=0, theta=1e-6, phi=1e6, fill_px=0, test_visibility=False)
    )
    painted = (naive.labels == OBJECT) & (truth == HAND)
    assert np.count_nonzero(painted) > 20, "a plain alignment paints the band on the fingers"
    assert (seen.labels[painted] != OBJECT).all(), "here nothing is painted"
    whole = annotate_frame(frame, rules)
    assert mean_iou(whole.labels, truth) > 0.97
    assert np.mean(whole.labels[truth > 0] != UNKNOWN) > 0.97
    assert whole.nearest_mm == 300.0 and whole.unseen_px > 0


def test_without_colour_or_without_a_foreground() -> None:
    frame, _ = frames(1)[0]
    rules = suggest_rules(gather_colours(frame for frame, _ in frames(4))).rules
    with pytest.raises(FrameError, match="no colour"):
        annotate_frame(Frame(frame.depth_mm, DEPTH_CAMERA), rules)
    nothing = Frame(np.zeros_like(frame.depth_mm), DEPTH_CAMERA, frame.colour, frame.colour_camera)
    assert not annotate_frame(nothing, rules).labels.any()


def test_surfaces_that_go_on_behind_the_band() -> None:
    depth = np.full((40, 60), 900, np.float32)
    depth[10:30, :50] = np.linspace(400, 700, 50, dtype=np.float32)
    band = depth < 560
    behind = continued_behind(depth, band, 300)
    assert behind[20, 40] and not behind[5, 5] and not (behind & band).any()
    assert not continued_behind(np.where(depth < 560, depth, 900).astype(np.float32), band, 300).any()


def test_flicker_counts_single_frames() -> None:
    steady = np.full((10, 10), HAND, np.uint8)
    other = steady.copy()
    other[:2] = OBJECT
    assert flicker(steady, other, steady) == pytest.approx(0.2)
    assert flicker(steady, other, other) == 0.0
    assert flicker(steady, other, np.zeros((3, 3), np.uint8)) == 0.0


def test_doubt_grows_with_what_is_wrong() -> None:
    labels = np.full((10, 10), HAND, np.uint8)
    good = quality_of(Annotation(labels, 400.0, 100, 0, 0, 0))
    labels[:5] = UNKNOWN
    bad = quality_of(Annotation(labels, 400.0, 100, 0, 0, 20))
    assert good.doubt == 0 and good.within_limits
    assert bad.doubt > 2 and not bad.within_limits and bad.unknown_share == 0.5


def test_a_recording_becomes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_recording(tmp_path / "recording")
    assert annotate(tmp_path / "recording", "--out", tmp_path / "one", "--workers", "1", "--licence", "CC0") == 0
    printed = capsys.readouterr().out
    assert "12 frame(s) annotated" in printed and "they separate to" in printed
    reader = DatasetReader(tmp_path / "one")
    assert reader.check() == []
    assert reader.description["recordings"] == ["recording"] and reader.description["licence"] == "CC0"
    assert np.mean([mean_iou(reader[index].labels, labels) for index, labels in enumerate(truth)]) > 0.97
    assert reader[3].frame.colour_camera is not None and reader[3].frame.timestamp_s == pytest.approx(0.1)
    quality = json.loads((tmp_path / "one" / "quality.json").read_text())
    assert len(quality["frames"]) == 12 and quality["summary"]["frames"] == 12
    assert quality["frames"][0]["recording"] == "recording"
    assert (tmp_path / "one" / "contact-sheet.png").exists()
    # The same bytes from several processes, from given rules, and when it is started again.
    rules = tmp_path / "one" / "rules.json"
    assert (
        annotate(
            tmp_path / "recording", "--out", tmp_path / "two", "--workers", "2", "--rules", rules, "--licence", "CC0"
        )
        == 0
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    for name in ("meta/000005.json", "label/000005.png", "dataset.json", "quality.json"):
        (tmp_path / "two" / name).unlink()
    assert annotate(tmp_path / "recording", "--out", tmp_path / "two", "--workers", "1", "--licence", "CC0") == 0
    assert "1 frame(s) annotated" in capsys.readouterr().out
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert annotate(tmp_path / "recording", "--out", tmp_path / "two", "--band-mm", "120") == 1
    assert "other config" in capsys.readouterr().err


def test_a_bad_frame_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "recording", 6)
    (tmp_path / "recording" / "depth" / "000003.png").write_bytes(b"no picture")
    assert annotate(tmp_path / "recording", "--out", tmp_path / "out", "--workers", "1") == 1
    assert "000003" in capsys.readouterr().err
    reader = DatasetReader(tmp_path / "out")
    assert reader.names == ["000000", "000001", "000002", "000004", "000005"]
    assert reader.check() == []


def test_what_does_not_fit_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "recording", 3)
    rules = tmp_path / "rules.json"
    rules.write_text('{"skin": [[{"h": 1, "max": 20}, {"h": -1, "max": 20}]]}')
    out = tmp_path / "out"
    assert annotate(tmp_path / "recording", "--out", out, "--rules", rules, "--suggest") == 2
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert annotate(tmp_path / "recording", "--out", out, "--rules", rules) == 1
    assert "not empty" in capsys.readouterr().err
    assert (out / "mine.txt").read_text() == "keep"


def test_clicks_reach_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "recording", 6)
    options = ["--workers", "1", "--click", "0:80,110=skin", "--click", "0:95,52=object"]
    assert annotate(tmp_path / "recording", "--out", tmp_path / "out", *options) == 0
    labels = DatasetReader(tmp_path / "out")[0].labels
    assert labels[110, 80] == HAND and labels[52, 95] == OBJECT
    assert annotate(tmp_path / "recording", "--out", tmp_path / "other", "--click", "0:5,5=skin") == 1
    assert "foreground" in capsys.readouterr().err


def test_real_sequences_agree_with_other_rules(real_data: Path) -> None:
    """bar_red and cube_white, every 25th frame: rules that others made from colour, not by this code."""
    from graspcut.frames.dataset import open_dataset

    for name, bar in (("bar_red", 0.96), ("cube_white", 0.93)):
        reader = open_dataset(real_data / "hand-object" / name, depth_unit_mm=1.0, focal_px=238.95)
        some = [reader[index] for index in range(0, len(reader), 25)]
        rules = suggest_rules(gather_colours(labelled.frame for labelled in some)).rules
        both, either = np.zeros(3), np.zeros(3)
        for labelled in some:
            labels = annotate_frame(labelled.frame, rules).labels
            known = (labels != UNKNOWN) & (labelled.labels != UNKNOWN)
            for label in (HAND, OBJECT):
                ours, theirs = (labels == label) & known, (labelled.labels == label) & known
                both[label] += np.sum(ours & theirs)
                either[label] += np.sum(ours | theirs)
        assert np.mean(both[1:] / either[1:]) > bar, name


def test_figures_against_neighbours_do_not_depend_on_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(tmp_path / "recording", 7)
    assert annotate(tmp_path / "recording", "--out", tmp_path / "mine", "--workers", "1") == 0
    whole = (tmp_path / "mine" / "quality.json").read_bytes()
    assert any(row["jump"] > 0 for row in json.loads(whole)["frames"])
    monkeypatch.setattr(folder_module, "_FRAMES_A_BLOCK", 2)
    folder_module.write_quality(tmp_path / "mine")
    assert (tmp_path / "mine" / "quality.json").read_bytes() == whole


def test_one_bad_frame_whatever_it_raises_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(tmp_path / "recording", 5)
    read = Recording.__getitem__

    def strange(recording: Recording, index: int) -> object:
        if index == 1:
            raise IndexError("a list of a damaged file")
        return read(recording, index)

    def fails(frame: Frame, *arguments: object) -> object:
        if frame.name == "000003":
            raise ZeroDivisionError("a strange frame")
        return annotate_frame(frame, *arguments)  # type: ignore[arg-type]

    rules = tmp_path / "rules.json"
    save_rules(rules, suggest_rules(gather_colours(frame for frame, _ in frames(5))).rules)
    monkeypatch.setattr(Recording, "__getitem__", strange)
    monkeypatch.setattr(frame_work, "annotate_frame", fails)
    out = tmp_path / "mine"
    assert annotate(tmp_path / "recording", "--out", out, "--rules", rules, "--workers", "1") == 1
    assert DatasetReader(out).names == ["000000", "000002", "000004"]


def test_what_was_assumed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, (frame, _) in enumerate(frames(3)):
        depth = frame.depth_mm.copy()
        depth[0, :3] = np.inf
        colour = registered(frame).colour
        assert colour is not None
        np.savez(folder / f"{number}.npz", depth=depth, colour=colour)
    write_image_atomically(folder / "seen.png", np.zeros((8, 8, 3), np.uint8))
    for _ in range(2):
        assert annotate(folder, "--out", tmp_path / "mine", "--workers", "1") == 0
        said = capsys.readouterr().err
        assert "floating-point depth without a unit was taken as millimetres (the first of 3" in said
        assert "3 pixels" in said and "counted as no data" in said and "left out: 1 colour picture" in said
