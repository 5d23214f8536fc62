"""The procedural hand: joints, flesh, poses, and grasps of objects."""
