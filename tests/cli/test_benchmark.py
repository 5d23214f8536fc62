"""`graspcut benchmark speed` with a tiny model: the tables, the file, and machines without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graspcut.cli import main
from graspcut.cli.benchmark import print_report
from graspcut.runtime import candidates, measuring
from graspcut.runtime.candidates import SpeedConfig
from graspcut.runtime.measuring import Row, SpeedReport
from graspcut.runtime.peak_rates import PeakRates

PEAKS = PeakRates("OpenVINO", 2, {"fp32": 100e9, "int8": 400e9}, {"fp32": "kernel_f32", "int8": "kernel_i8"}, 20e9)


def run(*arguments: str | int | Path) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def cells(shown: str, *words: str) -> list[list[str]]:
    """Lines with these words, split into their columns."""
    found = [line for line in shown.splitlines() if all(word in line for word in words)]
    return [[cell for cell in line.split("  ") if cell] for line in found]


def test_tables_show_medians_ratios_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        Row("small", "openvino", "fp32", times_ms=(9.0, 10.0, 30.0), macs=500_000_000, elements=1_000_000),
        Row("small", "openvino", "int8", times_ms=(4.0, 5.0, 6.0), macs=500_000_000, elements=1_000_000),
        Row("small", "openvino", "bf16", missing="no bfloat16 here"),
        Row("large", "pytorch", "fp32", is_reference=True, times_ms=(60.0,), macs=4_000_000_000, elements=9_000_000),
    )
    machine = (("processor", "an abacus"),)
    report = SpeedReport(SpeedConfig(), "2026-01-02", machine, (), (("numpy", "1.2"),), PEAKS, rows)
    print_report(report, "graspcut benchmark speed --repeats 3")
    shown = capsys.readouterr().out
    for fact in ("an abacus", "numpy  1.2", "2026-01-02", "--repeats 3", "100.0 GMAC/s", "kernel_i8", "20.0 GB/s"):
        assert fact in shown
    times, limits = cells(shown, "small", "OpenVINO", "int8")
    assert [cell.strip() for cell in times[3:]] == ["5.0", "4.0", "6.0", "3", "12.00", "2.00"]
    # 0.5e9 / 400e9 s = 1.25 ms and 1 MB / 20 GB/s = 0.05 ms.
    assert [cell.strip() for cell in limits[3:]] == ["0.50", "1.25", "1.0", "0.05", "5.0", "4.0"]
    assert cells(shown, "small OpenVINO bf16", "no bfloat16 here")
    assert cells(shown, "PyTorch, plain", "60.0", "1.00")


def test_benchmark_measures_and_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "measure_peak_rates", lambda threads, convolution: PEAKS)
    monkeypatch.setattr(candidates, "ROWS", (("onnxruntime", "fp32"), ("onnxruntime", "int8")))
    saved = tmp_path / "new" / "speed.json"
    options = ("--size", "64x48", "--threads", 1, "--repeats", 2)
    assert run("benchmark", "speed", *options, "--folder-frames", 3, "--soak", 10, "--save", saved) == 0
    shown = capsys.readouterr().out
    assert "PNG frames of 64x48" in shown and "after 10" in shown and str(saved) in shown
    assert len(cells(shown, "dense-attention-small", "ONNX Runtime", "int8")) == 2
    found = json.loads(saved.read_text())
    assert found["command"].startswith("graspcut") and found["folder"]["frames"] == 3
    assert (found["config"]["width"], found["config"]["height"], found["config"]["threads"]) == (64, 48, 1)
    assert [row["precision"] for row in found["rows"]] == ["fp32", "int8"]
    assert all(row["missing"] == "" and len(row["times_ms"]) in (1, 2) for row in found["rows"])
    assert [growth["frames"] for growth in found["soak"]] == [10, 10]
    assert found["peak_rates"]["bytes_per_s"] == 20e9
    assert [path.name for path in saved.parent.iterdir()] == ["speed.json"]


def test_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("benchmark", "speed", "--soak", 5) == 1
    assert "--soak is 5" in capsys.readouterr().err
    assert run("benchmark", "speed", "--repeats", 0) == 1
    assert "repeats is 0" in capsys.readouterr().err
    assert run("benchmark", "speed", "--model", "no-such-model") == 1
    assert "no-such-model" in capsys.readouterr().err


def test_benchmark_and_doctor_without_torch() -> None:
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['lightning'] = None\n"
        "from graspcut.cli import main\n"
        "from graspcut.runtime.peak_rates import PeakRates\n"
        "from graspcut.runtime import measuring, soaking\n"
        "measuring.measure_peak_rates = lambda threads, convolution: PeakRates('', 1, {}, {}, 1e9)\n"
        "soaking.SIZES = ((64, 48),)\n"
        "for words in (['benchmark', 'speed', '--size', '64x48', '--repeats', '1'], ['doctor']):\n"
        "    try:\n"
        "        main(words)\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, end.code\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    benchmark, _, doctor = finished.stdout.rpartition("Machine\n")
    assert cells(benchmark, "dense-attention-small", "ONNX Runtime", "int8")
    assert cells(benchmark, "dense-attention-small PyTorch fp32", "PyTorch is not installed")
    assert len(cells(benchmark, "dense-attention-small", "OpenVINO", "int8")) == 2
    assert "ONNX Runtime on cpu, int8" in doctor and "Will be used" in doctor
