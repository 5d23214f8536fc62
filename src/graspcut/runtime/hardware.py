"""What this machine has: processor, memory, accelerators, libraries, and the models that come with the package."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from graspcut.cores import usable_cores
from graspcut.runtime.engines import install_hint, is_installed
from graspcut.runtime.model_folder import shipped_model_names

_PACKAGES = ("graspcut", "numpy", "opencv-python-headless", "numba", "torch", "lightning", "onnxruntime", "openvino")
_FAST_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")


@dataclass(frozen=True)
class MachineReport:
    """Sections of (what, value) to print, in order.

    Attributes:
        machine: Processor, memory, accelerators.
        backends: What each inference back end finds; the one in use first.
        versions: Installed packages.
        models: Names of the shipped models.
    """

    machine: tuple[tuple[str, str], ...]
    backends: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    models: tuple[str, ...]


def describe_machine() -> MachineReport:
    """Looks at the machine and asks every installed back end what it would run on. Starts no computation."""
    machine = [
        ("system", f"{platform.platform(terse=True)} {platform.machine()}, Python {platform.python_version()}"),
        ("processor", _processor_name()),
        ("cores", f"{usable_cores()} of {os.cpu_count()} usable by this process"),
        ("vector units", ", ".join(processor_features()) or "unknown"),
        ("memory", _memory()),
    ]
    versions = tuple((package, _version(package)) for package in _PACKAGES)
    backends = (_torch(), _onnxruntime(), _openvino())
    return MachineReport(tuple(machine), backends, versions, tuple(shipped_model_names()))


def _processor_info(key: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _processor_name() -> str:
    return _processor_info("model name") or platform.processor() or "unknown"


def processor_features() -> list[str]:
    """Vector units of the processor that speed up networks, by the kernel's names; empty where none is known."""
    features = set((_processor_info("flags") or _processor_info("Features")).split())
    return [name for name in _FAST_FEATURES if name in features]


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _torch() -> tuple[str, str]:
    try:
        import torch
    except ImportError:
        return ("PyTorch", f"not installed; for training, exporting and GPUs: {install_hint('pytorch')}")
    threads = f"{torch.get_num_threads()} thread(s)"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return ("PyTorch", f"CUDA {torch.version.cuda} on {names}; CPU with {threads}")
    reason = "this build of torch has no CUDA" if torch.version.cuda is None else "no usable NVIDIA GPU or driver"
    return ("PyTorch", f"CPU with {threads}; no GPU: {reason}")


def _onnxruntime() -> tuple[str, str]:
    try:
        from graspcut.runtime.onnx_engine import onnxruntime
    except ImportError:
        return ("ONNX Runtime", "not installed")
    return ("ONNX Runtime", ", ".join(onnxruntime.get_available_providers()))


def _openvino() -> tuple[str, str]:
    if not is_installed("openvino"):
        return ("OpenVINO", f"not installed; optional: {install_hint('openvino')}")
    from graspcut.runtime.openvino_core import shared_core

    return ("OpenVINO", ", ".join(shared_core().available_devices) or "no devices")
