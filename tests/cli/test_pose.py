"""`graspcut pose` without weights says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from graspcut.pose.predictor import models_are_shipped
from tests.cli.test_verbs import run


@pytest.mark.skipif(models_are_shipped(), reason="the weights of hand pose are shipped")
def test_says_that_no_weights_are_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pose", str(tmp_path / "frame.png"), "--out", str(tmp_path / "out")]) != 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "brings no weights of hand pose" in shown and "graspcut train pose-joints" in shown
    assert not (tmp_path / "out").exists()
