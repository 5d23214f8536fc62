"""Half-spaces in HSV, their file, and rules found from colours."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.annotate.colour_modes import colour_groups, colour_places
from graspcut.annotate.colour_rules import ColourRules, HalfSpace, hue_saturation_value, load_rules, save_rules
from graspcut.annotate.colour_samples import Click, ColourSamples
from graspcut.annotate.separation import balanced_error, half_space, separate
from graspcut.annotate.suggestion import suggest_rules
from graspcut.frames.errors import FrameError
from graspcut.labels import HAND, OBJECT, UNKNOWN

SKIN, RED, WHITE, BLUE = (8, 95, 180), (178, 220, 180), (60, 8, 220), (112, 230, 150)


def cloud(hsv: tuple[int, int, int], count: int, rng: np.random.Generator, width: float = 6) -> NDArray[np.uint8]:
    """Colours around one, light and shade included; RGB."""
    shade = rng.uniform(0.55, 1.1, (count, 1))
    points = np.array(hsv) + rng.normal(0, 1, (count, 3)) * (2, width, 4)
    points[:, 2:] *= shade
    points = np.column_stack([points[:, 0] % 180, np.clip(points[:, 1:], 0, 255)]).astype(np.uint8)
    return np.asarray(cv2.cvtColor(points[None], cv2.COLOR_HSV2RGB)[0], dtype=np.uint8)


def samples(parts: list[tuple[tuple[int, int, int], int, float]]) -> tuple[ColourSamples, NDArray[np.int64]]:
    """Colour clouds of a recording: (colour, count, distance from the arm's entry)."""
    rng = np.random.default_rng(3)
    colours = np.concatenate([cloud(colour, count, rng) for colour, count, _ in parts])
    distances = np.concatenate([rng.normal(far, 5, count) for _, count, far in parts]).astype(np.float32)
    truth = np.repeat(np.arange(len(parts)), [count for _, count, _ in parts])
    numbers = np.tile(np.arange(10, dtype=np.int32), len(colours) // 10 + 1)[: len(colours)]
    return ColourSamples(colours, distances, numbers, {}), truth


def test_hue_is_a_circle() -> None:
    """Reds on both sides of OpenCV's 0 are neighbours once the hue is counted from skin."""
    reds = cv2.cvtColor(np.array([[[178, 200, 200], [2, 200, 200], [95, 200, 200]]], np.uint8), cv2.COLOR_HSV2RGB)[0]
    hue = hue_saturation_value(reds.astype(np.uint8), 8.0)[:, 0]
    assert hue[:2].tolist() == pytest.approx([-10, -6], abs=1)
    assert abs(hue[2]) > 80


def test_classes_follow_the_half_spaces() -> None:
    rules = ColourRules(
        skin=((HalfSpace(h=1, max=20), HalfSpace(h=-1, max=20), HalfSpace(s=-1, max=-30)),),
        sleeve=(
            (HalfSpace(h=-1, max=-70), HalfSpace(s=-1, max=-60)),
            (HalfSpace(h=1, max=-70), HalfSpace(s=-1, max=-60)),
        ),
        sleeve_label="unknown",
    )
    rng = np.random.default_rng(0)
    for colour, label in ((SKIN, HAND), (WHITE, OBJECT), (BLUE, UNKNOWN)):
        assert (rules.classify(cloud(colour, 50, rng, 2)) == label).all(), colour
    assert rules.classify(np.zeros((0, 3), np.uint8)).shape == (0,)
    with_object = ColourRules(skin=rules.skin, object=((HalfSpace(s=1, max=20),),))
    assert (with_object.classify(cloud(WHITE, 20, rng, 2)) == OBJECT).all()
    assert (with_object.classify(cloud(BLUE, 20, rng, 2)) == UNKNOWN).all(), "neither skin nor object: not guessed"


def test_rules_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    rules = ColourRules(skin=((HalfSpace(h=1, s=-0.5, max=12),), (HalfSpace(v=-1, max=-3),)), hue_centre=10)
    save_rules(path, rules)
    assert load_rules(path) == rules
    path.write_text(json.dumps({"skin": [{"h": 1, "max": 17}, {"h": -1, "max": 25}]}))
    assert load_rules(path).skin == ((HalfSpace(h=1, max=17), HalfSpace(h=-1, max=25)),), "one alternative, no brackets"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "'skin'"),
        ('{"skin": []}', "no restriction for skin"),
        ('{"skin": [[{"h": 1}]]}', "'max'"),
        ('{"skin": [[{"x": 1, "max": 2}]]}', "'max'"),
        ('{"skin": [[{"max": 2}]]}', "no factor"),
        ('{"skin": 3}', "no list"),
        ('{"skin": [[{"h": 1, "max": "b"}]]}', "finite numbers"),
        ('{"skin": [[{"h": 1, "max": 2}]], "gloves": []}', "gloves"),
        ('{"skin": [[{"h": 1, "max": 2}]], "sleeve_label": "arm"}', "sleeve_label"),
        ("[]", "object"),
    ],
)
def test_bad_rules_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(FrameError, match=message) as error:
        load_rules(path)
    assert "bad.json" in str(error.value)


def test_plane_between_two_clouds() -> None:
    rng = np.random.default_rng(1)
    inside = rng.normal((0, 95, 150), (4, 12, 30), (400, 3)).astype(np.float32)
    outside = rng.normal((-8, 215, 150), (4, 12, 30), (4000, 3)).astype(np.float32)
    plane = separate(inside, outside)
    assert balanced_error(plane, inside, outside) < 0.002
    middle = np.array([-4, 155, 150])
    assert abs(middle @ plane[0] + plane[1]) < 1.2, "between them, however many points a side has"
    space = half_space(plane, outside=True, margin=0.0)
    factors = np.array([space.h, space.s, space.v])
    assert np.mean(outside @ factors <= space.max) > 0.99 and np.mean(inside @ factors <= space.max) < 0.01


def test_one_colour_in_light_and_shade_is_one_group() -> None:
    gathered, truth = samples([(SKIN, 3000, 90), (RED, 1500, 120), (BLUE, 800, 30)])
    groups = colour_groups(colour_places(hue_saturation_value(gathered.colours, 8.0)))
    for part in range(3):
        _, counts = np.unique(groups[truth == part], return_counts=True)
        assert counts.max() > 0.97 * counts.sum(), part
    assert len({int(np.bincount(groups[truth == part]).argmax()) for part in range(3)}) == 3


@pytest.mark.parametrize("object_colour", [RED, WHITE])
def test_rules_are_found(object_colour: tuple[int, int, int]) -> None:
    gathered, truth = samples([(SKIN, 3000, 90), (object_colour, 2000, 120), (BLUE, 800, 30)])
    found = suggest_rules(gathered)
    labels = found.rules.classify(gathered.colours)
    assert np.mean(labels[truth == 0] == HAND) > 0.97
    assert np.mean(labels[truth == 1] == OBJECT) > 0.97
    assert np.mean(labels[truth == 2] == HAND) > 0.97, "the sleeve belongs to the arm"
    assert found.separation > 0.98 and found.undecided < 0.05
    assert found.rules.sleeve


def test_clicks_say_what_skin_is() -> None:
    """A blue glove that holds something skin-coloured."""
    gathered, truth = samples([(SKIN, 2000, 120), (BLUE, 3000, 90)])
    rng = np.random.default_rng(5)
    clicked = ColourSamples(
        gathered.colours,
        gathered.entry_distances_px,
        gathered.frames,
        {"skin": cloud(BLUE, 25, rng), "object": cloud(SKIN, 25, rng)},
    )
    labels = suggest_rules(clicked).rules.classify(gathered.colours)
    assert np.mean(labels[truth == 1] == HAND) > 0.97 and np.mean(labels[truth == 0] == OBJECT) > 0.97


def test_without_skin_it_says_so() -> None:
    gathered, _ = samples([(BLUE, 2000, 90), (WHITE, 900, 120)])
    with pytest.raises(FrameError, match="--click"):
        suggest_rules(gathered)


def test_click_texts() -> None:
    assert Click.parse("12:310,220=skin") == Click(12, 310, 220, "skin")
    for text in ("12:310=skin", "12:310,220=foot", "x"):
        with pytest.raises(FrameError, match="FRAME:COLUMN,ROW=CLASS"):
            Click.parse(text)
