"""The machine report agrees with what Python itself says, and survives missing packages and files."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

import pytest

from graspcut import cores
from graspcut.runtime import hardware


def test_report_agrees_with_the_machine() -> None:
    report = hardware.describe_machine()
    machine, versions = dict(report.machine), dict(report.versions)
    assert platform.python_version() in machine["system"]
    assert machine["cores"].startswith(f"{cores.usable_cores()} of {os.cpu_count()} ")
    assert float(machine["memory"].split()[0]) > 0.5
    assert versions["numpy"] == metadata.version("numpy")
    assert [name for name, _ in report.backends] == ["PyTorch", "ONNX Runtime", "OpenVINO"]


def test_missing_backends_are_said_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)  # what makes `import` fail
    monkeypatch.delitem(sys.modules, "graspcut.runtime.onnx_engine", raising=False)  # it may hold what it once imported
    report = hardware.describe_machine()
    assert all("not installed" in value for _, value in report.backends)


def test_missing_package_and_processor_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_PACKAGES", ("no-such-package-anywhere",))
    monkeypatch.setattr(hardware, "_processor_info", lambda key: "")
    report = hardware.describe_machine()
    assert report.versions == (("no-such-package-anywhere", "not installed"),)
    assert dict(report.machine)["vector units"] == "unknown"
