"""What the cores and the memory of this machine reach at best: the limit that a network's time is held against.

A convolution with many channels and a small map is what engines are tuned for, so its multiply-accumulates per second
stand for what the cores can do. A few of them in a row are timed, because the first and the last also convert layouts
and numbers. Memory is read and written by copies that are far larger than any cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graspcut.runtime.engines import is_installed

if TYPE_CHECKING:
    import openvino

COPIED_BYTES = 256 * 2**20
_COPIES = 7
_CONVOLUTIONS_IN_A_ROW = 4
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
# How OpenVINO names a kernel that computes in the precision, in lower case: "brgconv_avx512_i8".
_KERNEL_MARKS = {"fp32": "f32", "bf16": "bf16", "int8": "i8"}


@dataclass(frozen=True)
class PeakRates:
    """Rates of one machine with a given number of threads.

    Attributes:
        engine: what ran the convolutions: "OpenVINO", "PyTorch", or "" where neither is installed.
        threads: processor threads.
        macs_per_s: multiply-accumulates per second by precision ("fp32", "bf16", "int8"); what the engine or the
            processor does not compute in is left out.
        kernels: by precision, the name of the kernel that ran.
        bytes_per_s: bytes read plus bytes written per second while arrays are copied.
    """

    engine: str
    threads: int
    macs_per_s: dict[str, float]
    kernels: dict[str, str]
    bytes_per_s: float

    def better_of(self, other: PeakRates) -> PeakRates:
        """The higher rate of two measurements, one by one: whatever else the machine does only makes them lower."""
        return replace(
            self,
            macs_per_s={name: max(rate, other.macs_per_s.get(name, 0.0)) for name, rate in self.macs_per_s.items()},
            bytes_per_s=max(self.bytes_per_s, other.bytes_per_s),
        )

    def as_json(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class PeakConvolution:
    """The convolution that is timed; its 3x3 kernel keeps the size.

    Attributes:
        channels: of input and output.
        height, width: of the map in pixels.
        calls: timed calls; the fastest counts.
    """

    channels: int = 256
    height: int = 60
    width: int = 80
    calls: int = 6

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one convolution."""
        return self.channels**2 * 9 * self.height * self.width


def measure_peak_rates(
    threads: int, *, convolution: PeakConvolution | None = None, copied_bytes: int = COPIED_BYTES
) -> PeakRates:
    """Measures the rates; takes some seconds.

    Args:
        threads: processor threads to use.
        convolution: what is timed.
        copied_bytes: size of the arrays that are copied, far above that of the caches.

    Raises:
        ValueError: `threads` is less than 1.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}, expected 1 or more")
    convolution = convolution or PeakConvolution()
    engine, macs_per_s, kernels = "", {}, {}
    if is_installed("openvino"):
        engine = "OpenVINO"
        for precision in _HINTS:
            found = _openvino_rate(convolution, precision, threads)
            if found is not None:
                macs_per_s[precision], kernels[precision] = found
    elif is_installed("pytorch"):
        engine = "PyTorch"
        macs_per_s["fp32"], kernels["fp32"] = _torch_rate(convolution, threads), "torch.nn.functional.conv2d"
    return PeakRates(engine, threads, macs_per_s, kernels, copy_rate(threads, copied_bytes))


def copy_rate(threads: int, copied_bytes: int = COPIED_BYTES) -> float:
    """Bytes read plus bytes written per second while threads copy arrays; the fastest of several copies.

    Args:
        threads: threads that copy, each its own part.
        copied_bytes: size of all parts together.
    """
    parts = [np.ones(max(1, copied_bytes // threads), dtype=np.uint8) for _ in range(threads)]
    copies = [part.copy() for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        fastest = _fastest_s(lambda: list(pool.map(np.copyto, copies, parts)), _COPIES)
    return 2 * sum(part.nbytes for part in parts) / fastest


def peak_model(convolution: PeakConvolution, precision: str) -> openvino.Model:
    """Convolutions in a row as an OpenVINO model; for int8 with the quantizers that make the engine compute so."""
    from graspcut.runtime.openvino_core import openvino

    operations = openvino.opset13

    def quantized(node: Any, low: float, high: float, levels: int) -> Any:
        bounds = [operations.constant(np.full((1, 1, 1, 1), bound, dtype=np.float32)) for bound in (low, high)]
        return operations.fake_quantize(node, *bounds, *bounds, levels)

    generator = np.random.default_rng(0)
    shape = (convolution.channels, convolution.channels, 3, 3)
    given = operations.parameter([1, convolution.channels, convolution.height, convolution.width], np.float32)
    node = quantized(given, 0.0, 2.55, 256) if precision == "int8" else given
    for _ in range(_CONVOLUTIONS_IN_A_ROW):
        weights = operations.constant(generator.uniform(-0.02, 0.02, shape).astype(np.float32))
        if precision == "int8":
            weights = quantized(weights, -0.02, 0.02, 255)
        node = operations.relu(operations.convolution(node, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
        if precision == "int8":
            node = quantized(node, 0.0, 2.55, 256)
    return openvino.Model([node], [given], "peak")


def _openvino_rate(convolution: PeakConvolution, precision: str, threads: int) -> tuple[float, str] | None:
    """Rate and kernel, or None where the convolutions ran in another precision."""
    from graspcut.runtime.openvino_core import shared_core

    compiled = shared_core().compile_model(
        peak_model(convolution, precision),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERF_COUNT": True,
        },
    )
    request = compiled.create_infer_request()
    given = _example(convolution)
    fastest = _fastest_s(lambda: request.infer([given], share_inputs=True, share_outputs=True), convolution.calls)
    kernels = {entry.exec_type for entry in request.get_profiling_info() if entry.node_type == "Convolution"}
    marked = [kernel for kernel in kernels if kernel.lower().split("_")[-1] == _KERNEL_MARKS[precision]]
    if len(kernels) != 1 or not marked:
        return None
    return _CONVOLUTIONS_IN_A_ROW * convolution.macs / fastest, marked[0]


def _torch_rate(convolution: PeakConvolution, threads: int) -> float:
    import torch
    from torch.nn import functional

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    shape = (convolution.channels, convolution.channels, 3, 3)
    weights = (0.02 * torch.randn(shape, generator=generator)).contiguous(memory_format=torch.channels_last)
    given = torch.from_numpy(_example(convolution)).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        found = given
        for _ in range(_CONVOLUTIONS_IN_A_ROW):
            found = functional.conv2d(found, weights, padding=1)

    try:
        with torch.no_grad():
            fastest = _fastest_s(run, convolution.calls)
    finally:
        torch.set_num_threads(before)
    return _CONVOLUTIONS_IN_A_ROW * convolution.macs / fastest


def _example(convolution: PeakConvolution) -> NDArray[np.float32]:
    shape = (1, convolution.channels, convolution.height, convolution.width)
    return np.random.default_rng(1).random(shape, dtype=np.float32)


def _fastest_s(function: Callable[[], object], calls: int) -> float:
    """Seconds of the fastest call, after one that does not count."""
    function()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)
