"""Which hand, which object: instance proposals joined with the labels of segmentation.

    scene = join_instances(proposer(frame), segmenter(frame).labels)
    scene.ids                        # (H, W) uint8, one id a thing
    scene.instances                  # what each is, and which hand holds it

Proposals say where one thing ends, labels say what is hand and what is object. Each thing gets pixels of its label
only; labelled pixels that no proposal claims go to the thing of their label that they lie against, or become a thing of
their own. An object is tied to the hand that it touches most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.instances.result import InstanceProposals, draw_instances
from graspcut.labels import HAND, LABEL_NAMES, OBJECT
from graspcut.scene.hand_masks import HandMaskConfig, grouped_pieces

Side = Literal["left", "right"]
SideOf = Callable[[NDArray[np.bool_]], Side | None]
"""(H, W) mask of a hand -> which hand it is, None where that cannot be told: what the pose method may give."""


@dataclass(frozen=True)
class JoinConfig:
    """How proposals and labels become things.

    Attributes:
        least_score: proposals below are not looked at.
        least_labelled: part of a proposal's pixels that must be hand or object.
        most_taken: a proposal of which better ones have more than this part is the same thing again.
        smallest_px: things with fewer pixels are left out.
        contact_px: how far from a hand an object may lie in the picture to be held by it.
        contact_mm: how much their depths may differ there.
        least_contact_px: pixels of the hand that must lie so near.
        hand_pieces: which small pieces of hands, such as fingers behind what is held, belong to a larger one. Chosen on
            validation frames: larger pieces may be another hand, half hidden.
    """

    least_score: float = 0.3
    least_labelled: float = 0.5
    most_taken: float = 0.5
    smallest_px: int = 40
    contact_px: int = 3
    contact_mm: float = 60.0
    least_contact_px: int = 4
    hand_pieces: HandMaskConfig = field(default_factory=lambda: HandMaskConfig(whole_area_mm2=1000.0))


@dataclass(frozen=True)
class SceneInstance:
    """One hand or object.

    Attributes:
        id: its value in the map of ids, 1..255.
        label: `HAND` or `OBJECT`.
        score: of its proposal, 0..1; 0 where only the labels show it.
        pixels: how many.
        side: of a hand, where it can be told.
        held_by: id of the hand that holds an object, or None.
    """

    id: int
    label: int
    score: float
    pixels: int
    side: Side | None = None
    held_by: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "id": self.id,
            "label": LABEL_NAMES[self.label],
            "score": round(self.score, 4),
            "pixels": self.pixels,
            "side": self.side,
            "held_by": self.held_by,
        }


@dataclass(frozen=True, eq=False)
class SceneInstances:
    """The things of one frame.

    Attributes:
        ids: (H, W) uint8: 0 = none.
        instances: what each id is, by id.
        depth_mm: (H, W) float32 millimetres, 0 = no data: the frame.
    """

    ids: NDArray[np.uint8]
    instances: tuple[SceneInstance, ...]
    depth_mm: NDArray[np.float32]

    def mask(self, identity: int) -> NDArray[np.bool_]:
        """(H, W) bool: one thing."""
        return np.asarray(self.ids == identity)

    def renumbered(self, new_id: dict[int, int]) -> SceneInstances:
        """The same things under other ids."""
        table = np.zeros(256, np.uint8)
        for old, new in new_id.items():
            table[old] = new
        things = tuple(
            replace(
                thing,
                id=new_id[thing.id],
                held_by=None if thing.held_by is None else new_id[thing.held_by],
            )
            for thing in self.instances
        )
        return SceneInstances(table[self.ids], tuple(sorted(things, key=lambda thing: thing.id)), self.depth_mm)

    def draw(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: shaded depth with one colour an id, and what each is."""
        picture = np.ascontiguousarray(draw_instances(self.depth_mm, self.ids))
        size = max(0.35, self.depth_mm.shape[1] / 1000)
        for thing in self.instances:
            rows, columns = np.nonzero(self.ids == thing.id)
            if len(rows):
                name = " ".join(part for part in (thing.side, LABEL_NAMES[thing.label], str(thing.id)) if part)
                held = "" if thing.held_by is None else f" in {thing.held_by}"
                place = (int(columns.min()), int(np.median(rows)))
                for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                    cv2.putText(picture, name + held, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
        return picture


def join_instances(
    proposals: InstanceProposals,
    labels: NDArray[np.uint8],
    *,
    side_of: SideOf | None = None,
    config: JoinConfig | None = None,
) -> SceneInstances:
    """Cuts the hands and objects of a frame into things.

    Args:
        proposals: of the frame, best first.
        labels: (H, W) uint8 of `graspcut segment`: 0 background, 1 hand, 2 object.
        side_of: tells left from right hands.
        config: thresholds.

    Raises:
        ValueError: labels of another size.
    """
    config = config if config is not None else JoinConfig()
    depth = proposals.depth_mm
    if labels.shape != depth.shape:
        raise ValueError(f"labels are {labels.shape}, the proposals are for a frame of {depth.shape}")
    known = np.where(depth > 0, labels, np.uint8(0))
    ids = np.zeros(depth.shape, np.uint8)
    found: list[tuple[int, float]] = []  # label and score of ids 1, 2, ...
    for mask, score in zip(proposals.masks, proposals.scores, strict=True):
        if score < config.least_score or len(found) == 255:
            break
        label = _label_of(mask & (depth > 0), known, config.least_labelled)
        if label is None:
            continue
        own = mask & (known == label)
        free = own & (ids == 0)
        left, pixels = np.count_nonzero(free), np.count_nonzero(own)
        if left >= max(config.smallest_px, 1) and left >= (1 - config.most_taken) * pixels:
            found.append((label, float(score)))
            ids[free] = len(found)
    for label in (HAND, OBJECT):
        _claim_rest(ids, known, label, found, config)
    _join_hand_pieces(ids, found, depth, proposals.camera, config)
    return _described(ids, found, depth, side_of, config)


def _label_of(mask: NDArray[np.bool_], labels: NDArray[np.uint8], least: float) -> int | None:
    """What most labelled pixels of a mask are; None where too few are labelled."""
    counts = np.bincount(labels[mask], minlength=3)
    if counts.sum() == 0 or counts[[HAND, OBJECT]].sum() < least * counts.sum():
        return None
    return HAND if counts[HAND] >= counts[OBJECT] else OBJECT


def _claim_rest(
    ids: NDArray[np.uint8], labels: NDArray[np.uint8], label: int, found: list[tuple[int, float]], config: JoinConfig
) -> None:
    """Gives labelled pixels that nothing claims to what they lie against, or makes things of them; changes `ids`."""
    rest = ((labels == label) & (ids == 0)).astype(np.uint8)
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    kernel = np.ones((3, 3), np.uint8)
    same = np.array([0, *(number for number, (kind, _) in enumerate(found, start=1) if kind == label)], np.int64)
    for part in range(1, count):
        left, top, width, height, pixels = (int(value) for value in statistics[part])
        window = np.s_[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1]
        own = parts[window] == part
        border = (cv2.dilate(own.astype(np.uint8), kernel) > 0) & ~own
        beside = np.bincount(ids[window][border], minlength=256)
        beside[np.setdiff1d(np.arange(256), same[1:])] = 0
        if beside.any():
            ids[window][own] = int(beside.argmax())
        elif pixels >= config.smallest_px and len(found) < 255:
            found.append((label, 0.0))
            ids[window][own] = len(found)


def _join_hand_pieces(
    ids: NDArray[np.uint8],
    found: Sequence[tuple[int, float]],
    depth_mm: NDArray[np.float32],
    camera: Camera | None,
    config: JoinConfig,
) -> None:
    """Gives fingers that lie apart, behind what is held, to their hand; changes `ids`."""
    numbers = [number for number, (label, _) in enumerate(found, start=1) if label == HAND and (ids == number).any()]
    if len(numbers) < 2:
        return
    height, width = depth_mm.shape
    camera = camera or Camera.from_focal_length(width, height, focal_length_px(None, width))
    points, areas = [], []
    for number in numbers:
        places = np.argwhere(ids == number)
        depth = depth_mm[places[:, 0], places[:, 1]].astype(np.float64)
        points.append(camera.deproject_pixels(places[:, ::-1], depth))
        areas.append(float(np.square(depth).sum()) / (camera.fx * camera.fy))
    for group in grouped_pieces(points, np.array(areas), config.hand_pieces):
        for piece in group[1:]:
            ids[ids == numbers[piece]] = numbers[group[0]]


def _described(
    ids: NDArray[np.uint8],
    found: Sequence[tuple[int, float]],
    depth_mm: NDArray[np.float32],
    side_of: SideOf | None,
    config: JoinConfig,
) -> SceneInstances:
    counts = np.bincount(ids.ravel(), minlength=256)
    kept = [number for number in range(1, len(found) + 1) if counts[number] >= config.smallest_px]
    table = np.zeros(256, np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    ids = table[ids]
    things = [
        SceneInstance(new, found[old - 1][0], found[old - 1][1], int(counts[old]))
        for new, old in enumerate(kept, start=1)
    ]
    hands = [thing.id for thing in things if thing.label == HAND]
    described = []
    for thing in things:
        if thing.label == HAND and side_of is not None:
            thing = replace(thing, side=side_of(ids == thing.id))
        elif thing.label == OBJECT:
            thing = replace(thing, held_by=holding_hand(ids, depth_mm, thing.id, hands, config))
        described.append(thing)
    return SceneInstances(ids, tuple(described), depth_mm)


def holding_hand(
    ids: NDArray[np.uint8],
    depth_mm: NDArray[np.float32],
    identity: int,
    hands: Sequence[int],
    config: JoinConfig | None = None,
) -> int | None:
    """The hand that an object touches most, in the picture and in depth.

    Args:
        ids: (H, W) uint8.
        depth_mm: (H, W) millimetres.
        identity: of the object.
        hands: ids of the hands.
        config: how near is near.

    Returns:
        the hand's id; None where no hand is near enough.
    """
    config = config if config is not None else JoinConfig()
    own = (ids == identity).astype(np.uint8)
    if not hands or not own.any():
        return None
    side = 2 * config.contact_px + 1
    kernel = np.ones((side, side), np.uint8)
    near = cv2.dilate(own, kernel) > 0
    depth = np.where(own > 0, depth_mm, np.float32(0))
    # The object's depth around each pixel near it: the farthest and the nearest within reach.
    farthest = cv2.dilate(depth, kernel)
    nearest = -cv2.dilate(np.where(own > 0, -depth_mm, np.float32(-1e9)), kernel)
    touching = near & (depth_mm > nearest - config.contact_mm) & (depth_mm < farthest + config.contact_mm)
    counts = np.bincount(ids[touching], minlength=256)
    best = max(hands, key=lambda hand: int(counts[hand]))
    return best if counts[best] >= config.least_contact_px else None
