"""What every run over frames says of a frame alone: its depth range, its focal length, and whether that was assumed."""

from __future__ import annotations

from typing import Any

from graspcut.frames.camera import DEFAULT_FOCAL_PER_WIDTH, Camera, CameraLike, focal_length_px
from graspcut.frames.camera_presets import cameras_of_size
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.notes import Note
from graspcut.frames.plausibility import depth_range

# A camera whose focal length differs by more from what was assumed is named.
_DIFFERENT_FOCAL = 0.1


def facts_of(frame: Frame, given: CameraLike | None = None) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Entries of the frame's row in summary.json, and all there is to note about it.

    Args:
        frame: The frame.
        given: What the user said of frames without a camera.
    """
    found = depth_range(frame.depth_mm)
    row = {
        "focal_px": round(focal_length_px(frame.camera, frame.width), 3),
        "focal_is_assumed": frame.camera is None,
        "nearest_mm": None if found is None else round(found.near, 1),
        "farthest_mm": None if found is None else round(found.far, 1),
    }
    notes = frame.notes or ()
    if frame.camera is None:
        notes = (*notes, assumed_focal_note(frame.width, frame.height))
    elif given is not None and not _is_given(frame.camera, given):
        notes = (*notes, Note("camera", "the camera that was given is not used: the input has its own"))
    return row, notes


def _is_given(camera: Camera, given: CameraLike) -> bool:
    try:
        return Camera.of(given, camera.width, camera.height) == camera
    except FrameError:  # it belongs to pictures of another shape
        return False


def assumed_focal_note(width: int, height: int) -> Note:
    """Says which focal length was taken for a frame without a camera, and whose size the picture has."""
    assumed = focal_length_px(None, width)
    text = (
        f"no camera is known: the focal length was taken as {DEFAULT_FOCAL_PER_WIDTH} times the width, {assumed:.0f} "
        "pixels; give --focal-px or --camera"
    )
    others = [
        (name, focal) for name, focal in cameras_of_size(width, height) if abs(focal / assumed - 1) > _DIFFERENT_FOCAL
    ]
    if others:
        text += f". {width}x{height} is a size of {', '.join(f'{name} ({focal:.0f})' for name, focal in others)}"
    return Note("focal length", text)
