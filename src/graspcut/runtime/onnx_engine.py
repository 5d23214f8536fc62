"""ONNX Runtime, imported with its telemetry off.

Newer builds for Linux (1.31) collect usage data, keep an identifier in the home directory and warn where they cannot.
`ORT_DISABLE_TELEMETRY`, which is read while it is imported, stops that; who sets it to something else is obeyed.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]
