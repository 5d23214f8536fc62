"""The speed benchmark: turns on an invented clock, ratios and limits by hand, missing engines, memory and folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graspcut.labels import LABEL_NAMES
from graspcut.runtime import candidates, measuring
from graspcut.runtime.candidates import SpeedConfig, TimedNetwork, model_rows
from graspcut.runtime.measuring import Row, compare, interleaved, measure_memory_growth, measure_speed
from graspcut.runtime.model_folder import ModelFolderError, save_model_folder
from graspcut.runtime.peak_rates import PeakConvolution, PeakRates
from graspcut.runtime.soaking import folder_speed, memory_growth, resident_mb
from graspcut.segmentation.method import METHOD
from graspcut.segmentation.models import build_model
from graspcut.segmentation.predictor import Segmenter

TINY = {
    "widths": [4, 4, 8, 8, 8],
    "blocks": [0, 1, 0, 0, 0],
    "squeeze_width": 4,
    "context_width": 8,
    "decoder_widths": [8, 8, 8, 4, 4],
}
TINY_PEER = {"class": "DenseAttentionSmall", "arguments": TINY}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SpeedConfig:
    """A tiny network; the model folder has no exported files."""
    torch.manual_seed(1)
    network = build_model(TINY_PEER)
    stored = {"task": "segmentation", "model": TINY_PEER, "labels": list(LABEL_NAMES)}
    folder = save_model_folder(tmp_path_factory.mktemp("models") / "tiny", stored, network.state_dict(), "# tiny")
    return SpeedConfig(
        width=64,
        height=48,
        threads=1,
        repeats=2,
        model=str(folder),
        peak=PeakConvolution(channels=16, height=8, width=8, calls=1),
    )


@dataclass
class Clock:
    """Seconds that pass only while a function runs."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds


def test_rows_take_turns_and_slow_ones_are_called_less() -> None:
    clock, called, progress = Clock(), list[str](), list[tuple[int, int]]()

    def work(name: str, seconds: float) -> None:
        called.append(name)
        clock.spend(seconds)

    calls: list[Callable[[], None]] = [partial(work, "quick", 0.01), partial(work, "slow", 0.2)]
    times = interleaved(
        calls, 7, clock=clock, rest=lambda _: None, progress=lambda done, total: progress.append((done, total))
    )
    np.testing.assert_allclose(times[0], [10.0] * 7)
    np.testing.assert_allclose(times[1], [200.0] * 3)
    assert called[:5] == ["quick"] * 2 + ["slow"] * 3
    assert called[5:] == ["quick"] * 4 + ["slow"] + ["quick"] * 4 + ["slow"] + ["quick"] * 2 + ["slow"]
    assert progress[0] == (3, 10) and progress[-1] == (10, 10)


def test_one_slow_moment_does_not_make_a_row_slow() -> None:
    clock = Clock()
    durations = iter([1.0, 1.0] + [0.01] * 20)
    times = interleaved([lambda: clock.spend(next(durations))], 6, clock=clock, rest=lambda _: None)
    assert len(times[0]) == 6


ROWS = (
    Row("small", "openvino", "fp32", times_ms=(9.0, 10.0, 30.0), macs=2_000_000_000, elements=25_000_000),
    Row("small", "openvino", "int8", times_ms=(4.0, 5.0, 6.0), macs=2_000_000_000, elements=25_000_000),
    Row("small", "onnxruntime", "int8", times_ms=(8.0,), macs=2_000_000_000, elements=25_000_000),
    Row("small", "openvino", "bf16", missing="no bfloat16"),
    Row("large", "pytorch", "fp32", is_reference=True, times_ms=(40.0, 60.0), macs=None, elements=None),
)
PEAKS = PeakRates("OpenVINO", 2, {"fp32": 400e9, "int8": 1600e9}, {"fp32": "a", "int8": "b"}, 10e9)


def test_ratios_are_of_medians() -> None:
    exact, int8, other, missing, reference = compare(ROWS, PEAKS)
    assert (exact.times_as_fast, int8.times_as_fast, other.times_as_fast) == (5.0, 10.0, 6.25)
    assert reference.times_as_fast == 1.0
    assert int8.gain_over_fp32 == 2.0
    assert exact.gain_over_fp32 is None
    assert other.gain_over_fp32 is None, "its own engine has no fp32 row"
    assert missing.times_as_fast is None and missing.gain_over_fp32 is None and missing.row.median_ms is None
    assert all(found.times_as_fast is None for found in compare(ROWS[:4], PEAKS)), "no reference"


def test_limits_by_hand() -> None:
    exact, int8, _, missing, reference = compare(ROWS, PEAKS)
    # 2e9 / 400e9 s = 5 ms; 25e6 numbers of 4 bytes over 10e9 bytes/s = 10 ms, the larger.
    assert exact.compute_ms == pytest.approx(5.0)
    assert exact.moved_bytes == 100_000_000
    assert exact.memory_ms == pytest.approx(10.0)
    assert exact.times_limit == pytest.approx(1.0)
    # 2e9 / 1600e9 s = 1.25 ms; 25e6 bytes = 2.5 ms.
    assert int8.compute_ms == pytest.approx(1.25)
    assert int8.memory_ms == pytest.approx(2.5)
    assert int8.times_limit == pytest.approx(2.0)
    assert reference.times_limit is None and missing.times_limit is None
    slow_cores = compare(ROWS, replace(PEAKS, macs_per_s={"fp32": 100e9}))
    assert slow_cores[0].times_limit == pytest.approx(10.0 / 20.0)
    assert slow_cores[1].times_limit is None, "no rate for int8"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine reaches at best is not measured."""
    monkeypatch.setattr(measuring, "measure_peak_rates", lambda threads, convolution: PEAKS)


@pytest.mark.usefixtures("quick")
def test_every_row_is_timed_or_says_why_not(config: SpeedConfig, tmp_path: Path) -> None:
    reference = TimedNetwork(METHOD, "reference", lambda: build_model(TINY_PEER), tmp_path, config)
    with model_rows(METHOD, config) as rows:
        report = measure_speed(METHOD, config, [*rows, reference.plain_candidate()])
    stored = report.as_json()
    assert json.loads(json.dumps(stored)) == stored
    keys = [(row["network"], row["backend"], row["precision"]) for row in stored["rows"]]
    assert len(set(keys)) == len(keys) == 7
    assert keys[-1] == ("reference", "pytorch", "fp32")
    for row in stored["rows"]:
        assert bool(row["missing"]) != bool(row["times_ms"])
        if row["missing"]:
            continue
        assert row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert row["macs"] > 0 and row["times_as_fast"] > 0
    torch_rows = [row for row in stored["rows"] if row["backend"] == "pytorch"]
    assert [row["missing"] for row in torch_rows] == ["", ""]
    assert stored["versions"]["torch"] == torch.__version__


@pytest.mark.usefixtures("quick")
def test_missing_engines_are_listed(config: SpeedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "is_installed", lambda backend: backend == "onnxruntime")
    with model_rows(METHOD, config) as rows:
        found = measure_speed(METHOD, config, rows).rows
    assert len(found) == 6
    assert all(row.missing and row.macs is None for row in found)
    assert {(row.backend, row.missing) for row in found} == {
        ("pytorch", "PyTorch is not installed"),
        ("openvino", "OpenVINO is not installed"),
        ("onnxruntime", "PyTorch, which builds and exports it, is not installed"),
    }


def test_a_plain_candidate_is_the_network_as_it_was_written(config: SpeedConfig, tmp_path: Path) -> None:
    network = build_model(TINY_PEER).eval()
    plain = TimedNetwork(METHOD, "plain", lambda: network, tmp_path, config).plain_candidate().open()
    inputs = Segmenter.example(64, 48)
    with torch.no_grad():
        labels, probabilities = Segmenter.graph(network)(*map(torch.from_numpy, Segmenter.ordered(inputs)))
    found = plain.run(inputs)
    np.testing.assert_array_equal(found["labels"], labels.numpy())
    np.testing.assert_array_equal(found["probabilities"], probabilities.numpy())


def test_unknown_model_and_no_threads(config: SpeedConfig) -> None:
    with (
        pytest.raises(ModelFolderError, match="no-such-model"),
        model_rows(METHOD, replace(config, model="no-such-model")),
    ):
        pass
    with pytest.raises(ValueError, match="threads is 0"):
        replace(config, threads=0)


def test_memory_growth_of_every_row(config: SpeedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "ROWS", (("pytorch", "fp32"), ("onnxruntime", "fp32")))
    progress: list[tuple[int, int]] = []
    with model_rows(METHOD, config) as rows:
        growths = measure_memory_growth(METHOD, config, rows, 10, lambda done, total: progress.append((done, total)))
    assert [growth.description for growth in growths] == ["PyTorch on cpu, fp32", "ONNX Runtime on cpu, fp32"]
    assert all(growth.frames == 10 for growth in growths)
    assert progress[0] == (1, 20) and progress[-1] == (20, 20)


@pytest.mark.skipif(resident_mb() is None, reason="the system does not say how much memory a process has")
def test_a_leak_is_seen() -> None:
    kept: list[NDArray[Any]] = []
    growth = memory_growth(lambda: kept.append(np.ones(2**20)), "leaks 8 MB a frame", frames=20)
    assert growth.growth_mb is not None
    assert growth.growth_mb == pytest.approx(18 * 8.4, rel=0.3)
    with pytest.raises(ValueError, match="frames is 9"):
        memory_growth(lambda: None, "", frames=9)


class _Nothing(Segmenter):
    """Calls everything background, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[NDArray[np.float32]] = []
        self.name = "nothing"

    parallel_calls = 1
    description = "nothing"
    digest = ""

    def __call__(self, depth_mm: Any, camera: Any = None) -> Any:
        self.given.append(depth_mm)
        return SimpleNamespace(labels=np.zeros(depth_mm.shape, dtype=np.uint8))


def test_folder_speed_runs_over_every_frame() -> None:
    predictor = _Nothing()
    found = folder_speed(METHOD, predictor, frames=5, width=48, height=32, different=2)
    assert found.frames == 5 and len(predictor.given) == 6  # one before the clock starts
    assert found.as_json()["frames_per_s"] == 5 / found.seconds
    assert len({depth.tobytes() for depth in predictor.given[1:]}) == 2
    assert all(depth.shape == (32, 48) for depth in predictor.given)
