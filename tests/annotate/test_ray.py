"""The same bytes from Ray's workers, also when one is killed in mid-work; on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ray: Any = pytest.importorskip("ray", reason="the extra scale is not installed")
pytest.importorskip("ray.data", reason="the extra scale is not installed")

# ruff: noqa: E402  (what follows a skip)
from collections.abc import Iterator

from graspcut.annotate.folder import annotate_folder
from graspcut.annotate.frame_work import AnnotationJob
from graspcut.annotate.in_ray import annotate_batch, annotate_in_ray
from graspcut.runtime.opening import OpenOptions
from graspcut.segmentation.batch import segment_folder
from graspcut.segmentation.in_ray import RaySegmenter
from graspcut.segmentation.predictor import Segmenter
from tests.annotate.recordings import write_recording
from tests.annotate.test_from_model import RULES
from tests.mini_network import save_mini_folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def contents(folder: Path) -> dict[str, bytes]:
    left_out = {"annotate.json", "summary.json"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in left_out
    }


def test_annotation_has_the_same_bytes_and_survives_a_killed_worker(tmp_path: Path, cluster: None) -> None:
    # Defined here, so that Ray sends it along: its workers do not know this file.
    def dies_once(batch: dict[str, Any], job: AnnotationJob) -> dict[str, Any]:
        result = annotate_batch(batch, job)
        marker = Path(f"{job.out}-died")
        if not marker.exists():
            # Killed after its frames are written and before it says so.
            marker.touch()
            os._exit(9)
        return result

    write_recording(tmp_path / "recording", 20)
    inputs = (str(tmp_path / "recording"),)
    annotate_folder(AnnotationJob(inputs, str(tmp_path / "plain"), RULES, 1.0), workers=1)
    job = AnnotationJob(inputs, str(tmp_path / "ray"), RULES, 1.0)
    report = annotate_folder(job, execute=lambda own, missing: annotate_in_ray(own, missing, 1, dies_once))
    assert (tmp_path / "ray-died").exists()
    assert (report.written, report.failures) == (20, ())
    assert contents(tmp_path / "plain") == contents(tmp_path / "ray")


def test_segmentation_has_the_same_bytes(tmp_path: Path, cluster: None) -> None:
    write_recording(tmp_path / "recording", 4)
    model = str(save_mini_folder(tmp_path / "model"))
    options = OpenOptions(model, "cpu", "pytorch", "fp32", 1, parallel_calls=1)
    segmenter = Segmenter.open(options)
    segment_folder([tmp_path / "recording"], tmp_path / "plain", segmenter, model_name="mini")
    in_ray = RaySegmenter(segmenter, options, 1)
    report = segment_folder([tmp_path / "recording"], tmp_path / "ray", in_ray, model_name="mini")
    assert not report.failures
    assert contents(tmp_path / "plain") == contents(tmp_path / "ray")
