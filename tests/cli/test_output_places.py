"""A place that cannot be written to is said in words, before the work: a file where a folder is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graspcut.annotate.colour_rules import NO_COLOUR
from graspcut.annotate.folder import claim_folder
from graspcut.annotate.frame_work import AnnotationJob
from graspcut.cli import main
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.images import write_image_atomically
from graspcut.frames.label_exchange import export_labels
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.recording import RecordingWriter
from graspcut.frames.shards import pack_datasets
from graspcut.matting.batch import matte_images
from graspcut.matting.procedural.dataset import generate_mattes
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.runtime.model_folder import ModelFolderError, check_target
from graspcut.synth.dataset import generate_dataset
from graspcut.synth.settings import SynthConfig


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "dataset"
    writer = DatasetWriter(folder, depth_unit_mm=1.0, description={})
    depth = np.full((12, 16), 500, np.float32)
    writer.write(0, LabelledFrame(Frame(depth), np.ones((12, 16), np.uint8)))
    writer.finish(1)
    write_image_atomically(folder / "a.png", np.zeros((12, 16, 3), np.uint8))
    return folder


def never(*_arguments: object) -> object:
    raise AssertionError("worked before the place was looked at")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "recording": lambda out, _: RecordingWriter(out, None, 1.0),
    "labels": lambda out, dataset: export_labels(DatasetReader(dataset), out),
    "label file": lambda out, dataset: export_labels(DatasetReader(dataset), out / "labels.json"),
    "shards": lambda out, dataset: pack_datasets([dataset], out, part="all"),
    "synth": lambda out, _: generate_dataset(SynthConfig(width=32, height=24), seed=0, count=1, out=out),
    "synth matting": lambda out, _: generate_mattes(ProceduralMattes(), count=1, out=out),
    "annotate": lambda out, dataset: claim_folder(out, AnnotationJob((str(dataset),), str(out), NO_COLOUR, 1.0)),
    "matte": lambda out, dataset: matte_images(dataset / "a.png", dataset / "a.png", out, never, settings={}),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("below", ["", "inside"])
def test_a_file_in_the_way(name: str, below: str, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(NotADirectoryError, match="taken is a file; expected a folder to write to"):
        WRITERS[name](tmp_path / "taken" / below, dataset)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    "command",
    [
        "evaluate segmentation {0}",
        "evaluate pose --predictions {0} --groundtruth {0}",
        "evaluate instances --groundtruth {0} --results {0}",
        "evaluate matting --predictions {0} --alpha {0} --trimap {0}",
        "benchmark speed",
    ],
)
def test_where_numbers_go_is_looked_at_before_the_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # There is nothing to evaluate, which the commands would say first if they began with it.
    (tmp_path / "taken").write_text("mine")
    for place, words in ((tmp_path, "is a folder"), (tmp_path / "taken" / "x.json", "is a file")):
        with pytest.raises(SystemExit) as end:
            main([*command.format(tmp_path / "absent").split(), "--save", str(place)])
        assert end.value.code == 1 and words in capsys.readouterr().err


def test_a_file_where_a_model_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ModelFolderError, match="is a file"):
        check_target(tmp_path / "taken")
    check_target(tmp_path / "new")
