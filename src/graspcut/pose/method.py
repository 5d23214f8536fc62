"""What the three networks of hand pose give to the verbs that work on any task; see `graspcut.runtime.method`."""

from __future__ import annotations

from graspcut.pose.predictor import JointPredictor, LocatorPredictor, PartPredictor
from graspcut.runtime.method import Method

PARTS = Method(predictor=PartPredictor)
JOINTS = Method(predictor=JointPredictor)
LOCATOR = Method(predictor=LocatorPredictor)
