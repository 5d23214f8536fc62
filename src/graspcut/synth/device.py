"""The renderer's and the sensor's scalar functions on CUDA.

There is one source for both processors: functions of one pixel, compiled by numba for the CPU. `retarget` takes the
same Python functions and compiles them, with all functions they call, as CUDA device functions; `simulate_cuda` runs
the sensor with one kernel launch a stage. Random numbers are integer hashes of the pixel, the same everywhere, and
arithmetic is float64. In numba's simulator the result equals the CPU's to the bit; a GPU fuses multiplications and
additions, so that there a value on the border between two quanta can fall to the other one.

Needs an NVIDIA GPU and the package numba-cuda (the `numba.cuda` inside numba 0.68 cannot compile `min` and `max`), or
`NUMBA_ENABLE_CUDASIM=1` in the environment before numba is imported: numba's simulator, slow, for tests.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from graspcut.synth import sensor_output, sensor_stages
from graspcut.synth.sensor import FloatImage, IndexImage, SensorConfig, check_arguments, prepare_tables

# A global, because the simulator looks for `cuda` among a kernel's globals.
cuda: Any
try:
    cuda = importlib.import_module("numba.cuda")
except ImportError:  # a numba that leaves CUDA to the package numba-cuda
    cuda = None

BLOCK = (16, 8)  # threads of a block along u and v
ROW_BLOCK = 32  # threads of a block when each works on a row


class CudaUnavailable(RuntimeError):
    """CUDA was asked for on a machine that has none."""


def is_available() -> bool:
    """Return whether kernels can run: a GPU with its driver, or numba's simulator."""
    return cuda is not None and bool(cuda.is_available())


def _referenced_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _referenced_names(constant)
    return names


def retarget(functions: Iterable[Callable[..., Any]]) -> types.SimpleNamespace:
    """Compile functions that numba compiled for the CPU as CUDA device functions.

    Each function's Python original is copied with new globals, in which every compiled function that it calls, directly
    or through others, is replaced by its device version; so nothing is written twice. Functions must be called by their
    bare name (`hit_solid(...)`, not `solids.hit_solid(...)`), must not recurse, and may use what CUDA has: scalars,
    `math`, indexing of arrays, tuples; no new arrays.

    Args:
        functions: results of `numba.njit`, for example `[render.trace_pixel, sensor_stages.flying_pixel]`.

    Returns:
        A namespace with one device function for each of `functions`, under its own name, to be called in a kernel.

    Raises:
        CudaUnavailable: if this numba cannot compile for CUDA.
        TypeError: if one of `functions` is not compiled by numba.
        ValueError: if a function calls itself, directly or through others.
    """
    if cuda is None:
        raise CudaUnavailable("numba has no CUDA support here; install the package numba-cuda")
    finished: dict[Any, Any] = {}
    open_functions: list[Any] = []

    def convert(function: Any) -> Any:
        if function in finished:
            return finished[function]
        if function in open_functions:
            raise ValueError(f"{function.__name__} calls itself; a device function may not recurse")
        open_functions.append(function)
        original = function.py_func
        new_globals = dict(original.__globals__)
        for name in _referenced_names(original.__code__):
            if hasattr(new_globals.get(name), "py_func"):
                new_globals[name] = convert(new_globals[name])
        copy = types.FunctionType(
            original.__code__, new_globals, original.__name__, original.__defaults__, original.__closure__
        )
        copy.__module__ = original.__module__
        open_functions.pop()
        finished[function] = cuda.jit(device=True)(copy)
        return finished[function]

    result = types.SimpleNamespace()
    for function in functions:
        if not hasattr(function, "py_func"):
            raise TypeError(f"{function!r} is not compiled by numba; expected the result of numba.njit")
        setattr(result, function.py_func.__name__, convert(function))
    return result


def pixel_kernel(stage: Callable[..., Any]) -> Any:
    """Return a kernel `(height, width, arguments)` that calls `stage(v, u, *arguments)` at each pixel.

    Args:
        stage: device function of `retarget`.
    """

    def kernel(height, width, arguments):  # type: ignore[no-untyped-def]
        u, v = cuda.grid(2)
        if v < height and u < width:
            stage(v, u, *arguments)

    return cuda.jit(kernel)


def row_kernel(stage: Callable[..., Any]) -> Any:
    """Return a kernel `(height, arguments)` that calls a device function `stage(v, *arguments)` for each row."""

    def kernel(height, arguments):  # type: ignore[no-untyped-def]
        v = cuda.grid(1)
        if v < height:
            stage(v, *arguments)

    return cuda.jit(kernel)


def launch_pixels(kernel: Any, height: int, width: int, arguments: tuple[Any, ...]) -> None:
    """Launch a kernel of `pixel_kernel` over (height, width) pixels; `arguments` are device arrays and numbers."""
    grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]))
    kernel[grid, BLOCK](height, width, arguments)


def launch_rows(kernel: Any, height: int, arguments: tuple[Any, ...]) -> None:
    """Launch a kernel of `row_kernel` over `height` rows."""
    kernel[-(-height // ROW_BLOCK), ROW_BLOCK](height, arguments)


@functools.cache
def sensor_kernels_cuda() -> types.SimpleNamespace:
    """Return one kernel for each stage of the sensor, compiled once a process."""
    stages = retarget(
        [
            sensor_stages.shadow_row,
            sensor_stages.tilt_pixel,
            sensor_stages.edge_bits_pixel,
            sensor_stages.flying_pixel,
            sensor_stages.pattern_pixel,
            sensor_stages.edge_pixel,
            sensor_output.smooth_pixel,
            sensor_output.white_pixel,
            sensor_output.noise_pixel,
            sensor_output.output_pixel,
        ]
    )
    return types.SimpleNamespace(
        **{
            name: row_kernel(stage) if name == "shadow_row" else pixel_kernel(stage)
            for name, stage in vars(stages).items()
        }
    )


def simulate_cuda(
    depth_mm: FloatImage, stripes: FloatImage, focal_px: float, config: SensorConfig, seed: int
) -> tuple[FloatImage, IndexImage]:
    """Do on CUDA what `sensor.simulate` does on the CPU: same arguments, same result.

    Raises:
        CudaUnavailable: if there is neither a GPU nor the simulator.
        ValueError: as `sensor.simulate`.
    """
    height, width = check_arguments(depth_mm, stripes, focal_px)
    if not is_available():
        raise CudaUnavailable("no CUDA device found; use graspcut.synth.sensor.simulate, which runs on the CPU")
    kernels = sensor_kernels_cuda()
    tables = prepare_tables(height, width, focal_px, config, seed)

    def empty(dtype: type[np.generic], rows: int = height, columns: int = width) -> Any:
        return cuda.device_array((rows, columns), dtype)

    clean = cuda.to_device(np.ascontiguousarray(depth_mm))
    first, second, inverse_cosine = empty(np.float32), empty(np.float32), empty(np.float32)
    edges = empty(np.uint8)
    first_source, second_source = empty(np.int32), empty(np.int32)
    covered = empty(np.float32, columns=tables.covered_bins)
    launch_rows(kernels.shadow_row, height, (clean, first, covered, *tables.shadow))
    launch_pixels(kernels.tilt_pixel, height, width, (clean, inverse_cosine, *tables.tilt))
    launch_pixels(kernels.edge_bits_pixel, height, width, (clean, first, edges, *tables.edge_bits))
    launch_pixels(kernels.flying_pixel, height, width, (first, edges, second, first_source, *tables.flying))
    if config.has_pattern:
        flat_stripes = cuda.to_device(np.ascontiguousarray(stripes).reshape(-1))
        fields = cuda.to_device(tables.fields)
        launch_pixels(
            kernels.pattern_pixel, height, width, (second, first_source, flat_stripes, fields, *tables.pattern)
        )
    launch_pixels(
        kernels.edge_pixel,
        height,
        width,
        (second, first_source, edges, inverse_cosine, first, second_source, *tables.edge),
    )
    measured, other = first, second
    for is_last in (False, True):
        if tables.smooth_step > 0.0 and config.smooth_after_noise == is_last:
            launch_pixels(kernels.smooth_pixel, height, width, (measured, other, tables.smooth_step))
            measured, other = other, measured
        if config.has_noise and not is_last:
            white = empty(np.float32, height + 2, width + 2)
            launch_pixels(kernels.white_pixel, height + 2, width + 2, (white, tables.noise_key))
            launch_pixels(kernels.noise_pixel, height, width, (measured, inverse_cosine, white, *tables.noise))
    out, source = empty(np.float32), empty(np.int32)
    holes, dark = cuda.to_device(tables.holes), cuda.to_device(tables.dark)
    numbers = cuda.to_device(tables.blob_numbers)
    has_blobs = (config.hole_probability > 0.0, config.dark_probability > 0.0)
    launch_pixels(
        kernels.output_pixel,
        height,
        width,
        (measured, second_source, holes, dark, *has_blobs, out, source, numbers, *tables.output),
    )
    return out.copy_to_host(), source.copy_to_host()
