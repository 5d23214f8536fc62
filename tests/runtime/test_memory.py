"""Engines keep nothing of the frames they have seen."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graspcut.runtime.export import describe_graph, onnx_of_model
from graspcut.segmentation.method import METHOD
from graspcut.segmentation.predictor import Segmenter, inputs_of
from tests.mini_network import mini_network, scene_mm

CALLS = 60
HEIGHT, WIDTH = 480, 640
LEAK_OF_ONE_FRAME_A_CALL_MB = CALLS * HEIGHT * WIDTH * 4 / 1e6  # 74
MOST_MB = 16.0

_STATUS = Path("/proc/self/statm")

pytestmark = pytest.mark.skipif(not _STATUS.exists(), reason="resident memory is read from Linux's /proc")


def resident_mb() -> float:
    """Memory of this process that is in use."""
    gc.collect()
    return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth_mb(call: Callable[[int], object]) -> float:
    """How much memory the second 60 of 120 calls take; the first may fill what engines set aside."""
    for number in range(CALLS):
        call(number)
    before = resident_mb()
    for number in range(CALLS):
        call(number)
    return resident_mb() - before


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "model.onnx"
    path.write_bytes(onnx_of_model(METHOD, mini_network(), describe_graph(METHOD, "mini", "fp32")))
    return path


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "pytorch"])
def test_memory_does_not_grow(backend: str, graph: Path) -> None:
    if backend == "pytorch":
        segmenter = Segmenter.from_network(mini_network(), device="cpu")
    else:
        segmenter = Segmenter.load(graph, threads=1, backend=backend)
    scene = scene_mm(HEIGHT, WIDTH)
    # Every call gets an array of its own, so that keeping the input is seen as well.
    grown = growth_mb(lambda number: segmenter.run(inputs_of(np.roll(scene, number, axis=1)[np.newaxis], 480.0)))
    assert grown < MOST_MB


def test_a_leak_would_be_seen() -> None:
    kept = []
    scene = scene_mm(HEIGHT, WIDTH)
    grown = growth_mb(lambda number: kept.append(np.roll(scene, number, axis=1)))
    assert len(kept) == 2 * CALLS and grown > 0.9 * LEAK_OF_ONE_FRAME_A_CALL_MB > 4 * MOST_MB
