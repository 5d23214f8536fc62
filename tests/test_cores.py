"""How many cores a process may use: what it is bound to, and what its control groups allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graspcut import cores


def test_cores_are_those_this_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores without any quota."""
    monkeypatch.setattr(cores, "_CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "0::/\n", 16),
        ({"cpu.max": "max 100000"}, "0::/\n", 16),
        ({"cpu.max": "200000 100000"}, "0::/\n", 2),
        ({"cpu.max": "350000 100000"}, "0::/\n", 3),
        ({"cpu.max": "50000 100000"}, "0::/\n", 1),
        ({"cpu.max": "9900000 100000"}, "0::/\n", 16),
        ({"a/b/cpu.max": "800000 100000", "a/cpu.max": "400000 100000"}, "0::/a/b\n", 4),  # the tighter one
        ({"cpu.max": "300000 100000"}, "0::/docker/of/the/host\n", 3),
        ({"cpu.max": "nonsense"}, "0::/\n", 16),
        ({"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "50000"}, "4:cpu,cpuacct:/a\n", 5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/a\n9:memory:/a\n", 16),
    ],
)
def test_quotas_of_containers_count(files: dict[str, str], own: str, expected: int, groups: Path) -> None:
    for name, text in files.items():
        write(groups / "cgroup" / name, text)
    write(groups / "own", own)
    assert cores.usable_cores() == expected


def test_systems_without_control_groups(groups: Path) -> None:
    assert cores.processor_quota() is None and cores.usable_cores() == 16
