"""Matting for the verbs that work on any task."""

from __future__ import annotations

from graspcut.matting.predictor import Matter
from graspcut.runtime.method import Method

METHOD = Method(predictor=Matter)
