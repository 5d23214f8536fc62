"""What this process may use of the machine; quick, imports nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nvidia_driver_present() -> bool:
    """Whether this machine may have a usable NVIDIA GPU; quick, imports nothing."""
    return platform.system() == "Windows" or Path("/proc/driver/nvidia/version").exists()
