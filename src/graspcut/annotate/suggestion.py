"""Colour rules from the recording itself: clusters of colours, named by what is known of skin and arms.

Skin is the cluster whose hue and saturation are most like people's; a sleeve lies between the hand and where the arm
enters the image; everything else in the foreground is held. A few clicks say more and win. Between the named clusters,
planes in HSV become the half-spaces of the rules; colours near a plane stay unknown.

Deviation: the paper finds its restrictions by hand and does not say them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graspcut.annotate.colour_modes import colour_groups, colour_places
from graspcut.annotate.colour_rules import ColourRules, HalfSpace, hue_saturation_value
from graspcut.annotate.colour_samples import ColourSamples
from graspcut.annotate.separation import balanced_error, half_space, separate
from graspcut.frames.errors import FrameError

HUE_CENTRE = 8.0
_SMALLEST_SHARE = 0.01
# Colours with log odds within this of a plane are left unknown (odds of 3 to 1).
_MARGIN = 1.1
# Half a per cent: what two object colours may lose by sharing one plane.
_SHARED_LOSS = 0.005


@dataclass(frozen=True)
class Suggestion:
    """Rules and how good they are.

    Attributes:
        rules: For `annotate_frame`.
        separation: 0.5 (chance) .. 1: balanced share of the sampled colours on the right side of the planes.
        undecided: Share of the sampled colours that are neither class.
        shares: Share of each named class among the sampled colours.
    """

    rules: ColourRules
    separation: float
    undecided: float
    shares: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Cluster:
    """Colours (n, 3) of one cluster in hue from the centre, saturation, value; with what is known of it.

    Attributes:
        share: Among all samples.
        entry_distances: For each frame where it occurs and the arm enters: its median distance from there, pixels.
    """

    points: NDArray[np.float32]
    share: float
    entry_distances: dict[int, float]

    @property
    def middle(self) -> NDArray[np.float64]:
        return np.median(self.points, axis=0).astype(np.float64)


def suggest_rules(samples: ColourSamples) -> Suggestion:
    """Finds colour rules.

    Args:
        samples: From `gather_colours`, perhaps with clicks.

    Raises:
        FrameError: If nothing looks like skin and no click says what is.
    """
    clusters = _clusters(samples)
    clicked = {kind: hue_saturation_value(colours, HUE_CENTRE) for kind, colours in samples.clicked.items()}
    names = _names(clusters, clicked)
    groups: dict[str, list[NDArray[np.float32]]] = {"skin": [], "object": [], "sleeve": []}
    for cluster, name in zip(clusters, names, strict=True):
        if name in groups:
            groups[name].append(cluster.points)
    for kind, points in clicked.items():
        groups[kind].append(points)
    skin = np.concatenate(groups["skin"])
    rules, separation = _rules(skin, groups["object"], groups["sleeve"])
    labels = rules.classify(samples.colours)
    undecided = float(np.mean(labels == 255)) if rules.object else 0.0
    shares = {
        name: sum(cluster.share for cluster, its in zip(clusters, names, strict=True) if its == name) for name in groups
    }
    return Suggestion(rules, separation, undecided, shares)


def _clusters(samples: ColourSamples) -> list[_Cluster]:
    hsv = hue_saturation_value(samples.colours, HUE_CENTRE)
    groups = colour_groups(colour_places(hsv))
    clusters = []
    for number in range(int(groups.max()) + 1):
        mine = groups == number
        if mine.mean() >= _SMALLEST_SHARE:
            distances = _medians_by_frame(samples.frames[mine], samples.entry_distances_px[mine])
            clusters.append(_Cluster(hsv[mine], float(mine.mean()), distances))
    return clusters


def _medians_by_frame(frames: NDArray[np.int32], distances: NDArray[np.float32]) -> dict[int, float]:
    found = {}
    for frame in np.unique(frames):
        own = distances[frames == frame]
        # A few pixels of a colour in a frame are noise.
        if len(own) >= 20 and np.isfinite(own).all():
            found[int(frame)] = float(np.median(own))
    return found


def _skin_likeness(middle: NDArray[np.float64]) -> float:
    """Log of how likely skin has this hue, saturation and value; 0 at best. Wide: people and lamps differ."""
    hue, saturation, value = middle
    score = -0.5 * (hue / 9) ** 2 - 0.5 * (np.log(max(saturation, 1) / 95) / 0.4) ** 2
    return float(score - 0.5 * (max(0.0, 60 - value) / 25) ** 2)


def _names(clusters: list[_Cluster], clicked: dict[str, NDArray[np.float32]]) -> list[str]:
    """A class for each cluster: skin, object or sleeve."""
    names = [_nearest_click(cluster.middle, clicked) or "object" for cluster in clusters]
    if "skin" not in clicked:
        scores = [_skin_likeness(cluster.middle) + 0.3 * np.log(cluster.share) for cluster in clusters]
        best = int(np.argmax(scores))
        if _skin_likeness(clusters[best].middle) < -5:
            raise FrameError(
                "no colour of the foreground looks like skin (gloves, or coloured light?); expected a bare hand. "
                "Point at it: --click FRAME:COLUMN,ROW=skin, or write the rules: --rules rules.json."
            )
        names[best] = "skin"
    skins = [cluster for cluster, name in zip(clusters, names, strict=True) if name == "skin"]
    for position, (cluster, name) in enumerate(zip(clusters, names, strict=True)):
        if name == "object" and "sleeve" not in clicked and any(_lies_before(cluster, skin) for skin in skins):
            names[position] = "sleeve"
    return names


def _lies_before(cluster: _Cluster, skin: _Cluster) -> bool:
    """Whether a colour lies between the skin and where the arm enters, in nearly all frames and by far."""
    pairs = [
        (cluster.entry_distances[frame], skin.entry_distances[frame])
        for frame in cluster.entry_distances.keys() & skin.entry_distances.keys()
    ]
    if len(pairs) < 2:
        return False
    ratios = np.array([own / max(hand, 1.0) for own, hand in pairs])
    return bool(np.mean(ratios < 1) >= 0.85 and np.median(ratios) < 0.7)


def _nearest_click(middle: NDArray[np.float64], clicked: dict[str, NDArray[np.float32]]) -> str | None:
    """The class of the clicked colour nearest to a cluster, if one is near."""
    best, name = 1.0, None
    for kind, points in clicked.items():
        offset = (np.median(points, axis=0) - middle) / np.array([15.0, 45.0, 60.0])
        distance = float(np.sqrt((offset**2).sum()))
        if distance < best:
            best, name = distance, kind
    return name


def _rules(
    skin: NDArray[np.float32], objects: list[NDArray[np.float32]], sleeves: list[NDArray[np.float32]]
) -> tuple[ColourRules, float]:
    """Half-spaces between skin, each group of object colours and each group of sleeve colours."""
    object_groups, sleeve_groups = _grouped(skin, objects), _grouped(skin, sleeves)
    skin_spaces, errors = [], []
    alternatives: dict[str, list[tuple[HalfSpace, ...]]] = {"object": [], "sleeve": []}
    for name, groups, others in (
        ("object", object_groups, sleeve_groups),
        ("sleeve", sleeve_groups, object_groups),
    ):
        for group in groups:
            plane = separate(skin, group)
            errors.append(balanced_error(plane, skin, group))
            skin_spaces.append(half_space(plane, outside=False, margin=_MARGIN))
            spaces = [half_space(plane, outside=True, margin=_MARGIN)]
            spaces += [half_space(separate(group, other), outside=False, margin=0.0) for other in others]
            alternatives[name].append(tuple(spaces))
    if not skin_spaces:
        # Only a bare hand: whatever has another hue is no skin.
        low, high = np.percentile(skin[:, 0], (0.5, 99.5))
        skin_spaces = [HalfSpace(h=1, max=round(float(high) + 8, 2)), HalfSpace(h=-1, max=round(8 - float(low), 2))]
    rules = ColourRules(
        skin=(tuple(skin_spaces),),
        object=tuple(alternatives["object"]),
        sleeve=tuple(alternatives["sleeve"]),
        hue_centre=HUE_CENTRE,
    )
    return rules, 1.0 - max(errors, default=0.0)


def _grouped(skin: NDArray[np.float32], parts: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Colours that can share one plane against skin, joined; hues on both sides of the circle's cut are kept apart."""
    sides = [
        side
        for part in parts
        for side in (part[part[:, 0] < 0], part[part[:, 0] >= 0])
        if len(side) > max(20, 0.05 * len(part))
    ]
    groups: list[list[NDArray[np.float32]]] = []
    for side in sorted(sides, key=len, reverse=True):
        alone = balanced_error(separate(skin, side), skin, side)
        for group in groups:
            joined = np.concatenate([*group, side])
            shared = separate(skin, joined)
            # The worst of the joined parts counts, however few pixels it has.
            if max(balanced_error(shared, skin, part) for part in (*group, side)) <= alone + _SHARED_LOSS:
                group.append(side)
                break
        else:
            groups.append([side])
    return [np.concatenate(group) for group in groups]
