"""ROS 1 bags, ROS 2 bags and MCAP by topic, through the library rosbags; no ROS is needed.

Depth topics: sensor_msgs/Image of 16UC1 or mono16 (millimetres) or 32FC1 (metres), and "compressedDepth" with 16-bit
PNG inside. A "compressed" depth topic is 8 bits: refused, with the topic to record instead. Colour: rgb8, bgr8, rgba8,
bgra8, mono8, or compressed JPEG or PNG. Intrinsics come from the CameraInfo topic beside the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.depth_values import check_unit
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.stream import (
    FLOAT_UNIT_MM,
    Pairing,
    Stream,
    StreamFrame,
    brown_conrady,
    decoded_colour,
    metres_to_raw,
    with_fitted_distortion,
)

_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_PNG = b"\x89PNG\r\n\x1a\n"
_PAIR_S = 0.04


def open_ros(
    path: str | Path,
    *,
    depth_topic: str | None = None,
    colour_topic: str | None = None,
    registered: bool = False,
    depth_unit_mm: float | None = None,
) -> Stream:
    """Opens a bag.

    Args:
        path: .bag, .mcap or .db3 file, or the folder of a ROS 2 bag.
        depth_topic: The depth images; found by name if only one topic looks like it.
        colour_topic: The colour images; likewise. "" leaves colour out.
        registered: Colour lies pixel by pixel on depth ("aligned_depth_to_color").
        depth_unit_mm: Millimetres per step of whole numbers; 1 if not given, as ROS says.

    Raises:
        FrameError: If the bag cannot be read, or topics are missing, several, or 8-bit depth.
        ModuleNotFoundError: Without the extra `import`.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        reader = AnyReader([Path(path)], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:  # rosbags has an error class for each of its readers
        raise FrameError(f"{path} cannot be read as a bag ({error}); copy it again, or repair it with ROS.") from error
    topics = {
        connection.topic: connection.msgtype for connection in reader.connections if connection.msgtype in _IMAGES
    }
    depth = _depth_topic(depth_topic, topics, path)
    colour = _colour_topic(colour_topic, topics, depth)
    notes: list[str] = []
    camera = _camera(reader, depth, notes)
    colour_camera = None if colour is None or registered else _camera(reader, colour, notes)
    if colour is not None and not registered:
        notes.append(
            "a bag does not say where its cameras are to each other: colour is taken as standing where depth does; "
            "give --registered for aligned topics"
        )
        if colour_camera is None:
            raise FrameError(
                f"{path} has no CameraInfo beside {colour}; record it, or give --registered if it is aligned."
            )
    expected = sum(entry.msgcount for entry in reader.connections if entry.topic == depth)
    unit = _unit(reader, depth, 1.0 if depth_unit_mm is None else check_unit(depth_unit_mm))

    def frames() -> Iterator[StreamFrame]:
        yield from _frames(reader, depth, colour, stream)

    stream = Stream(frames, unit, camera, colour_camera, expected, notes, close=reader.close)
    return stream


def _depth_topic(given: str | None, topics: dict[str, str], path: str | Path) -> str:
    listed = ", ".join(sorted(topics)) or "none"
    if given is not None and given not in topics:
        raise FrameError(f"{path} has no image topic {given}; it has {listed}.")
    found = [given] if given is not None else [name for name in topics if "depth" in name.lower()]
    usable = [name for name in found if not _is_8_bit(name)]
    if found and not usable:
        base = found[0].removesuffix("/compressed")
        raise FrameError(
            f"{found[0]} is depth in 8-bit JPEG or PNG, which cannot be undone; expected 16 bits. Record {base} or "
            f"{base}/compressedDepth instead."
        )
    if len(usable) != 1:
        raise FrameError(f"{path} has {len(usable)} depth topics; expected one. Say which: --depth-topic, of {listed}.")
    return usable[0]


def _is_8_bit(topic: str) -> bool:
    return topic.endswith("/compressed")


def _colour_topic(given: str | None, topics: dict[str, str], depth: str) -> str | None:
    if given == "":
        return None
    if given is not None:
        if given not in topics:
            raise FrameError(f"there is no image topic {given}; there are {', '.join(sorted(topics))}.")
        return given
    found = [
        name for name in topics if name != depth and any(word in name.lower() for word in ("color", "colour", "rgb"))
    ]
    found = [name for name in found if "depth" not in name.lower()]
    if len(found) > 1:
        raise FrameError(f"several topics may be colour ({', '.join(sorted(found))}); say which: --colour-topic.")
    return found[0] if found else None


def _camera(reader: Any, topic: str, notes: list[str]) -> Camera | None:
    """The camera of the CameraInfo topic beside an image topic."""
    base = topic.removesuffix("/compressedDepth").removesuffix("/compressed")
    wanted = (f"{base.rpartition('/')[0]}/camera_info", f"{base}/camera_info")
    infos = [entry for entry in reader.connections if entry.topic in wanted and entry.msgtype.endswith("/CameraInfo")]
    for connection, _, data in reader.messages(infos[:1]):
        info = reader.deserialize(data, connection.msgtype)
        # ROS 1 and ROS 2 spell these differently.
        matrix = [float(value) for value in getattr(info, "k", getattr(info, "K", []))]
        lens = [float(value) for value in getattr(info, "d", getattr(info, "D", []))]
        camera = Camera(matrix[0], matrix[4], matrix[2], matrix[5], int(info.width), int(info.height))
        if any(lens):
            if info.distortion_model not in ("plumb_bob", "rational_polynomial"):
                raise FrameError(
                    f"the lens model {info.distortion_model!r} of {topic} is unknown; record rectified images."
                )
            k1, k2, p1, p2, *rest = lens
            camera, error = with_fitted_distortion(camera, brown_conrady((k1, k2, *rest), p1, p2))
            notes.append(f"the lens of {topic} is fitted to {error:.2f} px at worst")
        return camera
    notes.append(f"no CameraInfo beside {topic}: the camera is unknown; give --focal-px or --camera")
    return None


def _unit(reader: Any, topic: str, whole_mm: float) -> float:
    """Floating point becomes steps of an eighth of a millimetre; whole numbers are millimetres, as ROS says, or what
    was given."""
    connections = [entry for entry in reader.connections if entry.topic == topic]
    for connection, _, data in reader.messages(connections):
        message = reader.deserialize(data, connection.msgtype)
        encoding = str(getattr(message, "encoding", None) or getattr(message, "format", ""))
        return FLOAT_UNIT_MM if "32FC1" in encoding else whole_mm
    raise FrameError(f"the topic {topic} has no messages; expected depth images.")


def _frames(reader: Any, depth: str, colour: str | None, stream: Stream) -> Iterator[StreamFrame]:
    pairing = Pairing(colour is not None, _PAIR_S)
    connections = [entry for entry in reader.connections if entry.topic in {depth, colour or depth}]
    for connection, received, data in reader.messages(connections):
        try:
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp
            nanoseconds = int(stamp.sec) * 10**9 + int(stamp.nanosec) or received
            if connection.topic == depth:
                pairing.add_depth(nanoseconds / 1e9, _depth_image(message, depth))
            else:
                pairing.add_colour(nanoseconds / 1e9, _colour_image(message))
        except FrameError as error:
            stream.damaged.append(f"{connection.topic} at {received / 1e9:.3f} s: {error}")
            continue
        yield from pairing.ready()
    yield from pairing.ready(end=True)


def _depth_image(message: Any, topic: str) -> NDArray[np.uint16]:
    if hasattr(message, "format"):
        data = bytes(message.data)
        place = data.find(_PNG, 0, 64)
        image = None if place < 0 else cv2.imdecode(np.frombuffer(data[place:], np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or image.dtype != np.uint16 or "32FC1" in str(message.format):
            raise FrameError(f"{message.format!r} holds no 16-bit PNG; record {topic.rpartition('/')[0]} instead.")
        return np.asarray(image)
    if message.encoding in ("16UC1", "mono16"):
        return _pixels(message, "u2", 1)[..., 0].astype(np.uint16)
    if message.encoding == "32FC1":
        return metres_to_raw(_pixels(message, "f4", 1)[..., 0].astype(np.float32))
    raise FrameError(f"depth images are {message.encoding!r}; expected 16UC1, mono16 or 32FC1.")


def _colour_image(message: Any) -> NDArray[np.uint8]:
    if hasattr(message, "format"):
        return decoded_colour(bytes(message.data), "the compressed picture")
    channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}.get(message.encoding)
    if channels is None:
        raise FrameError(f"colour images are {message.encoding!r}; expected rgb8, bgr8, rgba8, bgra8 or mono8.")
    image = _pixels(message, "u1", channels)
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    rgb = image[..., :3] if message.encoding.startswith("rgb") else image[..., 2::-1]
    return np.ascontiguousarray(rgb)


def _pixels(message: Any, kind: str, channels: int) -> NDArray[Any]:
    """(H, W, channels) of a message's bytes; rows may be padded and either end first."""
    pixel = np.dtype((">" if message.is_bigendian else "<") + kind)
    rows = np.frombuffer(bytes(message.data), dtype=np.uint8)
    row_bytes = int(message.width) * channels * pixel.itemsize
    if int(message.step) < row_bytes or rows.size < int(message.step) * int(message.height):
        raise FrameError(f"an image of {message.width}x{message.height} has {rows.size} bytes; the bag is damaged.")
    rows = rows[: int(message.step) * int(message.height)].reshape(int(message.height), int(message.step))
    return (
        np.ascontiguousarray(rows[:, :row_bytes]).view(pixel).reshape(int(message.height), int(message.width), channels)
    )
