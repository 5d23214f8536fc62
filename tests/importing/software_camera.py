"""A RealSense camera without the camera: librealsense's software device, which gives the frames it is told to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

rs: Any = pytest.importorskip(
    "pyrealsense2",
    exc_type=ImportError,
    reason="pyrealsense2 cannot be imported: install the extra realsense and Debian's libusb-1.0-0",
)

WIDTH, HEIGHT = 64, 48


class SoftwareCamera:
    """A camera of the library that gives the frames it is told to."""

    def __init__(self) -> None:
        self.device = rs.software_device()
        self.sensors, self.profiles = [], []
        for uid, kind, form, size in ((1, "depth", rs.format.z16, 2), (2, "color", rs.format.rgb8, 3)):
            stream = rs.video_stream()
            stream.type, stream.index, stream.uid = getattr(rs.stream, kind), 0, uid
            stream.width, stream.height, stream.fps, stream.bpp, stream.fmt = WIDTH, HEIGHT, 30, size, form
            lens = rs.intrinsics()
            lens.width, lens.height, lens.ppx, lens.ppy, lens.fx, lens.fy = WIDTH, HEIGHT, 31.5, 23.5, 47.0 + uid, 48.0
            lens.model = rs.distortion.inverse_brown_conrady
            lens.coeffs = [0.1, 0.02, 0.0, 0.0, 0.0] if kind == "depth" else [0.0] * 5
            stream.intrinsics = lens
            sensor = self.device.add_sensor(kind)
            self.sensors.append(sensor)
            self.profiles.append(sensor.add_video_stream(stream))
        self.sensors[0].add_read_only_option(rs.option.depth_units, 0.000125)
        place = rs.extrinsics()
        place.rotation, place.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0.0257, 0.0, 0.004]
        self.profiles[0].register_extrinsics_to(self.profiles[1], place)

    def give(self, number: int) -> None:
        """One depth frame and one picture; the number is in both."""
        images: tuple[Any, Any] = (
            np.full((HEIGHT, WIDTH), 4000 + number, np.uint16),
            np.full((HEIGHT, WIDTH, 3), number, np.uint8),
        )
        for sensor, profile, image in zip(self.sensors, self.profiles, images, strict=True):
            frame = rs.software_video_frame()
            size = image.dtype.itemsize * (1 if image.ndim == 2 else 3)
            frame.pixels, frame.stride, frame.bpp = image, WIDTH * size, size
            frame.timestamp, frame.frame_number = number * 33.333, number
            frame.profile, frame.domain = profile.as_video_stream_profile(), rs.timestamp_domain.hardware_clock
            if image.ndim == 2:
                frame.depth_units = 0.000125
            sensor.on_video_frame(frame)
