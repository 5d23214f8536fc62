"""What stays unloaded: heavy libraries are imported only by the verbs that use them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import graspcut

HEAVY = ("torch", "lightning", "cv2", "numba", "numpy", "onnxruntime", "openvino")


def loaded_after(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after a statement, whatever it prints and however it exits."""
    script = (
        "import json, sys\n"
        "try:\n"
        f"    {statement}\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(finished.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import graspcut",
        "from graspcut.cli import main; main(['--help'])",
        "from graspcut.cli import main; main([])",
        "from graspcut.cli import main; main(['--version'])",
        "from graspcut.cli import main; main(['synth', '--help'])",
        "from graspcut.cli import main; main(['segment', '--help'])",
        "from graspcut.cli import main; main(['train', 'segmentation', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    assert loaded_after(statement) == set()


def test_the_check_sees_heavy_imports() -> None:
    assert "numpy" in loaded_after("import graspcut; graspcut.Camera")


def test_frames_and_renderer_work_without_torch() -> None:
    statement = "import graspcut; graspcut.FrameGenerator, graspcut.Recording, graspcut.DatasetReader"
    assert loaded_after(statement).isdisjoint({"torch", "lightning"})


def test_public_names_exist_and_are_few() -> None:
    names = [name for name in graspcut.__all__ if not name.startswith("__")]
    assert len(names) <= 15
    for name in names:
        assert getattr(graspcut, name).__name__ == name
    assert set(names) <= set(dir(graspcut))


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Segmentor"):
        _ = graspcut.Segmentor
