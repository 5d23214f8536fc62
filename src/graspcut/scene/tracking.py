"""Ids that stay with their hand and object over a recording.

    state = None
    for frame in recording:
        scene, state = track(join_instances(...), state)

State is explicit. Each thing is matched with one of the frame before: the map of ids is brought along the optical flow
of the depth (`graspcut.frames.flow`), and overlap decides, after it nearness in space. A thing that was lost is found
again where it is near and no other fits; a hand that comes back after any time gets its id again if it is the only one
missing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.flow import backward_flow, depths_agree, flow_picture, nearest_depth_mm, sample_along
from graspcut.labels import HAND, OBJECT
from graspcut.scene.instances import SceneInstance, SceneInstances, Side

_MOST_VOTES = 15
_OTHER_LABEL = 0.6  # what an overlap counts for where the labels differ
_SAME_SURFACE_MM = 40.0  # change of depth from one frame to the next, up to which it may be the same thing all the same


@dataclass(frozen=True)
class TrackingConfig:
    """When a thing is the same as before.

    Attributes:
        least_overlap: intersection over union with the map of ids brought along the flow.
        least_other_overlap: the same where the labels differ, of pixels whose depth has stayed: a frame may call a hand
            an object, but an object in one picture is no hand in another one.
        nearest_mm: how far the middle of a thing may have moved where the maps do not overlap, a frame.
        size_ratio: how many times larger or smaller it may have become, there.
        remembered: frames after which a lost object is forgotten; hands are remembered for ever.
    """

    least_overlap: float = 0.15
    least_other_overlap: float = 0.3
    nearest_mm: float = 80.0
    size_ratio: float = 2.5
    remembered: int = 30


@dataclass(frozen=True)
class Track:
    """What is remembered of a thing.

    Attributes:
        id: its number for the whole recording.
        label: `HAND` or `OBJECT`, what most of the last frames call it.
        hand_votes: frames that call it a hand, less those that call it an object, at most `_MOST_VOTES` either way.
        right_votes: frames that call a hand the right one, less those that call it the left one.
        place_mm: (x, y, z) of its middle when last seen, in focal lengths of the frame times depth: comparable between
            frames of one camera.
        area_mm2: about how large it was, in square millimetres.
        missing: frames since it was seen; 0 = in the last frame.
    """

    id: int
    label: int
    hand_votes: int
    right_votes: int
    place_mm: tuple[float, float, float]
    area_mm2: float
    missing: int = 0

    @property
    def side(self) -> Side | None:
        """Which hand most frames call it; None where as many say either."""
        return None if self.right_votes == 0 else "right" if self.right_votes > 0 else "left"


@dataclass(frozen=True, eq=False)
class TrackingState:
    """What the next frame needs.

    Attributes:
        ids: (H, W) uint8 of the last frame.
        depth_mm: (H, W) of the last frame.
        tracks: by id.
        next_id: the first one that was never used.
    """

    ids: NDArray[np.uint8]
    depth_mm: NDArray[np.float32]
    tracks: Mapping[int, Track] = field(default_factory=dict)
    next_id: int = 1


def track(
    scene: SceneInstances,
    state: TrackingState | None,
    *,
    focal_px: float | None = None,
    config: TrackingConfig | None = None,
) -> tuple[SceneInstances, TrackingState]:
    """Gives the things of a frame the ids they had before.

    Args:
        scene: the frame's things, numbered in any way.
        state: of the frame before; None begins.
        focal_px: focal length of the frame, for distances in millimetres; 0.745 times the width if not given.
        config: when a thing is the same.

    Returns:
        the frame with ids of the whole recording, and the state for the next frame.
    """
    config = config if config is not None else TrackingConfig()
    focal = 0.745 * scene.depth_mm.shape[1] if focal_px is None else focal_px
    seen = {thing.id: _track_of(thing, scene, focal) for thing in scene.instances}
    if state is None or state.ids.shape != scene.ids.shape:
        known: Mapping[int, Track] = {} if state is None else state.tracks
        state = TrackingState(np.zeros_like(scene.ids), np.zeros_like(scene.depth_mm), known, _next_id(known))
    new_id = _matched_by_overlap(scene, state, config)
    _match_by_place(seen, new_id, state, config)
    _match_the_only_missing(seen, new_id, state)
    tracks, next_id = dict(state.tracks), state.next_id
    for local in sorted(seen, key=lambda identity: -seen[identity].area_mm2):
        if local not in new_id:
            identity, next_id = _unused(tracks, next_id)
            new_id[local] = identity
    renumbered = scene.renumbered(new_id)
    present = {new_id[local]: replace(found, id=new_id[local]) for local, found in seen.items()}
    for identity, found in present.items():
        tracks[identity] = found if identity not in tracks else _with_votes(found, tracks[identity])
    # One frame may take a left hand for a right one, or for an object; all of them together rarely do.
    hands = {identity for identity in present if tracks[identity].label == HAND}
    things = tuple(_called(thing, tracks[thing.id], hands) for thing in renumbered.instances)
    renumbered = SceneInstances(renumbered.ids, things, renumbered.depth_mm)
    for identity in [identity for identity in tracks if identity not in present]:
        lost = replace(tracks[identity], missing=tracks[identity].missing + 1)
        if lost.label == OBJECT and lost.missing > config.remembered:
            del tracks[identity]
        else:
            tracks[identity] = lost
    return renumbered, TrackingState(renumbered.ids, scene.depth_mm, tracks, next_id)


def _with_votes(found: Track, before: Track) -> Track:
    """What is seen of a thing now, with what the frames before called it."""
    hand = max(-_MOST_VOTES, min(_MOST_VOTES, found.hand_votes + before.hand_votes))
    label = before.label if hand == 0 else HAND if hand > 0 else OBJECT
    return replace(found, label=label, hand_votes=hand, right_votes=found.right_votes + before.right_votes)


def _called(thing: SceneInstance, known: Track, hands: Container[int]) -> SceneInstance:
    """The thing as most frames call it; only objects are held, and only by hands."""
    is_hand = known.label == HAND
    held_by = None if is_hand or thing.held_by not in hands else thing.held_by
    return replace(thing, label=known.label, side=known.side if is_hand else None, held_by=held_by)


def _next_id(tracks: Mapping[int, Track]) -> int:
    return max(tracks, default=0) + 1


def _unused(tracks: Mapping[int, Track], next_id: int) -> tuple[int, int]:
    """A number for a new thing, and the next one; after 255 those of forgotten things are used again."""
    if next_id <= 255:
        return next_id, next_id + 1
    free = next((identity for identity in range(1, 256) if identity not in tracks), 255)
    return free, next_id


def _track_of(thing: SceneInstance, scene: SceneInstances, focal_px: float) -> Track:
    rows, columns = np.nonzero(scene.ids == thing.id)
    depth = float(np.median(scene.depth_mm[rows, columns])) if len(rows) else 0.0
    height, width = scene.depth_mm.shape
    x = (float(columns.mean()) - width / 2) / focal_px * depth if len(rows) else 0.0
    y = (float(rows.mean()) - height / 2) / focal_px * depth if len(rows) else 0.0
    area = len(rows) * (depth / focal_px) ** 2
    votes = 0 if thing.side is None else 1 if thing.side == "right" else -1
    return Track(thing.id, thing.label, 1 if thing.label == HAND else -1, votes, (x, y, depth), area)


def _matched_by_overlap(scene: SceneInstances, state: TrackingState, config: TrackingConfig) -> dict[int, int]:
    """Local id -> id of the recording, the best overlaps first."""
    before, stayed = _along_the_flow(scene, state)
    here = {thing.id: thing for thing in scene.instances}
    joint, joint_stayed = (_counts_of_pairs(scene.ids[where], before[where]) for where in (..., stayed))
    here_px, before_px = joint.sum(axis=1), joint.sum(axis=0)
    candidates = []
    for local, thing in here.items():
        for identity, old in state.tracks.items():
            if not joint[local, identity]:
                continue
            union = here_px[local] + before_px[identity] - joint[local, identity]
            same = old.label == thing.label
            overlap = float((joint if same else joint_stayed)[local, identity] / union)
            if overlap >= (config.least_overlap if same else config.least_other_overlap):
                candidates.append((overlap if same else _OTHER_LABEL * overlap, local, identity))
    matched: dict[int, int] = {}
    for _, local, identity in sorted(candidates, reverse=True):
        if local not in matched and identity not in matched.values():
            matched[local] = identity
    return matched


def _other_side(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _counts_of_pairs(here: NDArray[np.uint8], before: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256, 256): pixels of each pair of ids."""
    pairs = here.ravel().astype(np.int64) * 256 + before.ravel()
    return np.bincount(pairs, minlength=65536).reshape(256, 256)


def _along_the_flow(scene: SceneInstances, state: TrackingState) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The last map of ids where its pixels are now, and where depth is still that of the same surface."""
    if not state.ids.any():
        return state.ids, np.zeros(state.ids.shape, bool)
    nearest = nearest_depth_mm(scene.depth_mm)
    flow = backward_flow(flow_picture(scene.depth_mm, nearest), flow_picture(state.depth_mm, nearest))
    before = sample_along(state.ids.astype(np.float32), flow, nearest=True).astype(np.uint8)
    return before, depths_agree(scene.depth_mm, state.depth_mm, flow, tolerance_mm=_SAME_SURFACE_MM)


def _match_by_place(
    seen: Mapping[int, Track], new_id: dict[int, int], state: TrackingState, config: TrackingConfig
) -> None:
    """Things that overlap nothing of the frame before, by where they are; changes `new_id`."""
    candidates = []
    for local, found in seen.items():
        if local in new_id:
            continue
        for identity, old in state.tracks.items():
            if identity in new_id.values() or old.label != found.label or _other_side(found.side, old.side):
                continue
            away = float(np.linalg.norm(np.subtract(found.place_mm, old.place_mm)))
            ratio = max(found.area_mm2, 1.0) / max(old.area_mm2, 1.0)
            # A thing that was hidden may have moved on meanwhile, up to three frames' way.
            reach = config.nearest_mm * (1 + min(old.missing, 2))
            if away <= reach and 1 / config.size_ratio <= ratio <= config.size_ratio:
                candidates.append((away, local, identity))
    for _, local, identity in sorted(candidates):
        if local not in new_id and identity not in new_id.values():
            new_id[local] = identity


def _match_the_only_missing(seen: Mapping[int, Track], new_id: dict[int, int], state: TrackingState) -> None:
    """One hand too many and one hand missing: they are the same; changes `new_id`."""
    new = [local for local, found in seen.items() if local not in new_id and found.label == HAND]
    missing = [
        identity for identity, old in state.tracks.items() if old.label == HAND and identity not in new_id.values()
    ]
    if len(new) == 1 and len(missing) == 1 and not _other_side(seen[new[0]].side, state.tracks[missing[0]].side):
        new_id[new[0]] = missing[0]


def id_switches(truth: NDArray[np.uint8], ids: NDArray[np.uint8], last: dict[int, int], least_iou: float = 0.5) -> int:
    """How many true things have another id in this frame than when they were last found.

    Args:
        truth: (H, W) true ids, the same for a thing in all frames.
        ids: (H, W) ids to judge.
        last: true id -> id it was last found under; changed.
        least_iou: overlap from which a thing counts as found.
    """
    switches = 0
    for true in np.unique(truth[truth > 0]):
        mask = truth == true
        beside = np.bincount(ids[mask], minlength=256)
        beside[0] = 0
        best = int(beside.argmax())
        if not beside[best] or beside[best] / np.count_nonzero(mask | (ids == best)) < least_iou:
            continue
        switches += int(last.get(int(true), best) != best)
        last[int(true)] = best
    return switches
