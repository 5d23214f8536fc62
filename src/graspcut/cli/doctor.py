"""`graspcut doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graspcut.segmentation.predictor import Segmenter

_Times = dict[tuple[str, str], list[float]]

# Medians of a few frames differ by less than this from one run to the next.
_CLEARLY = 0.9


def doctor(*, time: bool = True) -> None:
    """Prints what `graspcut.runtime.hardware` finds, and what will run.

    Args:
        time: Also time the shipped segmentation model on every back end and precision.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.runtime.contract import BackendError
    from graspcut.runtime.hardware import describe_machine
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    report = describe_machine()
    print_facts(report.machine, "Machine")
    print_facts(report.backends, "Back ends")
    print_facts(report.versions, "Versions")
    if DEFAULT_MODEL not in report.models:
        print_facts(
            [("model", f"none: {DEFAULT_MODEL} is not in this installation; give --model FOLDER")], "Will be used"
        )
        return
    try:
        segmenter = Segmenter.load()
    except BackendError as error:
        print_facts([("model", f"none can run: {error}")], "Will be used")
        return
    times = _print_times(segmenter) if time else {}
    facts = [
        ("model", f"{DEFAULT_MODEL} (shipped: {', '.join(report.models)})"),
        ("back end", segmenter.description),
        ("because", _reason(segmenter)),
    ]
    chosen = (segmenter.session.backend, segmenter.session.precision)
    if times:
        fastest = min(times, key=lambda entry: times[entry][-1])
        if chosen in times and times[fastest][-1] < _CLEARLY * times[chosen][-1]:
            facts.append(("faster here", f"--backend {fastest[0]} --precision {fastest[1]}"))
    print_facts(facts, "Will be used")


def _print_times(default: Segmenter) -> _Times:
    """Prints and returns milliseconds a frame at each size, by back end and precision."""
    from graspcut.cli.printing import print_facts
    from graspcut.runtime.contract import BACKEND_TITLES, BackendError
    from graspcut.runtime.engines import installed_backends
    from graspcut.runtime.model_folder import find_model_folder, graph_file
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter
    from graspcut.segmentation.timing import SIZES, median_frame_ms

    folder = find_model_folder(DEFAULT_MODEL)
    shipped = [precision for precision in ("int8", "fp32") if graph_file(folder, precision) is not None]
    on_gpu = default.session.device.startswith("cuda")
    times: _Times = {}
    facts = []
    for backend in installed_backends():
        precisions = (["bf16", "fp16", "fp32"] if on_gpu else ["fp32"]) if backend == "pytorch" else shipped
        for precision in precisions:
            title = f"{BACKEND_TITLES[backend]}, {precision}"
            try:
                segmenter = Segmenter.load(backend=backend, precision=precision)
                found = [median_frame_ms(segmenter, *size) for size in SIZES]
            except BackendError as error:
                facts.append((title, f"cannot run: {error}"))
                continue
            times[backend, precision] = found
            sized = ", ".join(
                f"{milliseconds:.1f} ms at {width}x{height}"
                for milliseconds, (width, height) in zip(found, SIZES, strict=True)
            )
            facts.append((segmenter.description, sized))
    print_facts(facts, f"Speed of {DEFAULT_MODEL}, medians of single frames")
    return times


def _reason(segmenter: Segmenter) -> str:
    from graspcut.runtime.contract import BACKEND_TITLES, BACKENDS

    session = segmenter.session
    if session.device.startswith("cuda"):
        return f"PyTorch can use an NVIDIA GPU; {session.precision} is fastest there"
    if session.backend == "pytorch":
        return "no other back end is installed that has a file of the model"
    order = ", ".join(BACKEND_TITLES[backend] for backend in BACKENDS)
    precision = "the model ships an int8 file" if session.precision == "int8" else "the model ships no int8 file"
    return f"the first of {order} that is installed and has a file of the model; {precision}"
