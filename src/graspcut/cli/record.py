"""`graspcut record` and `graspcut import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graspcut.cli.options import NOTHING_SAID, Input, Size, parse_size

_SHOWN = 10


def record(
    out: Path,
    /,
    *,
    size: Size = "640x480",
    frames_per_s: int = 30,
    seconds: float | None = None,
    frames: int | None = None,
    colour: Annotated[str, Parameter(help="jpeg is fast enough for any camera; png keeps colour exactly.")] = "jpeg",
    preview: bool = True,
) -> int:
    """Records a RealSense camera.

    Args:
        out: Folder of the new recording.
        size: Width and height that the camera is asked for.
        frames_per_s: Frames a second that it is asked for.
        seconds: How long; until Ctrl-C if neither this nor --frames is given.
        frames: How many frames.
        colour: How colour is stored: jpeg or png.
        preview: Show the pictures in a browser, on 127.0.0.1.
    """
    import threading

    from graspcut.cli.progress import frame_progress
    from graspcut.draw import contact_sheet, depth_to_colour
    from graspcut.frames.capture import find_camera
    from graspcut.frames.capture import record as record_device
    from graspcut.frames.frame import check_depth
    from graspcut.frames.importing.stream import StreamFrame
    from graspcut.frames.preview import Preview

    width, height = parse_size(size)
    device = find_camera()
    stop = threading.Event()
    with Preview() as shown, frame_progress("recording") as progress:
        if preview:
            print(f"preview: {shown.address} (Ctrl-C ends the recording)", file=sys.stderr)

        def show(frame: StreamFrame, written: int, dropped: int) -> None:
            progress(written, frames or written)
            if preview:
                pictures = [depth_to_colour(check_depth(frame.depth_raw, 1.0))]
                pictures += [frame.colour] if frame.colour is not None else []
                shown.show(contact_sheet(pictures, 2, [f"{written} frames, {dropped} dropped", ""][: len(pictures)]))

        def run() -> None:
            reports.append(
                record_device(
                    device,
                    out,
                    width=width,
                    height=height,
                    frames_per_s=frames_per_s,
                    frames=frames,
                    seconds=seconds,
                    colour_jpeg=colour == "jpeg",
                    stop=stop,
                    show=show,
                )
            )

        from graspcut.frames.capture import CaptureReport

        reports: list[CaptureReport] = []
        thread = threading.Thread(target=run)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            stop.set()
            thread.join()
    if not reports:
        return 1
    report = reports[0]
    print(f"{report.frames} frame(s), {report.with_colour} with colour, in {report.seconds:.1f} s: {out}")
    if report.dropped or report.missed:
        print(f"lost: {report.dropped} because the disk was too slow, {report.missed} by the camera", file=sys.stderr)
    return 0


def import_(
    *sources: Annotated[Path, Parameter(required=True)],
    out: Path,
    colour: Path | None = None,
    registered: Annotated[bool, Parameter(negative="")] = False,
    given: Input = NOTHING_SAID,
    frames_per_s: float | None = None,
    depth_topic: str | None = None,
    colour_topic: str | None = None,
    colour_format: Annotated[str, Parameter(name="--store-colour")] = "png",
) -> int:
    """Makes a recording of other cameras' files.

    Args:
        sources: RealSense .db3 and .bag, ROS 1 and 2 bags, .mcap, Azure Kinect .mkv, iPhone .r3d, a folder of depth
            images or numpy files, or one such file. Several of one camera are joined.
        out: Folder of the new recording.
        colour: Folder of the pictures that belong to a folder of depth images; without it, pictures of the depth's
            size and name in that folder are taken.
        registered: Colour lies pixel by pixel on depth.
        given: What the sources do not say; --camera may also be JSON of {"camera": ..., "colour_camera": ...}.
        frames_per_s: Makes timestamps for a folder of images.
        depth_topic: Topic of the depth images in a bag.
        colour_topic: Topic of the colour images in a bag.
        colour_format: png keeps colour exactly; jpeg is smaller.
    """
    from graspcut.cli.printing import print_facts
    from graspcut.cli.progress import frame_progress
    from graspcut.frames.camera import given_camera
    from graspcut.frames.importing.opening import open_foreign
    from graspcut.frames.importing.run import import_streams

    known = given.use()
    streams = [
        open_foreign(
            source,
            colour=colour,
            registered=registered,
            depth_unit_mm=given.depth_unit_mm,
            focal_px=given.focal_px,
            camera_file=given.camera,
            frames_per_s=frames_per_s,
            depth_topic=depth_topic,
            colour_topic=colour_topic,
        )
        for source in sources
    ]
    camera = given_camera(known["camera"], known["focal_px"])
    with frame_progress("importing") as progress:
        report = import_streams(streams, out, camera=camera, colour_jpeg=colour_format == "jpeg", progress=progress)
    counted = "the source does not count them" if report.expected is None else f"the source has {report.expected}"
    facts = [("frames", f"{report.frames} ({counted})"), ("with colour", str(report.with_colour))]
    facts += [("note", note) for note in report.notes]
    facts.append(("gaps in time", str(len(report.gaps)) if report.gaps else "none"))
    print_facts(facts, f"{out}: recording")
    for lines, title in ((report.gaps, "gap"), (report.damaged, "damaged")):
        for line in lines[:_SHOWN]:
            print(f"  {title}: {line}", file=sys.stderr)
        if len(lines) > _SHOWN:
            print(f"  ... and {len(lines) - _SHOWN} more in {out}/import.json", file=sys.stderr)
    return 0 if report.is_whole else 1
