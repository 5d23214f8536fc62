"""`graspcut matte`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Backend, Input, KnownOfInputs, Precision
from graspcut.cli.printing import print_notes

if TYPE_CHECKING:
    from graspcut.matting.predictor import Matter

_SHOWN_REASONS = 10
_COLOURS = {
    "white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "green": (0, 177, 64), "blue": (0, 71, 187),
    "red": (200, 30, 30),
}  # fmt: skip


def matte(
    image: Path,
    trimap: Path | None = None,
    /,
    *,
    out: Path,
    method: Literal["closed-form", "knn"] | None = None,
    model: str | None = None,
    over: str | None = None,
    keep: tuple[Literal["hand", "object"], ...] = ("hand", "object"),
    segmentation_model: str | None = None,
    augment: Annotated[bool, Parameter(negative="")] = False,
    refine: Annotated[bool, Parameter(negative="")] = False,
    given: Input = NOTHING_SAID,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> int:
    """Writes mattes and cut-outs.

    Args:
        image: Image or folder of images; without a trimap a recording, dataset or folder with depth and colour.
        trimap: Its trimap (0 background, 128 unknown, 255 foreground), or a folder with trimaps of the same names.
        out: Folder for NAME_alpha.png, NAME_foreground.png and NAME_rgba.png.
        method: Classical method; without method and model the default.
        model: Shipped model's name, model folder, or file of graspcut export.
        over: Also write NAME_over.png over this: a picture, or a colour such as white or #00b140.
        keep: Without a trimap: what is cut out.
        segmentation_model: Without a trimap: the model that labels the depth; by default the shipped one.
        augment: Test-time augmentation: the mean over 3 scales and 8 symmetries; about 30 times the work.
        refine: Backpropagating refinement, for networks in PyTorch.
        given: What depth frames do not say.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine of the network; auto takes the fastest that is installed and can run it.
        precision: auto takes what the model ships for the engine.
        threads: Processor threads; all that this process may use if not given.
    """
    from graspcut.matting.predictor import Matter
    from graspcut.matting.refinement_config import RefinementConfig
    from graspcut.runtime.opening import OpenOptions

    if method is not None and model is not None:
        raise UsageError("give --method or --model, not both")
    known = given.use()
    matter = Matter.open(OpenOptions(method or model or "", device, backend, precision, threads))
    print(f"{matter.name}: {matter.description}", file=sys.stderr)
    config = RefinementConfig() if refine else None

    def make(picture: Any, marked: Any) -> Any:
        return matter(picture, marked, augment=augment, refine=config)

    behind = parse_background(over) if over is not None else None
    settings = {"method": matter.name, "digest": matter.digest, "augment": augment, "refine": refine, "over": over}
    if trimap is not None:
        return _images(image, trimap, out, make, settings, behind)
    options = OpenOptions(segmentation_model or "", device, threads=threads)
    return _frames(image, out, matter, make, settings, behind, options, keep, known)


def parse_background(text: str) -> Any:
    """A colour name, #rrggbb, or a picture's path -> (r, g, b) or (H, W, 3) uint8.

    Raises:
        FrameError: if it is no colour and no image.
    """
    from graspcut.frames.errors import FrameError
    from graspcut.frames.images import read_colour

    if text.lower() in _COLOURS:
        return _COLOURS[text.lower()]
    match = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    if match and not Path(text).exists():
        return tuple(int(part, 16) for part in match.groups())
    if not Path(text).exists():
        raise FrameError(f"{text!r} is no colour ({', '.join(_COLOURS)}, #rrggbb) and no picture that exists.")
    return read_colour(text)


def _images(image: Path, trimap: Path, out: Path, make: Any, settings: dict[str, Any], behind: Any) -> int:
    from graspcut.cli.progress import frame_progress
    from graspcut.matting.batch import matte_images

    with frame_progress("matting") as progress:
        report = matte_images(image, trimap, out, make, settings=settings, over=behind, progress=progress)
    earlier = f", {len(report.skipped)} were there already" if report.skipped else ""
    print(f"{len(report.done)} matte(s){earlier}: {out}")
    return _failed(report.failures)


def _frames(
    image: Path,
    out: Path,
    matter: Matter,
    make: Any,
    settings: dict[str, Any],
    behind: Any,
    options: Any,
    keep: Sequence[str],
    known: KnownOfInputs,
) -> int:
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.camera import given_camera
    from graspcut.runtime.folder_run import run_over_frames
    from graspcut.scene.mattes import MatteJob, labels_of
    from graspcut.segmentation.predictor import Segmenter

    segmenter = Segmenter.open(options)
    print(f"trimap by {segmenter.name}: {segmenter.description}", file=sys.stderr)
    job = MatteJob(
        segmenter,
        make,
        {**settings, "keep": list(keep), "segmentation": segmenter.name, **_settings_of(known)},
        f"{matter.digest} {segmenter.digest}",
        labels_of(keep),
        behind,
    )
    with frame_progress("matting") as progress:
        camera = given_camera(known["camera"], known["focal_px"])
        report = run_over_frames(
            [image], out, job, depth_unit_mm=known["depth_unit_mm"], camera=camera, progress=progress
        )
    earlier = f", {report.skipped} were there already" if report.skipped else ""
    print(f"{report.done} matte(s){earlier}: {report.out}")
    print_notes(report)
    return _failed(report.failures)


def _settings_of(known: KnownOfInputs) -> dict[str, Any]:
    """What a folder of mattes remembers; cameras only where they were given, as folders of earlier versions do."""
    cameras = {name: known[name] for name in ("focal_px", "camera") if known[name] is not None}
    return {"depth_unit_mm": known["depth_unit_mm"], **{name: str(value) for name, value in cameras.items()}}


def _failed(failures: Sequence[tuple[str, str]]) -> int:
    if not failures:
        return 0
    print(f"{len(failures)} input(s) could not be used:", file=sys.stderr)
    for name, message in failures[:_SHOWN_REASONS]:
        print(f"  {name}: {message}", file=sys.stderr)
    if len(failures) > _SHOWN_REASONS:
        print(f"  and {len(failures) - _SHOWN_REASONS} more", file=sys.stderr)
    return 1
