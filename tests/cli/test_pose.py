"""`graspcut pose` with the weights that the package brings, and what it says when there are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graspcut.frames.images import read_single_channel
from graspcut.labels import HAND, JOINT_NAMES
from graspcut.pose import predictor
from graspcut.pose.predictor import PoseEstimator
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig
from tests.cli.test_verbs import run

BARE = SceneConfig(nothing=0.0, object_only=0.0, hand_only=1.0, two_hands=0.0, background_none=1.0)


@pytest.fixture(scope="module")
def close_ups() -> FrameGenerator:
    return FrameGenerator(SynthConfig(profile="v1", colour=False, scene=BARE), seed=77)


def test_joints_of_rendered_hands_are_near_their_places(close_ups: FrameGenerator) -> None:
    estimator = PoseEstimator.load(threads=1)
    errors = []
    for index in range(8):
        labelled = close_ups[index]
        poses = estimator(labelled.frame, [labelled.labels == HAND])
        assert len(poses.hands) == 1 and set(np.unique(poses.parts)) <= set(range(22))
        distance = np.linalg.norm(poses.hands[0].joints_mm - labelled.joints_mm[0], axis=1)
        errors.append(float(np.nanmean(distance)))
    # Taking every joint for the middle of the mask would be off by 80 mm and more.
    assert np.median(errors) < 45.0, errors


def test_writes_what_it_promises(close_ups: FrameGenerator, tmp_path: Path) -> None:
    from PIL import Image

    depth = close_ups[1].frame.depth_mm
    Image.fromarray(depth.astype(np.uint16)).save(tmp_path / "frame.png")
    command = ["pose", str(tmp_path / "frame.png"), "--out", str(tmp_path / "out"), "--depth-unit-mm", "1"]
    assert run([*command, "--threads", "1"]) == 0
    out = tmp_path / "out"
    assert {"frame_parts.png", "frame_joints.json", "joints.csv", "summary.json"} <= {p.name for p in out.iterdir()}
    assert (out / "overlay" / "frame.png").is_file()
    hand = json.loads((out / "frame_joints.json").read_text())["hands"][0]
    assert len(hand["joints_mm"]) == len(JOINT_NAMES) == len(hand["confidence"]) == len(hand["visible"])
    assert read_single_channel(out / "frame_parts.png", what="part map").shape == depth.shape


def test_says_what_to_do_without_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "models_are_shipped", lambda: False)
    assert run(["pose", str(tmp_path / "frame.png"), "--out", str(tmp_path / "out")]) != 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "brings no weights of hand pose" in shown and "graspcut train pose-joints" in shown
    assert not (tmp_path / "out").exists()
