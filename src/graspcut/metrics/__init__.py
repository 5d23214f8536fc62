"""Counts and scores that two or more methods use, on numpy arrays, without any model."""
