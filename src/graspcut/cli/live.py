"""`graspcut live`."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graspcut.cli import UsageError
from graspcut.cli.options import NOTHING_SAID, Backend, Input, KnownOfInputs, Precision, Size, parse_size

if TYPE_CHECKING:
    from graspcut.app.listening import Listener
    from graspcut.frames.live_sources import LiveSource
    from graspcut.segmentation.live import LiveSegmentation


def live(
    *,
    source: str = "camera",
    model: str | None = None,
    port: int = 8766,
    browser: bool = True,
    loop: Annotated[bool, Parameter(negative="")] = False,
    once: Annotated[bool, Parameter(negative="")] = False,
    rerun: Annotated[bool, Parameter(negative="")] = False,
    rerun_file: Path | None = None,
    independent: Annotated[bool, Parameter(negative="")] = False,
    sensitivity: float = 1.0,
    size: Size = "640x480",
    frames_per_s: int = 30,
    given: Input = NOTHING_SAID,
    device: str = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
) -> int:
    """Labels what a camera sees while it sees it, and shows it.

    Args:
        source: camera for a RealSense that is plugged in; demo for the bundled recording; or a recording, a dataset
            folder or a folder of depth images, which play as if they were a camera.
        model: Shipped model's name, model folder, or file of graspcut export; by default the shipped compact network.
        port: Of the page, on 127.0.0.1; 0 takes a free one.
        browser: Open the page in a browser.
        loop: Start a recording anew at its end.
        once: End with the recording, instead of keeping its last frame on the page.
        rerun: Also open the Rerun viewer: depth, labels and the coloured point cloud (extra [view]).
        rerun_file: Also write what Rerun shows into this .rrd file (extra [view]); it grows with every frame.
        independent: Label every frame on its own, instead of with what the frames before know.
        sensitivity: What the odds of hand and object against background are multiplied by: above 1 finds more, below 1
            calls less by mistake.
        size: Width and height that a camera is asked for.
        frames_per_s: Frames a second that a camera is asked for, and of images without times.
        given: What the source does not say.
        device: auto (a CUDA GPU if there is one), cpu, cuda or cuda:1.
        backend: Engine; auto takes the fastest that is installed and can run the model, and says which.
        precision: auto takes what the model ships for the engine.
        threads: Processor threads of the network; if not given, all that this process may use but one, which capture
            and page need.
    """
    from graspcut.app.audience import Audience
    from graspcut.app.listening import Listener
    from graspcut.app.live_server import create_live_app
    from graspcut.cores import usable_cores
    from graspcut.frames.errors import FrameWarning
    from graspcut.runtime.opening import OpenOptions
    from graspcut.segmentation.live import LiveSegmentation
    from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter

    if loop and once:
        raise UsageError("--loop and --once contradict each other: give one of them, or none")
    known = given.use()
    warnings.simplefilter("ignore", FrameWarning)
    begin = threading.Event()
    opened = _open(source, size, frames_per_s, loop, known, begin)
    listener = Listener(port)
    name = model or DEFAULT_MODEL
    segmenter = Segmenter.open(OpenOptions(name, device, backend, precision, threads or max(1, usable_cores() - 1)))
    segmenter.sensitivity = sensitivity
    running = LiveSegmentation(opened, segmenter, independent=independent)
    audience = Audience(running, f"{name}: {segmenter.description}", begin)
    view: RerunView | None = None
    if rerun or rerun_file is not None:
        from graspcut.app.rerun_view import RerunView

        view = RerunView(viewer=rerun, file=rerun_file)
        running.add_screen(view.show)
        begin.set()
    print(f"{name}: {segmenter.description}; getting ready", file=sys.stderr)
    with running:
        print(f"live: {listener.address} (Ctrl-C ends it)", flush=True)
        threading.Thread(target=_end_with, args=(running, listener, once), daemon=True).start()
        # The server ends in order and then passes Ctrl-C on; it is the usual end and no failure.
        with contextlib.suppress(KeyboardInterrupt):
            listener.serve(create_live_app(audience), open_browser=browser)
    if view is not None:
        view.close()
    if running.error is not None:
        raise running.error
    said = audience.state()
    print(f"{said['captured']} frame(s) from {opened.title}, {said['labelled']} labelled", file=sys.stderr)
    return 0


def _end_with(running: LiveSegmentation, listener: Listener, once: bool) -> None:
    """Ends the page when an error has ended what it shows, or with it; else a recording's last frame stays."""
    running.wait()
    if once or running.error is not None:
        listener.stop()


def _open(
    source: str,
    size: str,
    frames_per_s: int,
    loop: bool,
    known: KnownOfInputs,
    begin: threading.Event,
) -> LiveSource:
    """The camera, or what plays as one."""
    from graspcut.frames.camera import given_camera
    from graspcut.frames.errors import FrameError
    from graspcut.frames.live_sources import PlayedRecording, RealSenseCamera
    from graspcut.frames.sources import open_source
    from graspcut.segmentation.demo import demo_recording_folder

    if source == "camera" and not Path(source).exists():
        width, height = parse_size(size)
        try:
            return RealSenseCamera(width=width, height=height, frames_per_s=frames_per_s)
        except FrameError as error:
            raise FrameError(f"{error} Without one: graspcut live --source demo, or --source RECORDING.") from error
    place = demo_recording_folder() if source == "demo" and not Path(source).exists() else Path(source)
    camera = given_camera(known["camera"], known["focal_px"])
    frames = open_source(place, depth_unit_mm=known["depth_unit_mm"], camera=camera)
    return PlayedRecording(frames, place.resolve().name, loop=loop, frames_per_s=frames_per_s, begin=begin)
