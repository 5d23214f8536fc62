"""Peak rates: the arithmetic on injected times, and that what is called int8 ran in int8."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graspcut.runtime import peak_rates
from graspcut.runtime.engines import is_installed
from graspcut.runtime.peak_rates import PeakConvolution, PeakRates, copy_rate, measure_peak_rates

SMALL = PeakConvolution(channels=32, height=12, width=16, calls=2)

needs_openvino = pytest.mark.skipif(not is_installed("openvino"), reason="OpenVINO is not installed")


def only(*installed: str) -> Callable[[str], bool]:
    """Stands for `is_installed`."""
    return lambda backend: backend in installed


def quarter_of_a_second(function: Callable[[], object], calls: int) -> float:
    """Stands for `_fastest_s`."""
    function()
    return 0.25


def test_macs_by_hand() -> None:
    assert PeakConvolution().macs == 256 * 256 * 9 * 60 * 80
    assert SMALL.macs == 32 * 32 * 9 * 12 * 16


@needs_openvino
def test_rates_are_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_rates, "_fastest_s", quarter_of_a_second)
    found = measure_peak_rates(2, convolution=SMALL, copied_bytes=1000)
    assert (found.engine, found.threads) == ("OpenVINO", 2)
    assert {"fp32", "int8"} <= found.macs_per_s.keys() <= {"fp32", "bf16", "int8"}
    assert set(found.macs_per_s.values()) == {4 * SMALL.macs / 0.25}
    assert found.bytes_per_s == 2 * 1000 / 0.25
    assert found.kernels["int8"].lower().endswith("i8") and found.kernels["fp32"].lower().endswith("f32")


@needs_openvino
def test_convolutions_that_ran_in_another_precision_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = peak_rates.peak_model(SMALL, "fp32")
    monkeypatch.setattr(peak_rates, "peak_model", lambda convolution, precision: exact)
    assert "int8" not in measure_peak_rates(1, convolution=SMALL, copied_bytes=1000).macs_per_s


def test_without_openvino_torch_measures_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    monkeypatch.setattr(peak_rates, "is_installed", only("pytorch"))
    found = measure_peak_rates(before + 1, convolution=SMALL, copied_bytes=1000)
    assert found.engine == "PyTorch" and list(found.macs_per_s) == ["fp32"]
    assert torch.get_num_threads() == before


def test_without_any_engine_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_rates, "is_installed", only())
    found = measure_peak_rates(1, copied_bytes=1000)
    assert (found.engine, found.macs_per_s, found.kernels) == ("", {}, {})
    assert found.bytes_per_s > 0


def test_every_thread_copies_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_rates, "_fastest_s", quarter_of_a_second)
    assert copy_rate(3, 3000) == 2 * 3000 / 0.25
    assert copy_rate(1, 3000) == 2 * 3000 / 0.25


def test_the_higher_of_two_measurements() -> None:
    first = PeakRates("OpenVINO", 2, {"fp32": 5.0, "int8": 9.0}, {"fp32": "a", "int8": "b"}, 3.0)
    second = PeakRates("OpenVINO", 2, {"fp32": 6.0, "int8": 8.0}, {"fp32": "a", "int8": "b"}, 2.0)
    better = first.better_of(second)
    assert better.macs_per_s == {"fp32": 6.0, "int8": 9.0} and better.bytes_per_s == 3.0


def test_no_threads() -> None:
    with pytest.raises(ValueError, match="threads is 0"):
        measure_peak_rates(0)
