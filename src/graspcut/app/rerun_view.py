"""The live view in Rerun (extra [view]): depth, labels, and the point cloud in the colours of the labels.

Rerun is given every frame that it can take; its own thread keeps it from holding up anybody. Its viewer keeps what it
was given, up to a limit, so that one can go back in time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from numpy.typing import NDArray

from graspcut.frames.camera import DEFAULT_FOCAL_PER_WIDTH, Camera
from graspcut.frames.frame import Frame
from graspcut.labels import BACKGROUND, LABEL_COLOURS, LABEL_NAMES
from graspcut.segmentation.live import LiveResult

_VIEWER_MEMORY = "1GB"
_MOST_POINTS = 80_000
_NEAR_BRIGHTNESS, _FAR_BRIGHTNESS = 215.0, 70.0


class RerunView:
    """Gives labelled frames to Rerun.

    Args:
        viewer: open the viewer, or take the one that is open.
        file: also write into this .rrd file.

    Raises:
        OSError: the file cannot be written.
        RuntimeError: the viewer cannot be started.
    """

    def __init__(self, *, viewer: bool, file: str | Path | None = None) -> None:
        self._stream = rr.RecordingStream("graspcut_live")
        sinks: list[Any] = []
        if viewer:
            # The address is the one that `spawn` takes when none is given.
            rr.spawn(connect=False, memory_limit=_VIEWER_MEMORY, hide_welcome_screen=True)
            sinks.append(rr.GrpcSink())
        if file is not None:
            with Path(file).open("wb"):
                pass  # says what is wrong before any frame comes
            sinks.append(rr.FileSink(str(file)))
        blueprint = rrb.Blueprint(
            rrb.Horizontal(
                rrb.Spatial3DView(origin="/", contents=["/camera", "/points"], name="point cloud"),
                rrb.Vertical(
                    rrb.Spatial2DView(origin="/camera", contents=["/camera/depth"], name="depth"),
                    rrb.Spatial2DView(origin="/camera", contents=["/camera/labels"], name="labels"),
                ),
            ),
            collapse_panels=True,
        )
        self._stream.set_sinks(*sinks, default_blueprint=blueprint)
        names = [
            rr.AnnotationInfo(label, name, (*(int(value) for value in LABEL_COLOURS[label]), 255 if label else 0))
            for label, name in enumerate(LABEL_NAMES)
        ]
        self._stream.log("/", rr.AnnotationContext(names), rr.ViewCoordinates.RDF, static=True)
        self._camera: Camera | None = None

    def show(self, shown: LiveResult) -> None:
        """Gives one frame."""
        live, labels = shown.live, shown.result.labels
        frame = live.frame
        camera = frame.camera or Camera.from_focal_length(
            frame.width, frame.height, DEFAULT_FOCAL_PER_WIDTH * frame.width
        )
        self._stream.set_time("frame", sequence=live.number)
        if frame.timestamp_s is not None:
            self._stream.set_time("camera_time", duration=frame.timestamp_s)
        if camera != self._camera:
            self._camera = camera
            self._stream.log(
                "/camera",
                rr.Pinhole(
                    focal_length=(camera.fx, camera.fy),
                    principal_point=(camera.cx, camera.cy),
                    resolution=(camera.width, camera.height),
                    image_plane_distance=0.1,
                ),
                static=True,
            )
        steps = np.clip(np.rint(frame.depth_mm / live.depth_unit_mm), 0, 65535).astype(np.uint16)
        self._stream.log("/camera/depth", rr.DepthImage(steps, meter=1000 / live.depth_unit_mm))
        self._stream.log("/camera/labels", rr.SegmentationImage(labels))
        points, colours = coloured_points(frame, labels, camera)
        self._stream.log("/points", rr.Points3D(points, colors=colours, radii=rr.Radius.ui_points(1.5)))
        self._stream.log("/milliseconds", rr.Scalars(1000 * (shown.labelled_s - live.captured_s)))

    def close(self) -> None:
        """Writes what is still on its way."""
        self._stream.flush()
        self._stream.disconnect()


def coloured_points(
    frame: Frame, labels: NDArray[np.uint8], camera: Camera
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points of a frame: hand and object in their colours, the rest in the frame's own, or grey by distance.

    Args:
        frame: with depth.
        labels: (H, W) uint8.
        camera: of the depth pixels.

    Returns:
        (N, 3) float32 metres and (N, 3) uint8 RGB, of at most about 80,000 pixels that have depth.
    """
    step = max(1, int(np.ceil(np.sqrt(frame.width * frame.height / _MOST_POINTS))))
    depth, kinds = frame.depth_mm[::step, ::step], labels[::step, ::step]
    valid = depth > 0
    distances, kinds = depth[valid], kinds[valid]
    points = (camera.rays()[::step, ::step][valid] * (distances[:, None] / 1000)).astype(np.float32)
    if frame.colour is not None and frame.colour_camera is None:
        colours = frame.colour[::step, ::step][valid].copy()
    else:
        nearest, farthest = np.quantile(distances, (0.02, 0.98)) if distances.size else (0.0, 1.0)
        share = np.clip((distances - nearest) / max(farthest - nearest, 1.0), 0, 1)
        grey = _NEAR_BRIGHTNESS + (_FAR_BRIGHTNESS - _NEAR_BRIGHTNESS) * share
        colours = np.repeat(grey.astype(np.uint8)[:, None], 3, axis=1)
    found = kinds != BACKGROUND
    colours[found] = LABEL_COLOURS[kinds[found]]
    return points, colours
