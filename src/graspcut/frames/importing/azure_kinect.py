"""Azure Kinect recordings (.mkv) without its SDK: the library av finds the tracks and the attached calibration.

The depth track holds big-endian 16-bit millimetres ("b16g"), the colour track JPEG pictures (NV12 and YUY2 are decoded
too). `calibration.json` has both cameras with lens parameters of their whole sensors, from which each mode cuts a part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.stream import Pairing, Stream, StreamFrame, brown_conrady, with_fitted_distortion

# Depth modes: size -> (scale of the 1024x1024 sensor, first column and row after scaling).
_DEPTH_MODES = {
    (640, 576): (1.0, 192, 180),
    (320, 288): (0.5, 96, 90),
    (1024, 1024): (1.0, 0, 0),
    (512, 512): (0.5, 0, 0),
}
_COLOUR_SENSOR = (4096, 3072)
_PAIR_S = 0.025


def open_azure_kinect(path: str | Path) -> Stream:
    """Opens an Azure Kinect recording.

    Raises:
        FrameError: If it is no such file, or has no depth track or calibration.
        ModuleNotFoundError: Without the extra `import`.
    """
    import av

    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise FrameError(f"{path} cannot be opened as a Matroska file ({error}); copy it again.") from error
    tracks = {str(track.metadata.get("title", "")).upper(): track for track in container.streams.video}
    depth_track, colour_track = tracks.get("DEPTH"), tracks.get("COLOR")
    if depth_track is None:
        container.close()
        raise FrameError(
            f"{path} has the tracks {', '.join(sorted(tracks)) or 'none'}; expected DEPTH. Record with a depth mode."
        )
    notes: list[str] = []
    camera, colour_camera = _calibration(container, path, depth_track, colour_track, notes)

    def frames() -> Iterator[StreamFrame]:
        pairing = Pairing(colour_track is not None, _PAIR_S)
        wanted = [track for track in (depth_track, colour_track) if track is not None]
        for packet in container.demux(wanted):
            if packet.size == 0 or packet.pts is None or packet.time_base is None:
                continue
            seconds = float(packet.pts * packet.time_base)
            try:
                if packet.stream.index == depth_track.index:
                    pairing.add_depth(seconds, _depth(bytes(packet), depth_track))
                else:
                    decoded: list[Any] = list(packet.decode())
                    for frame in decoded:
                        pairing.add_colour(seconds, frame.to_ndarray(format="rgb24"))
            except (FrameError, av.error.FFmpegError) as error:
                stream.damaged.append(f"at {seconds:.3f} s: {error}")
            yield from pairing.ready()
        yield from pairing.ready(end=True)

    stream = Stream(frames, 1.0, camera, colour_camera, notes=notes, close=container.close)
    return stream


def _depth(data: bytes, track: Any) -> NDArray[np.uint16]:
    width, height = track.codec_context.width, track.codec_context.height
    if len(data) != 2 * width * height:
        raise FrameError(f"a depth frame has {len(data)} bytes; expected {2 * width * height} of {width}x{height}.")
    return np.frombuffer(data, dtype=">u2").reshape(height, width).astype(np.uint16)


def _calibration(
    container: Any, path: str | Path, depth_track: Any, colour_track: Any, notes: list[str]
) -> tuple[Camera, Camera | None]:
    attached = [
        track
        for track in container.streams
        if track.type == "attachment" and "calibration" in str(track.metadata.get("filename", "")).lower()
    ]
    if not attached:
        raise FrameError(f"{path} has no calibration attached; expected a recording of the Azure Kinect recorder.")
    try:
        cameras = json.loads(bytes(attached[0].data))["CalibrationInformation"]["Cameras"]
        by_purpose = {entry["Purpose"].rpartition("Purpose")[2]: entry for entry in cameras}
        size = depth_track.codec_context.width, depth_track.codec_context.height
        if size not in _DEPTH_MODES:
            raise FrameError(f"{path}: depth of {size[0]}x{size[1]} is no mode of an Azure Kinect.")
        scale, left, top = _DEPTH_MODES[size]
        whole = (round(1024 * scale), round(1024 * scale))
        camera = _camera(by_purpose["Depth"], whole, (left, top), size, notes)
        if colour_track is None:
            return camera, None
        size = colour_track.codec_context.width, colour_track.codec_context.height
        factor = size[0] / _COLOUR_SENSOR[0]
        whole = (size[0], round(_COLOUR_SENSOR[1] * factor))
        colour = _camera(by_purpose["PhotoVideo"], whole, (0, (whole[1] - size[1]) // 2), size, notes)
        return camera, _beside(colour, by_purpose["Depth"], by_purpose["PhotoVideo"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError(f"{path}: its calibration lacks or garbles {error!r}; export it again.") from error


def _camera(
    entry: dict[str, Any], whole: tuple[int, int], first: tuple[int, int], size: tuple[int, int], notes: list[str]
) -> Camera:
    """Lens parameters come relative to the sensor's size: cx, cy, fx, fy, k1..k6, centre (2), p2, p1."""
    cx, cy, fx, fy, k1, k2, k3, k4, k5, k6, _, _, p2, p1 = entry["Intrinsics"]["ModelParameters"][:14]
    plain = Camera(
        fx * whole[0],
        fy * whole[1],
        cx * whole[0] - 0.5 - first[0],
        cy * whole[1] - 0.5 - first[1],
        size[0],
        size[1],
    )
    fitted, error = with_fitted_distortion(plain, brown_conrady((k1, k2, k3, k4, k5, k6), p1, p2))
    if error > 0.3:
        notes.append(f"the lens of the {size[0]}x{size[1]} camera is fitted to {error:.1f} px at worst")
    return fitted


def _beside(camera: Camera, depth: dict[str, Any], colour: dict[str, Any]) -> Camera:
    """Extrinsics of the colour camera against the depth camera; the file states both against the device, in metres."""

    def pose(entry: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rotation = np.array(entry["Rt"]["Rotation"], dtype=np.float64).reshape(3, 3)
        return rotation, np.array(entry["Rt"]["Translation"], dtype=np.float64) * 1000

    (depth_rotation, depth_shift), (colour_rotation, colour_shift) = pose(depth), pose(colour)
    rotation = colour_rotation @ depth_rotation.T
    shift = colour_shift - rotation @ depth_shift
    values = camera.to_dict() | {"rotation": rotation.ravel().tolist(), "translation_mm": shift.tolist()}
    return Camera.from_dict(values)
