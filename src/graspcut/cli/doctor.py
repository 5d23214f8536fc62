"""`graspcut doctor`."""

from __future__ import annotations


def doctor(*, time: bool = True) -> None:
    """Prints what `graspcut.runtime.hardware` finds.

    Args:
        time: Also time the shipped segmentation model on this machine.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.runtime.hardware import describe_machine
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter
    from graspcut.segmentation.timing import SIZES, median_frame_ms

    report = describe_machine()
    print_facts(report.machine, "Machine")
    print_facts(report.backends, "Back ends")
    print_facts(report.versions, "Versions")
    if DEFAULT_MODEL not in report.models:
        print_facts(
            [("model", f"none: {DEFAULT_MODEL} is not in this installation; give --model FOLDER")], "Will be used"
        )
        return
    segmenter = Segmenter.load(DEFAULT_MODEL)
    facts = [("model", f"{DEFAULT_MODEL} (shipped: {', '.join(report.models)})"), ("device", str(segmenter.device))]
    facts.append(("back end", "PyTorch"))
    if time:
        facts += [
            ("speed", f"{median_frame_ms(segmenter, *size):.1f} ms a frame at {size[0]}x{size[1]}") for size in SIZES
        ]
    print_facts(facts, "Will be used")
