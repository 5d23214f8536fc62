"""Encoders and blocks that two or more methods use, loading of ImageNet weights, and counting."""
