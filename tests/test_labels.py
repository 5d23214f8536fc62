"""The tables that every array of labels relies on."""

from __future__ import annotations

import numpy as np
import pytest

from graspcut.labels import (
    FOREARM_PART,
    JOINT_NAMES,
    LABEL_COLOURS,
    LABEL_NAMES,
    PART_COLOURS,
    PART_NAMES,
)


def test_tables_have_the_agreed_order() -> None:
    assert LABEL_NAMES == ("background", "hand", "object")
    assert len(PART_NAMES) == FOREARM_PART - 1 == 20
    named = {1: "thumb metacarpal", 3: "thumb distal", 4: "index knuckle", 7: "index distal", 11: "middle distal"}
    named |= {12: "ring knuckle", 19: "little distal", 20: "palm"}
    for value, name in named.items():
        assert PART_NAMES[value - 1] == name
    assert len(JOINT_NAMES) == len(set(JOINT_NAMES)) == 21
    assert JOINT_NAMES[:6] == ("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip", "index_mcp")
    assert JOINT_NAMES[20] == "little_tip"


def test_colours_are_distinct_and_cannot_be_changed() -> None:
    assert LABEL_COLOURS.shape == (3, 3)
    assert PART_COLOURS.shape == (22, 3)
    assert len(np.unique(PART_COLOURS, axis=0)) == 22
    with pytest.raises(ValueError, match="read-only"):
        LABEL_COLOURS[0, 0] = 1
