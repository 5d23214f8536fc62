"""What people look at and take away of labelled frames: overlays, cut-outs, masks, contact sheets, animations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, cut_out, depth_to_colour, overlay, overlay_on_colour
from graspcut.frames.alignment import registered
from graspcut.frames.animation import write_animation
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image, read_colour, write_image_atomically
from graspcut.labels import BACKGROUND, LABEL_NAMES

OVERLAY_FOLDER, CUTOUT_FOLDER, MASKS_FOLDER = "overlay", "cutout", "masks"
SHEET_NAME = "contact-sheet.png"
_SHEET_PICTURES, _SHEET_COLUMNS = 24, 4
_INSIDE = 255


@dataclass(frozen=True)
class Pictures:
    """What is written of every frame beside its labels.

    Attributes:
        overlay: overlay/NAME.png, hand and object tinted on the registered colour, or on shaded depth.
        cutout: cutout/NAME.png, RGBA: hand and object in their colours (or those of depth), all else transparent.
        masks: masks/hand/NAME.png and masks/object/NAME.png, 255 inside and 0 outside.
    """

    overlay: bool = False
    cutout: bool = False
    masks: bool = False

    def names(self, name: str) -> tuple[str, ...]:
        """The files of a frame, below the output folder."""
        kinds = ((self.overlay, OVERLAY_FOLDER), (self.cutout, CUTOUT_FOLDER))
        files = [f"{folder}/{name}.png" for wanted, folder in kinds if wanted]
        if self.masks:
            files += [f"{MASKS_FOLDER}/{kind}/{name}.png" for kind in LABEL_NAMES[1:]]
        return tuple(files)

    def colour_of(self, frame: Frame) -> NDArray[np.uint8] | None:
        """The frame's colour at its depth pixels, if it is needed and there is one that can be brought there."""
        if not (self.overlay or self.cutout) or frame.colour is None:
            return None
        try:
            return registered(frame).colour
        except FrameError:  # no camera says where its pixels are
            return None

    def encoded(
        self, depth_mm: NDArray[np.float32], colour: NDArray[np.uint8] | None, labels: NDArray[np.uint8], name: str
    ) -> dict[str, bytes]:
        """The files of a frame as PNG.

        Args:
            depth_mm: (H, W) millimetres.
            colour: (H, W, 3) uint8 RGB from `colour_of`, or None.
            labels: (H, W) uint8.
            name: of the frame.
        """
        files = {}
        if self.overlay:
            picture = overlay(depth_mm, labels) if colour is None else overlay_on_colour(depth_mm, colour, labels)
            files[f"{OVERLAY_FOLDER}/{name}.png"] = encode_image(picture, ".png")
        if self.cutout:
            seen = depth_to_colour(depth_mm) if colour is None else colour
            files[f"{CUTOUT_FOLDER}/{name}.png"] = encode_image(cut_out(seen, labels != BACKGROUND), ".png")
        if self.masks:
            for label, kind in enumerate(LABEL_NAMES[1:], start=1):
                mask = np.where(labels == label, np.uint8(_INSIDE), np.uint8(0))
                files[f"{MASKS_FOLDER}/{kind}/{name}.png"] = encode_image(mask, ".png")
        return files


def save_contact_sheet(out: str | Path, names: Sequence[str]) -> Path:
    """Writes contact-sheet.png of up to 24 overlays, evenly spread.

    Args:
        out: folder with overlay/NAME.png.
        names: of the frames, in order.

    Raises:
        FrameError: there are no overlays.
    """
    chosen = [names[index] for index in np.unique(np.linspace(0, len(names) - 1, _SHEET_PICTURES).round().astype(int))]
    images = [_overlay(Path(out), name) for name in chosen]
    path = Path(out) / SHEET_NAME
    write_image_atomically(path, contact_sheet(images, min(_SHEET_COLUMNS, len(images)), chosen))
    return path


def save_animation(
    out: str | Path, names: Sequence[str], kind: Literal["gif", "mp4"], frames_per_second: float = 15.0
) -> Path:
    """Writes animation.gif or animation.mp4 of all overlays of the first one's size.

    Args:
        out: folder with overlay/NAME.png.
        names: of the frames, in order.
        kind: of the file.
        frames_per_second: at which it plays.

    Raises:
        FrameError: there are no overlays.
        ModuleNotFoundError: MP4 without PyAV, the extra `import`.
    """
    images = [_overlay(Path(out), name) for name in names]
    path = Path(out) / f"animation.{kind}"
    write_animation(path, [image for image in images if image.shape == images[0].shape], frames_per_second)
    return path


def _overlay(out: Path, name: str) -> NDArray[np.uint8]:
    return read_colour(out / OVERLAY_FOLDER / f"{name}.png")
