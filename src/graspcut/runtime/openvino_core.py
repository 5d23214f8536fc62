"""OpenVINO, imported without its telemetry, and its core, one for the whole process.

Importing OpenVINO looks up a host and writes into the home directory where its telemetry package is installed, which
comes along with it. Nobody asked for that: the package is hidden for the time of the import.
"""

from __future__ import annotations

import functools
import sys

__all__ = ["openvino", "shared_core"]

_TELEMETRY = "openvino_telemetry"

_hidden = _TELEMETRY not in sys.modules
if _hidden:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what makes `import` fail; OpenVINO then has a stub
try:
    import openvino
finally:
    if _hidden:
        del sys.modules[_TELEMETRY]


@functools.cache
def shared_core() -> openvino.Core:
    """OpenVINO's only core in this process; it is never closed.

    Each core gives the thread that makes it a signal stack and, when it is closed, the one it found before. Two cores
    closed in the order they were made leave a stack that is no more, and the next signal (Ctrl-C, the end of a child
    process) ends the program with a segmentation fault.
    """
    return openvino.Core()
