"""Kinds of held object of the user's own: a function that draws a random shape, in a Python file that the user names.

    def gear(draws: Draws) -> Shape:
        radius = draws.between(15, 40)
        return Shape([cylinder(radius, 6.0)], grip=(-5.0, 5.0), gloss=0.7)

    register_object_kind("gear", gear)

`graspcut synth --object my_kind.py` then puts a new one into every hand that holds an object of the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graspcut.own_files import OwnFile, OwnFileError, file_of, run_own_file
from graspcut.synth.objects.building_blocks import Draws, Shape
from graspcut.synth.objects.catalogue import KINDS, HeldObject, object_of_kind

_registered: dict[tuple[str, str], Callable[[Draws], Shape]] = {}


@dataclass(frozen=True)
class OwnKinds:
    """The kinds of one file.

    Attributes:
        builders: name -> function.
    """

    builders: tuple[tuple[str, Callable[[Draws], Shape]], ...]

    def draw(self, rng: np.random.Generator) -> HeldObject:
        """A random object of a random one of the kinds."""
        name, build = self.builders[int(rng.integers(len(self.builders)))]
        return object_of_kind(name, build, rng)


def register_object_kind(name: str, build: Callable[[Draws], Shape]) -> None:
    """Makes a kind of object of one's own known in this process.

    Args:
        name: of the kind.
        build: draws a shape: y along its long axis, the origin near its middle, millimetres. All its randomness comes
            from its argument, so that a frame's number decides what is in it.

    Raises:
        OwnFileError: it is defined in no file, or the renderer has a kind of that name.
    """
    if name in KINDS:
        raise OwnFileError(f"the renderer has a kind {name!r} already; choose another name")
    _registered[name, file_of(build).sha256] = build


def open_kind_file(path: str | Path) -> OwnKinds:
    """Runs a file that registers kinds of object, and draws one of each to see that it can.

    Raises:
        OwnFileError: it cannot be run, registers none, or a kind gives no shape.
    """
    run_own_file(path)
    digest = OwnFile.of(path).sha256
    found = tuple((name, build) for (name, other), build in sorted(_registered.items()) if other == digest)
    if not found:
        raise OwnFileError(f'{path} registers no kind of object: end it with register_object_kind("name", function)')
    for name, build in found:
        try:
            object_of_kind(name, build, np.random.default_rng(0))
        except Exception as error:  # whatever the user's function may raise
            raise OwnFileError(f"{path}: the kind {name} gives no object: {type(error).__name__}: {error}") from error
    return OwnKinds(found)
