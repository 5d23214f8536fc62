"""What frames to render."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from graspcut.frames.camera import Camera
from graspcut.synth.objects.files import ObjectFile
from graspcut.synth.place import PlaceConfig
from graspcut.synth.scenes.config import PROFILES, ProfileName, SceneConfig
from graspcut.synth.sensors.names import SensorName
from graspcut.synth.sensors.presets import sensor_preset


@dataclass(frozen=True)
class SynthConfig:
    """What frames to make.

    Attributes:
        width: Width of the frames in pixels.
        height: Height in pixels.
        profile: Version of the renderer: "v1" makes the frames of the first version again, "v2" shows more places.
        sensor: Preset of the depth sensor, one of `sensors.names.SENSOR_NAMES`; by default "mix", one of all cameras
            for each frame, and "sr300" for profile v1.
        vary_sensor: Draw the strength of every sensor effect, and in profile v2 the focal length, anew for each frame;
            otherwise they are the preset's own.
        held_out_kinds: Held objects are of the kinds kept out of training.
        colour: Render the colour camera too.
        window: (width, height) of a window cut from the frame around a hand, as if the camera had delivered only
            that; or None.
        focal_jitter: Standard deviation of the log focal length; 0 keeps the preset's.
        place: Real frames of an empty place to put close-ups into, with that place's camera; frames then have no
            colour.
        objects: Meshes of the user's own objects, to be held and to lie about; `scene.own_objects` says how often.
        hand_mesh: Skinned hand (.glb) with the 25 joint names of WebXR, or a folder of such hands, that some hands are
            drawn with; `scene.own_hand` says how many.
        clip_frames: Frames of one moving scene, one after the other, 1/30 s apart, with the same ids; 1 = pictures that
            have nothing to do with each other.
        cut_background: Chance that everything beyond a slab behind the nearest hand is removed, as recordings often
            are.
        scene: How often things occur.
    """

    width: int = 320
    height: int = 240
    profile: ProfileName = "v2"
    sensor: SensorName | None = None
    vary_sensor: bool = True
    held_out_kinds: bool = False
    colour: bool = True
    window: tuple[int, int] | None = None
    focal_jitter: float = 0.0
    place: PlaceConfig | None = None
    objects: tuple[ObjectFile, ...] = ()
    hand_mesh: str | None = None
    clip_frames: int = 1
    cut_background: float = 0.3
    scene: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ValueError(f"profile {self.profile!r} is unknown; known profiles: {', '.join(PROFILES)}")
        if self.sensor is None:
            object.__setattr__(self, "sensor", "sr300" if self.profile == "v1" else "mix")
        if self.sensor == "mix" and self.profile == "v1":
            raise ValueError("profile v1 has one sensor for all frames; choose one, or profile v2 for a mix")
        if self.sensor != "mix":
            sensor_preset(str(self.sensor))
        if self.width < 16 or self.height < 16:
            raise ValueError(f"frames of {self.width}x{self.height} are too small; at least 16x16 is needed")
        if self.place is not None and self.profile == "v1":
            raise ValueError("profile v1 knows no places; choose profile v2 for frames of a place of your own")
        if (self.objects or self.hand_mesh) and self.profile == "v1":
            raise ValueError(
                "profile v1 knows no objects or hands from files; choose profile v2 for shapes of your own"
            )
        if self.clip_frames < 1 or (self.clip_frames > 1 and self.profile == "v1"):
            raise ValueError(f"clips of {self.clip_frames} frames; expected 1 or more, and 1 for profile v1")
        if self.window is not None and (self.window[0] > self.width or self.window[1] > self.height):
            raise ValueError(f"window {self.window} does not fit into {self.width}x{self.height}")

    def camera(self) -> Camera:
        """The depth camera of the preset at this size, without window and jitter; an SR300's for "mix"."""
        preset = sensor_preset("sr300" if self.sensor == "mix" else str(self.sensor))
        return held_camera(preset.camera, self)


def held_camera(make: Callable[[int, int], Camera], config: SynthConfig) -> Camera:
    """A camera of the configured size; an upright one is a camera held upright, so its long side counts."""
    if config.profile == "v1" or config.height <= config.width:
        return make(config.width, config.height)
    lying = make(config.height, config.width)
    return replace(
        lying,
        fx=lying.fy,
        fy=lying.fx,
        cx=lying.cy,
        cy=lying.cx,
        width=config.width,
        height=config.height,
    )
