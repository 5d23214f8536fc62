"""Training samples: named maps and named points of one picture, which every change of geometry moves together.

    sample = Sample({"depth_mm": Map(depth, DEPTH), "labels": Map(labels, LABELS)}, focal_px=475.0)
    sample = Sample({"colour": Map(rgb, COLOUR), "alpha": Map(alpha, ALPHA)})
    sample = Sample({"depth_mm": Map(depth, DEPTH), "parts": Map(parts, PARTS)}, 240.0,
                    points={"joints_mm": Points(joints_mm, "mm")})
    sample["depth_mm"]                                             # the array

A map's kind says how it is sampled and what stands where the picture ends; make another `MapKind` where none fits (a
trimap: `MapKind("trimap", "nearest", 0)`). `sample_of` takes maps and joints out of a labelled frame by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import focal_length_px
from graspcut.frames.labelled import LabelledFrame
from graspcut.labels import BACKGROUND, UNKNOWN


@dataclass(frozen=True)
class MapKind:
    """What the values of a map mean to geometry.

    Attributes:
        name: of the kind.
        interpolation: "nearest" for values that must not be mixed, "linear" for the rest.
        empty: value of pixels that come from outside the picture.
        unknown: value that means "not known" and is never overwritten; None has none.
        swapped: pairs of values that a flip exchanges, such as left and right hand.
    """

    name: str
    interpolation: Literal["nearest", "linear"]
    empty: float
    unknown: int | None = None
    swapped: tuple[tuple[int, int], ...] = ()


DEPTH = MapKind("depth", "nearest", 0.0)
"""Millimetres, 0 = no data. Bilinear sampling would invent pixels that float between the hand and the background."""
COLOUR = MapKind("colour", "linear", 0.0)
LABELS = MapKind("labels", "nearest", BACKGROUND, unknown=UNKNOWN)
PARTS = MapKind("parts", "nearest", 0, unknown=UNKNOWN)
INSTANCES = MapKind("instances", "nearest", 0)
ALPHA = MapKind("alpha", "linear", 0.0)


class Map(NamedTuple):
    """One map of a sample.

    Attributes:
        array: (H, W) or (H, W, C), in any type that OpenCV samples (uint8, uint16, float32, ...).
        kind: how geometry treats it.
    """

    array: NDArray[Any]
    kind: MapKind


@dataclass(frozen=True)
class Points:
    """Points of a sample.

    Attributes:
        coordinates: (..., N, 2) pixels (x right, y down, centre of the first pixel at 0, 0), or (..., N, 3) camera
            millimetres. NaN stays NaN.
        unit: "px" or "mm".
        swapped: pairs of rows (of the axis N) that a flip exchanges, such as left and right shoulder.
    """

    coordinates: NDArray[np.floating[Any]]
    unit: Literal["px", "mm"]
    swapped: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        wanted = {"px": 2, "mm": 3}.get(self.unit)
        if wanted is None or self.coordinates.ndim < 2 or self.coordinates.shape[-1] != wanted:
            raise ValueError(
                f"points in {self.unit!r} have shape {self.coordinates.shape}; expected (..., N, 2) in 'px' or "
                "(..., N, 3) in 'mm'"
            )


@dataclass(frozen=True)
class Sample:
    """One training sample. Changes give new samples; nothing is changed in place.

    Attributes:
        maps: at least one, by name, all of one (H, W).
        focal_px: focal length in pixels of this picture.
        points: by name.
        principal_point_px: (x, y) where the optical axis meets the picture; None is its centre.
        values: anything else a target needs and no change touches (a name, a hand's side).
    """

    maps: Mapping[str, Map]
    focal_px: float = 1.0
    points: Mapping[str, Points] = field(default_factory=dict)
    principal_point_px: tuple[float, float] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: entry.array.shape for name, entry in self.maps.items()}
        if not shapes or any(len(shape) not in (2, 3) or shape[:2] != self.size for shape in shapes.values()):
            raise ValueError(f"a sample needs maps of one (H, W) shape, got {shapes}")
        if not self.focal_px > 0:
            raise ValueError(f"focal_px must be positive, got {self.focal_px}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        for entry in self.maps.values():
            return entry.array.shape[0], entry.array.shape[1]
        return 0, 0

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point (x, y)."""
        if self.principal_point_px is not None:
            return self.principal_point_px
        height, width = self.size
        return (width - 1) / 2, (height - 1) / 2

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array of a map."""
        if name not in self.maps:
            raise KeyError(f"the sample has no map {name!r}, only {', '.join(self.maps)}")
        return self.maps[name].array

    def name_of(self, kind: MapKind) -> str | None:
        """Name of the first map of a kind, or None."""
        return next((name for name, entry in self.maps.items() if entry.kind.name == kind.name), None)

    def replaced(self, **arrays: NDArray[Any]) -> Sample:
        """A sample with other arrays in some of its maps; kinds stay."""
        maps = {name: Map(arrays.get(name, array), kind) for name, (array, kind) in self.maps.items()}
        return dataclasses.replace(self, maps=maps)

    def foreground(self) -> NDArray[np.bool_] | None:
        """(H, W): what the first map of labels, parts or instances names; None where there is none."""
        for kind in (LABELS, PARTS, INSTANCES):
            name = self.name_of(kind)
            if name is not None:
                array, found = self.maps[name]
                named: NDArray[np.bool_] = array != found.empty
                return named if found.unknown is None else named & (array != found.unknown)
        return None


FRAME_MAPS = ("depth_mm", "labels", "instances", "parts", "colour")


def sample_of(labelled: LabelledFrame, what: Sequence[str] = ("depth_mm", "labels")) -> Sample:
    """A sample from a labelled frame.

    Args:
        labelled: the frame.
        what: of "depth_mm", "labels", "instances", "parts", "colour" and "joints_mm" (points (hands, 21, 3)). With
            joints or instances the sample's value "instance_table" is the frame's. Colour must be that of the depth
            camera's own pixels.

    Raises:
        ValueError: an unknown name, or something the frame does not have.
    """
    frame = labelled.frame
    height, width = frame.depth_mm.shape
    unknown = sorted(set(what) - {*FRAME_MAPS, "joints_mm"})
    if unknown:
        raise ValueError(f"a labelled frame has no {', '.join(unknown)}; choose of {', '.join(FRAME_MAPS)}, joints_mm")
    if "colour" in what and frame.colour is not None and frame.colour.shape[:2] != (height, width):
        raise ValueError(f"frame {frame.name!r} has colour of another camera; align it to the depth camera first")
    arrays: dict[str, tuple[NDArray[Any] | None, MapKind]] = {
        "depth_mm": (frame.depth_mm, DEPTH),
        "labels": (labelled.labels, LABELS),
        "instances": (labelled.instances, INSTANCES),
        "parts": (labelled.parts, PARTS),
        "colour": (frame.colour, COLOUR),
    }
    lacking = [name for name in what if name in arrays and arrays[name][0] is None]
    if lacking:
        raise ValueError(f"frame {frame.name!r} has no {', '.join(lacking)}: use data that hold them")
    maps = {name: Map(array, kind) for name, (array, kind) in arrays.items() if name in what and array is not None}
    points = {"joints_mm": Points(labelled.joints_mm, "mm")} if "joints_mm" in what else {}
    values = {"instance_table": labelled.instance_table} if {"joints_mm", "instances"} & set(what) else {}
    camera = frame.camera
    centre = None if camera is None else (camera.cx, camera.cy)
    return Sample(maps, focal_length_px(camera, width), points, centre, values)
