"""A small recording with known labels: a hand of skin colour holds a red bar before a wall; the colour camera stands
beside the depth camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.recording import RecordingWriter
from graspcut.labels import BACKGROUND, HAND, OBJECT

WIDTH, HEIGHT = 160, 120
DEPTH_CAMERA = Camera.from_focal_length(WIDTH, HEIGHT, 119.0)
COLOUR_CAMERA = Camera(119.0, 119.0, 79.5, 59.5, WIDTH, HEIGHT, translation_mm=(-25.7, 0.0, 0.0))
COLOURS = np.array([(60, 70, 90), (205, 155, 125), (190, 25, 35)], np.uint8)
DISTANCES_MM = (900.0, 420.0, 300.0)


def view(camera: Camera, shift_mm: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Depth and labels of the scene as a camera sees it: an arm from below, a bar over its right half, a wall."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    depth = np.full(columns.shape, DISTANCES_MM[BACKGROUND], np.float32)
    labels = np.zeros(columns.shape, np.uint8)
    for label in (HAND, OBJECT):
        z = DISTANCES_MM[label]
        x = (columns - camera.cx) / camera.fx * z - camera.translation_mm[0]
        y = (rows - camera.cy) / camera.fy * z
        if label == HAND:
            inside = (np.abs(x - shift_mm) < 45) & (y > -110)
        else:
            inside = (x - shift_mm > 0) & (x - shift_mm < 90) & (np.abs(y + 20) < 28)
        depth[inside], labels[inside] = z, label
    return depth, labels


def frames(count: int) -> list[tuple[Frame, NDArray[np.uint8]]]:
    """Frames with their true labels; the hand moves from frame to frame."""
    rng = np.random.default_rng(4)
    made = []
    for number in range(count):
        shift = 15.0 * np.sin(number / 3)
        depth, labels = view(DEPTH_CAMERA, shift)
        _, seen = view(COLOUR_CAMERA, shift)
        shade = rng.uniform(0.85, 1.0)
        colour = np.clip(COLOURS[seen] * shade + rng.normal(0, 2, (*seen.shape, 3)), 0, 255).astype(np.uint8)
        made.append((Frame(depth, DEPTH_CAMERA, colour, COLOUR_CAMERA, number / 30), labels))
    return made


def write_recording(folder: Path, count: int = 12) -> list[NDArray[np.uint8]]:
    """A recording of such frames in whole millimetres; returns the true labels."""
    made = frames(count)
    with RecordingWriter(folder, DEPTH_CAMERA, 1.0, COLOUR_CAMERA) as writer:
        for frame, _ in made:
            writer.append(frame.depth_mm.astype(np.uint16), frame.colour, frame.timestamp_s)
    return [labels for _, labels in made]
