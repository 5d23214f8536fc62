"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real frames: the environment variable GRASPCUT_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("GRASPCUT_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real frames at {folder}; set GRASPCUT_DATA to the folder that holds them")
    return folder
