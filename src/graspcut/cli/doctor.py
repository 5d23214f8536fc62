"""`graspcut doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graspcut.runtime.method import Method
    from graspcut.runtime.predictor import Predictor

_Times = dict[tuple[str, str], list[float]]

# Medians of a few frames differ by less than this from one run to the next.
_CLEARLY = 0.9


def doctor(model: str | None = None, /, *, time: bool = True) -> None:
    """Prints what `graspcut.runtime.hardware` finds, and what will run.

    Args:
        model: Shipped model's name or model folder, of any task; the model of every task that ships one if not given.
        time: Also time the model on every back end and precision.
    """
    from graspcut.catalogue import METHODS, method_of, method_of_model
    from graspcut.cli.printing import print_facts
    from graspcut.runtime.hardware import describe_machine

    report = describe_machine()
    print_facts(report.machine, "Machine")
    print_facts(report.backends, "Back ends")
    print_facts(report.versions, "Versions")
    if model is not None:
        _print_model(method_of_model(model), model, report.models, time)
        return
    methods = [method_of(task) for task in METHODS]
    shipping = [method for method in methods if method.predictor.default_model in report.models]
    for method in shipping or methods[:1]:
        _print_model(method, method.predictor.default_model, report.models, time)
    others = [method.task for method in methods if method not in shipping]
    if others:
        print_facts([("no model comes with the package for", ", ".join(others))])


def _print_model(method: Method, name: str, shipped: tuple[str, ...], time: bool) -> None:
    """What will run a model, and how fast."""
    from graspcut.cli.printing import print_facts
    from graspcut.runtime.contract import BackendError

    if name == method.predictor.default_model and name not in shipped:
        print_facts([("model", f"none: {name} is not in this installation; give --model FOLDER")], "Will be used")
        return
    try:
        predictor = method.predictor.load(name)
    except BackendError as error:
        print_facts([("model", f"none can run: {error}")], "Will be used")
        return
    times = _print_times(method, name, predictor) if time else {}
    facts = [
        ("model", f"{name} for {method.task} (shipped: {', '.join(shipped)})"),
        ("back end", predictor.description),
        ("because", _reason(predictor)),
    ]
    chosen = (predictor.session.backend, predictor.session.precision)
    if times:
        fastest = min(times, key=lambda entry: times[entry][-1])
        if chosen in times and times[fastest][-1] < _CLEARLY * times[chosen][-1]:
            facts.append(("faster here", f"--backend {fastest[0]} --precision {fastest[1]}"))
    print_facts(facts, "Will be used")


def _print_times(method: Method, name: str, default: Predictor) -> _Times:
    """Prints and returns milliseconds a frame at each size, by back end and precision."""
    from graspcut.cli.printing import print_facts
    from graspcut.runtime import soaking
    from graspcut.runtime.contract import BACKEND_TITLES, BackendError
    from graspcut.runtime.engines import extra_hint, installed_backends
    from graspcut.runtime.graph_files import READABLE, find_graphs
    from graspcut.runtime.model_folder import find_model_folder

    graphs = find_graphs(find_model_folder(name))
    on_gpu = default.session.device.startswith("cuda")
    times: _Times = {}
    facts = []
    for backend in installed_backends():
        present = dict.fromkeys(precision for form, precision in graphs if form in READABLE[backend])
        in_torch = ["fp32", "fp16", "bf16"] if on_gpu else ["fp32"]
        for precision in in_torch if backend == "pytorch" else present:
            title = f"{BACKEND_TITLES[backend]}, {precision}"
            try:
                predictor = method.predictor.load(name, backend=backend, precision=precision)
                calls = [method.timed_call(predictor, *size) for size in soaking.SIZES]
                found = [soaking.median_ms(call) for call in calls]
            except (BackendError, ModuleNotFoundError) as error:
                how = "" if isinstance(error, BackendError) else f": {extra_hint('synth')}"
                facts.append((title, f"cannot run: {error}{how}"))
                continue
            times[backend, precision] = found
            sized = ", ".join(
                f"{milliseconds:.1f} ms at {width}x{height}"
                for milliseconds, (width, height) in zip(found, soaking.SIZES, strict=True)
            )
            facts.append((predictor.description, sized))
    print_facts(facts, f"Speed of {name}, medians of single frames")
    return times


def _reason(predictor: Predictor) -> str:
    from graspcut.runtime.contract import BACKEND_TITLES, BACKENDS

    session = predictor.session
    if session.device.startswith("cuda"):
        return "PyTorch can use an NVIDIA GPU"
    if session.backend == "pytorch":
        return "no other back end is installed that has a file of the model"
    order = ", ".join(BACKEND_TITLES[backend] for backend in BACKENDS)
    precision = "the model ships an int8 file" if session.precision == "int8" else "the model ships no int8 file"
    return f"the first of {order} that is installed and has a file of the model; {precision}"
