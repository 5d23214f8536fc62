"""The whole way of docs/your-own-data.md: recording, annotation, review through HTTP, split, training, segmentation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")


from fastapi.testclient import TestClient

from graspcut.app.server import create_app
from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.images import read_single_channel
from graspcut.frames.recording import Recording
from graspcut.frames.splits import frames_of_part
from graspcut.labels import HAND, OBJECT
from graspcut.segmentation.fine_tuning import compare
from tests.annotate.recordings import write_recording
from tests.mini_network import mini_network, save_mini_folder


def graspcut(*arguments: object) -> None:
    """A command line that must succeed."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert not end.value.code, arguments


def test_from_a_recording_to_a_model_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = write_recording(tmp_path / "recording", 16)
    assert Recording(tmp_path / "recording").check() == []
    mine = tmp_path / "mine"
    graspcut("annotate", tmp_path / "recording", "--out", mine, "--workers", "1")

    with TestClient(create_app(mine), base_url="http://127.0.0.1:8765") as client:
        discarded = ""
        for number in range(16):
            frame = client.get("/api/next", params={"reviewer": "ann"}).json()["frame"]
            labels = np.frombuffer(client.get(f"/api/frame/{frame}/label").content, np.uint8)
            assert {HAND, OBJECT} <= set(labels.tolist())
            if number == 0:
                corrected = truth[int(frame)].tobytes()
                assert client.put(f"/api/frame/{frame}/label", content=corrected).status_code == 200
            verdict = "discard" if number == 5 else "accept"
            discarded = frame if number == 5 else discarded
            message = {"id": f"verdict-{number:03d}", "frame": frame, "verdict": verdict, "reviewer": "ann"}
            assert client.post("/api/verdict", json=message).status_code == 200
        assert client.get("/api/next", params={"reviewer": "ann"}).json()["frame"] is None

    graspcut("split", mine, "--validation-share", "0.25")
    reader = DatasetReader(mine)
    parts = {part: frames_of_part(reader, part) for part in ("train", "validation")}
    assert len(parts["validation"]) == 4 and int(discarded) not in {*parts["train"], *parts["validation"]}

    start = save_mini_folder(tmp_path / "start", mini_network(0))
    assert compare.__kwdefaults__ is not None
    monkeypatch.setitem(compare.__kwdefaults__, "rendered_frames", 2)
    options = ["--steps", 4, "--batch-size", 2, "--workers", 0, "--validate-every-steps", 0, "--threads", 1]
    graspcut("train", "segmentation", "--folder", tmp_path / "run", "--start", start, "--data", mine, *options)
    assert "| mine, held out (4) |" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "comparison.json").read_text())["verdict"]

    model = tmp_path / "run" / "model"
    graspcut("segment", tmp_path / "recording", "--model", model, "--out", tmp_path / "labels", "--threads", 1)
    files = sorted((tmp_path / "labels").glob("*.png"))
    assert len(files) == 16
    assert read_single_channel(files[0], what="label map").shape == truth[0].shape
