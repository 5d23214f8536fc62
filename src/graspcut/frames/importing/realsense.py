"""RealSense cameras and their files (.db3, .bag) through pyrealsense2.

A `RealSenseFeed` takes every frame of a device: of a camera, of a file that is played back, or of the library's
software device. Its callbacks only copy a frame and pass it on. A camera waits for nobody, so frames that do not fit
the queue are counted as dropped; a file can wait, so nothing of it is dropped.
"""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.stream import Pairing, Stream, StreamFrame, brown_conrady, with_fitted_distortion

_PAIR_S = 0.04
_QUEUE_FRAMES = 240


class RealSenseFeed:
    """The frames of a device.

    Args:
        device: Of pyrealsense2.
        waits: Whether the device can be made to wait (a file); otherwise frames are dropped when the queue is full.
        colour: Also take colour. A depth frame then waits for the picture that belongs to it.
        width, height, frames_per_s: What a camera is asked for; a device without that takes its first profile.

    Attributes:
        camera, colour_camera, depth_unit_mm: Calibration.
        dropped: Frames that did not fit the queue.
        missed: Depth frames that the camera numbered and did not deliver.

    Raises:
        FrameError: If the device has no depth.
    """

    def __init__(
        self,
        device: Any,
        *,
        waits: bool = False,
        colour: bool = True,
        width: int = 640,
        height: int = 480,
        frames_per_s: int = 30,
    ) -> None:
        import pyrealsense2 as rs

        self._rs, self._waits = rs, waits
        self._sensors: list[tuple[Any, Any]] = []
        self._running = False
        self._queue: queue.Queue[tuple[str, int, float, NDArray[Any]]] = queue.Queue(_QUEUE_FRAMES)
        self.dropped = 0
        self.missed = 0
        self._last_number: int | None = None
        self._wanted = (width, height, frames_per_s)
        self.depth_unit_mm = 0.0
        found: dict[str, Any] = {}
        for sensor in device.query_sensors():
            for kind, stream in (("depth", rs.stream.depth), ("colour", rs.stream.color))[: 2 if colour else 1]:
                profile = self._profile(sensor, stream)
                if profile is not None and kind not in found:
                    found[kind] = profile
                    self._sensors.append((sensor, profile))
                    if kind == "depth":
                        self.depth_unit_mm = 1000.0 * _depth_units(rs, sensor)
        if "depth" not in found:
            raise FrameError("the RealSense device has no depth stream; expected a depth camera or a recording of one.")
        self.camera = _camera(rs, found["depth"])
        self.colour_camera = None
        if "colour" in found:
            self.colour_camera = _beside(_camera(rs, found["colour"]), found["depth"], found["colour"])

    def _profile(self, sensor: Any, stream: Any) -> Any | None:
        """The wanted profile of a stream, else its first one in a format that is understood."""
        formats = {str(name): name for name in _FORMATS} | {"format.z16": "format.z16"}
        profiles = [
            profile.as_video_stream_profile()
            for profile in sensor.get_stream_profiles()
            if profile.stream_type() == stream and str(profile.format()) in formats
        ]
        width, height, rate = self._wanted
        exact = [p for p in profiles if (p.width(), p.height(), p.fps()) == (width, height, rate)]
        plain = [p for p in exact or profiles if str(p.format()) in ("format.z16", "format.rgb8")]
        return next(iter(plain or exact or profiles), None)

    def start(self) -> None:
        """Begins to take frames."""
        self._running = True
        by_sensor: dict[int, tuple[Any, list[Any]]] = {}
        for sensor, profile in self._sensors:
            by_sensor.setdefault(id(sensor), (sensor, []))[1].append(profile)
        for sensor, profiles in by_sensor.values():
            sensor.open(profiles)
        for sensor, _ in by_sensor.values():
            sensor.start(self._take)

    def stop(self) -> None:
        """Ends taking frames; those in the queue stay. Safe to call twice."""
        if not self._running:
            return
        self._running = False
        # A callback that waits for room would keep the library from stopping.
        self._waits = False
        for sensor in {id(sensor): sensor for sensor, _ in self._sensors}.values():
            sensor.stop()
            sensor.close()

    def _take(self, frame: Any) -> None:
        """Called by the library, in a thread of its own."""
        profile = frame.get_profile()
        kind = "depth" if profile.stream_type() == self._rs.stream.depth else "colour"
        entry = (kind, int(frame.get_frame_number()), float(frame.get_timestamp()), _pixels(frame))
        while True:
            try:
                self._queue.put(entry, timeout=0.05 if self._waits else None, block=self._waits)
                return
            except queue.Full:
                if not self._waits:
                    self.dropped += 1
                    return

    def frames(self, ended: Callable[[], bool]) -> Iterator[StreamFrame]:
        """Depth frames with the nearest picture, until `ended` and the queue is empty."""
        pairing = Pairing(self.colour_camera is not None, _PAIR_S)
        while True:
            try:
                kind, number, milliseconds, pixels = self._queue.get(timeout=0.1)
            except queue.Empty:
                if ended():
                    break
                continue
            if kind == "depth":
                if self._last_number is not None and number > self._last_number + 1:
                    self.missed += number - self._last_number - 1
                self._last_number = number
                pairing.add_depth(milliseconds / 1000, pixels)
            else:
                pairing.add_colour(milliseconds / 1000, pixels)
            yield from pairing.ready()
        yield from pairing.ready(end=True)


def open_realsense(path: str | Path) -> Stream:
    """Opens a RealSense recording.

    Raises:
        FrameError: If the library cannot play it.
        ModuleNotFoundError: Without the extra `realsense`.
    """
    import pyrealsense2 as rs

    if not Path(path).is_file():
        raise FrameError(f"{path} does not exist; expected a RealSense recording.")
    try:
        device = rs.context().load_device(str(path))
        playback = device.as_playback()
        playback.set_real_time(False)
        feed = RealSenseFeed(playback, waits=True)
    except RuntimeError as error:
        raise FrameError(f"{path} cannot be played back ({error}); copy it again, or record it anew.") from error
    expected = _count(path)

    def frames() -> Iterator[StreamFrame]:
        # Playing begins with the first sensor; the others would miss what comes before they are started.
        playback.pause()
        feed.start()
        playback.resume()
        quiet_since = [time.monotonic()]

        def ended() -> bool:
            if playback.current_status() != rs.playback_status.stopped:
                quiet_since[0] = time.monotonic()
            # The last callbacks may still be on their way.
            return time.monotonic() - quiet_since[0] > 0.3

        try:
            yield from feed.frames(ended)
        finally:
            feed.stop()
        if feed.missed:
            stream.notes.append(f"the camera itself had missed {feed.missed} depth frame(s)")

    stream = Stream(frames, feed.depth_unit_mm, feed.camera, feed.colour_camera, expected)
    return stream


def _count(path: str | Path) -> int | None:
    """Depth frames by the file's own index; None where it has none that can be read."""
    if Path(path).suffix != ".db3":
        return None
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            rows = connection.execute(
                "SELECT COUNT(*) FROM messages JOIN topics ON topics.id = messages.topic_id "
                "WHERE topics.name LIKE '%/Depth_%/image/data%'"
            )
            return int(rows.fetchone()[0])
    except sqlite3.Error:
        return None


def _depth_units(rs: Any, sensor: Any) -> float:
    if sensor.supports(rs.option.depth_units):
        return float(sensor.get_option(rs.option.depth_units))
    return float(sensor.as_depth_sensor().get_depth_scale())


_FORMATS: dict[str, int | None] = {
    "format.rgb8": None,
    "format.bgr8": cv2.COLOR_BGR2RGB,
    "format.rgba8": cv2.COLOR_RGBA2RGB,
    "format.bgra8": cv2.COLOR_BGRA2RGB,
    "format.yuyv": cv2.COLOR_YUV2RGB_YUYV,
    "format.uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "format.y8": cv2.COLOR_GRAY2RGB,
}


def _pixels(frame: Any) -> NDArray[Any]:
    """A copy of a frame: the library's memory is used again at once."""
    data = np.array(frame.get_data())
    kind = str(frame.get_profile().format())
    if kind == "format.z16":
        return data.astype(np.uint16, copy=False)
    if kind in ("format.yuyv", "format.uyvy"):
        data = data.view(np.uint8).reshape(data.shape[0], -1, 2)
    conversion = _FORMATS[kind]
    return data if conversion is None else np.asarray(cv2.cvtColor(data, conversion))


def _camera(rs: Any, profile: Any) -> Camera:
    """Intrinsics of a stream; a lens that is described the other way round is fitted."""
    values = profile.intrinsics
    camera = Camera(values.fx, values.fy, values.ppx, values.ppy, values.width, values.height)
    lens = [float(value) for value in values.coeffs]
    if not any(lens):
        return camera
    if values.model == rs.distortion.inverse_brown_conrady:
        return Camera.from_dict(camera.to_dict() | {"distortion": lens})
    k1, k2, p1, p2, k3 = lens
    return with_fitted_distortion(camera, brown_conrady((k1, k2, k3), p1, p2))[0]


def _beside(camera: Camera, depth: Any, colour: Any) -> Camera:
    """The colour camera with its place beside the depth camera; librealsense has columns first, and metres."""
    extrinsics = depth.get_extrinsics_to(colour)
    rotation = np.array(extrinsics.rotation, dtype=np.float64).reshape(3, 3).T
    shift = np.array(extrinsics.translation, dtype=np.float64) * 1000
    values = camera.to_dict() | {"rotation": rotation.ravel().tolist(), "translation_mm": shift.tolist()}
    return Camera.from_dict(values)
