"""Which inference engines are installed; nothing is imported to find out.

    PyTorch        a model folder's weights; the only one for NVIDIA GPUs
    ONNX Runtime   a .onnx file
    OpenVINO       a .onnx or .xml file; fastest on x86 processors

What is asked for by name is used or refused, never replaced.
"""

from __future__ import annotations

import importlib.util

from graspcut.runtime.contract import BACKEND_TITLES, BACKENDS, BackendError
from graspcut.version import __version__

_PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "pytorch": "torch"}
_EXTRAS = {"openvino": "openvino", "pytorch": "train"}


def extra_hint(extra: str) -> str:
    """What to type to install an extra. The package is on no index: it is installed from a checkout or a wheel.

    Args:
        extra: its name in `pyproject.toml`.
    """
    wheel = f"graspcut-{__version__}-py3-none-any.whl"
    return f"pip install '.[{extra}]' in a checkout of graspcut, or pip install './{wheel}[{extra}]' beside its wheel"


def install_hint(backend: str) -> str:
    """What to type to install a back end."""
    return extra_hint(_EXTRAS[backend]) if backend in _EXTRAS else f"pip install {_PACKAGES[backend]}"


def is_installed(backend: str) -> bool:
    """Whether the engine's package is there; nothing is imported.

    Raises:
        BackendError: unknown name.
    """
    package = _PACKAGES[known_backend(backend)]
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a blocked module
        return False


def known_backend(name: str) -> str:
    """`name`, if there is such an engine.

    Raises:
        BackendError: lists the known ones.
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown back end {name!r}: use auto, {', '.join(BACKENDS)}")
    return name


def require(backend: str) -> None:
    """Refuses an engine that is not installed.

    Raises:
        BackendError: says how to install it.
    """
    if not is_installed(backend):
        raise BackendError(
            f"the back end {backend} was asked for, and {BACKEND_TITLES[backend]} is not installed: "
            f"{install_hint(backend)}, or choose another with --backend"
        )


def installed_backends() -> list[str]:
    """Engines that are installed, fastest on an x86 processor first."""
    return [backend for backend in BACKENDS if is_installed(backend)]
