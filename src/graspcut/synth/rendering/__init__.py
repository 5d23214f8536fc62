"""Rays from a camera: what they hit, how far away it is, and how it looks in colour."""
