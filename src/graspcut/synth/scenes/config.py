"""How often things occur in a scene, and which version of the renderer draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

# v1 makes the frames of the first version again, to the byte: close-ups alone. v2 shows the places and cameras that
# people have. A profile that has been published never changes; what changes frames gets a new name.
ProfileName = Literal["v1", "v2"]
PROFILES: Final[tuple[ProfileName, ...]] = get_args(ProfileName)


@dataclass(frozen=True)
class SceneConfig:
    """How often things occur. Chances are 0..1.

    Attributes:
        room: Chance of a room without a hand (profile v2).
        people_at_table: Chance of one or two people at a table, seen from above or from the side (profile v2). All else
            are close-ups, to which what follows belongs.
        held_out_kinds: Draw held objects from the kinds kept out of training instead of the training kinds.
        own_objects: Share of the held objects that are the user's own, when there are such; half as many of those that
            lie about.
        own_hand: Share of the hands that are drawn with the user's meshes, when there are any.
        nothing: Chance of a frame with neither hand nor object.
        object_only: Chance of an object without a hand; profile v2 calls it background, as nobody holds it.
        hand_only: Chance that a hand holds nothing.
        open_handed: Share of the grasps in which most fingers stay stretched behind what is held.
        two_hands: Chance of a second hand.
        sleeve: Chance of a sleeve.
        nearest_mm: Smallest distance of the hand from the camera.
        farthest_mm: Largest distance.
        background_none: Chance of no background at all.
        table: Chance of a table with clutter, when there is a background.
        person: Chance of a person behind, when there is a background.
        wall: Chance of a wall, when there is a background.
    """

    room: float = 0.22
    people_at_table: float = 0.4
    held_out_kinds: bool = False
    own_objects: float = 0.7
    own_hand: float = 0.6
    nothing: float = 0.02
    object_only: float = 0.04
    hand_only: float = 0.2
    open_handed: float = 0.0
    two_hands: float = 0.16
    sleeve: float = 0.5
    nearest_mm: float = 215.0
    farthest_mm: float = 1100.0
    background_none: float = 0.3
    table: float = 0.5
    person: float = 0.45
    wall: float = 0.35
