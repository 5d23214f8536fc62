"""What this process may use of the machine; quick, imports nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path, PurePosixPath

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Processor cores that this process may use: those it is bound to, and no more than its container's quota.

    More threads than the quota's whole cores would be stopped together, in the middle of waiting for each other.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_quota()
    return bound if quota is None else max(1, min(bound, int(quota)))


def processor_quota() -> float | None:
    """Processor seconds a second that the control groups of this process allow (Linux, versions 1 and 2), or None."""
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return None
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, own = rest.partition(":")
        if not controllers:
            found += [_quota_v2(group) for group in _with_parents(_CONTROL_GROUPS, own)]
        elif "cpu" in controllers.split(","):
            for root in (_CONTROL_GROUPS / controllers, _CONTROL_GROUPS / "cpu"):
                found += [_quota_v1(group) for group in _with_parents(root, own)]
    limits = [quota for quota in found if quota is not None]
    return min(limits, default=None)


def nvidia_driver_present() -> bool:
    """Whether this machine may have a usable NVIDIA GPU; quick, imports nothing."""
    return platform.system() == "Windows" or Path("/proc/driver/nvidia/version").exists()


def _with_parents(root: Path, own: str) -> list[Path]:
    """A group and those it is in. Inside a container the group's name may be one of the outside: then only the root."""
    path = PurePosixPath(own.lstrip("/"))
    return [root / part for part in (path, *path.parents)]


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or "max"
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota, period = (float((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
