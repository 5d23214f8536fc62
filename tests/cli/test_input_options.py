"""What inputs do not say is said with the same options in every verb on depth frames, and reaches the frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graspcut.annotate.colour_rules import NO_COLOUR
from graspcut.annotate.frame_work import AnnotationJob
from graspcut.cli import main
from graspcut.cli.options import InputOptions
from graspcut.frames.camera import Camera, given_camera
from graspcut.frames.dataset import open_dataset
from graspcut.frames.errors import FrameError
from graspcut.frames.images import write_image_atomically
from graspcut.frames.intrinsics import FocalLength
from graspcut.frames.recording import Recording, RecordingWriter
from graspcut.frames.sources import open_source
from graspcut.runtime.frame_facts import facts_of
from graspcut.synth.place import PlaceConfig, open_place
from graspcut.train.description import described

SIZE = (64, 48)
OWN = Camera(52.0, 53.0, 31.0, 23.0, *SIZE)
VERBS = (
    "segment",
    "annotate",
    "propose",
    "pose",
    "matte",
    "info",
    "import",
    "synth",
    "adapt",
    "live",
    "compare",
    "evaluate segmentation",
)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """depth/ and label/ with two 16-bit files in millimetres, and OWN in several kinds of file beside them."""
    place = tmp_path_factory.mktemp("inputs")
    for name in ("depth", "label"):
        (place / name).mkdir()
    depth = np.full(SIZE[::-1], 900, np.uint16)
    depth[10:30, 10:40] = 500
    for number in range(2):
        write_image_atomically(place / "depth" / f"{number}.png", depth)
        write_image_atomically(place / "label" / f"{number}.png", (depth < 600).astype(np.uint8))
    (place / "camera.json").write_text(json.dumps(OWN.to_dict()))
    (place / "K.txt").write_text("52 0 31\n0 53 23\n0 0 1\n")
    matrix = "camera_matrix:\n  rows: 3\n  cols: 3\n  data: [52, 0, 31, 0, 53, 23, 0, 0, 1]\n"
    (place / "camera_info.yaml").write_text(f"image_width: 64\nimage_height: 48\n{matrix}")
    return place


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_them(verb: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*verb.split(), "--help") == 0
    text = capsys.readouterr().out
    for option in ("--depth-unit-mm", "--focal-px", "--camera", "--max-megapixels"):
        assert option in text
    places = {
        "synth": ["--count", "1", "--scene"],
        "live": ["--source"],
        "compare": ["dense-attention-small", "--data"],
    }
    inputs = [*places.get(verb, []), str(folder / "depth")]
    out = [] if verb in ("info", "live", "compare", "evaluate segmentation") else ["--out", str(folder / "out")]
    both = [*verb.split(), *inputs, *out, "--camera", "d435", "--focal-px", "50"]
    assert run(*both) == 2 and "both say the focal length" in capsys.readouterr().err
    none = [*verb.split(), *inputs, *out, "--camera", str(folder / "absent.json")]
    assert run(*none) == 1 and "there is no such file, and no camera of this name" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["camera.json", "K.txt", "camera_info.yaml"])
def test_a_camera_file_reaches_the_frames_of_every_kind_of_input(folder: Path, name: str, tmp_path: Path) -> None:
    known = InputOptions(1.0, camera=str(folder / name)).use()
    camera = known["camera"]
    assert camera is not None
    depth = folder / "depth"
    assert open_source(depth, depth_unit_mm=1.0, camera=camera)[0].camera == OWN
    assert open_dataset(folder, **known)[1].frame.camera == OWN
    job = AnnotationJob((str(depth),), str(tmp_path), NO_COLOUR, 1.0, input_unit_mm=1.0, camera=camera)
    assert job.find_frames()[0].load().camera == OWN
    assert open_place(PlaceConfig(str(depth), **known))[0].camera == OWN
    with RecordingWriter(tmp_path / "recording", None, 1.0) as writer:
        writer.append(np.full(SIZE[::-1], 900, np.uint16))
    recording = open_source(tmp_path / "recording", camera=camera)
    assert recording[0].camera == OWN


def test_a_focal_length_serves_every_size_and_a_damaged_first_frame_ends_nothing(folder: Path, tmp_path: Path) -> None:
    given = given_camera(None, 50.0)
    assert open_source(folder / "depth", depth_unit_mm=1.0, camera=given)[0].camera == Camera.from_focal_length(
        *SIZE, 50
    )
    with RecordingWriter(tmp_path / "recording", None, 1.0) as writer:
        for height in (48, 24):
            writer.append(np.full((height, 64), 900, np.uint16))
    (tmp_path / "recording" / "depth" / "000000.png").write_bytes(b"damaged")
    recording = open_source(tmp_path / "recording", camera=given)
    with pytest.raises(FrameError):
        recording[0]
    assert recording[1].camera == Camera.from_focal_length(64, 24, 50)
    with pytest.raises(FrameError, match="one of them"):
        given_camera(OWN, 50.0)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(FrameError, match="focal length"):
            given_camera(None, wrong)
    with pytest.raises(FrameError, match="width and height"):
        Camera.of(FocalLength(50.0))


def test_a_camera_that_is_not_used_is_said(folder: Path) -> None:
    frame = open_source(folder / "depth", depth_unit_mm=1.0, camera=OWN)[0]
    assert facts_of(frame, OWN)[1] == () and facts_of(frame, None)[1] == ()
    for other in (FocalLength(70.0), "azure_kinect"):
        (note,) = facts_of(frame, other)[1]
        assert "not used" in note.text
    assert facts_of(frame)[0]["focal_px"] == 52.5 and not facts_of(frame)[0]["focal_is_assumed"]


def test_a_training_knows_the_camera_that_was_given(folder: Path) -> None:
    plain, given = (described(open_dataset(folder, depth_unit_mm=1.0, focal_px=focal)) for focal in (None, 50.0))
    assert "given_camera" not in plain and given["given_camera"]["pixels"] == 50.0


def test_info_and_import_take_a_camera(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--depth-unit-mm", "1", "--camera", str(folder / "K.txt")]
    assert run("info", str(folder / "depth"), *options) == 0
    assert "fx 52.0, fy 53.0, cx 31.0, cy 23.0" in capsys.readouterr().out
    assert run("import", str(folder / "depth"), *options, "--out", str(tmp_path / "recording")) == 0
    assert Recording(tmp_path / "recording").camera == OWN


def test_the_limit_on_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRASPCUT_MAX_MEGAPIXELS", "32")
    assert run("info", str(folder / "depth" / "0.png"), "--depth-unit-mm", "1", "--max-megapixels", "0.001") == 1
    assert "--max-megapixels" in capsys.readouterr().err
