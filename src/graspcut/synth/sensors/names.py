"""Names of the depth cameras that can be rendered; `presets.py` says what each is."""

from __future__ import annotations

from typing import Final, Literal, get_args

# "mix" draws one of the cameras for each frame.
SensorName = Literal["sr300", "kinect", "stereo", "tof", "lidar", "ideal", "mix"]
SENSOR_NAMES: Final[tuple[SensorName, ...]] = get_args(SensorName)
