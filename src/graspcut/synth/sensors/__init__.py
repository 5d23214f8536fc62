"""Depth cameras: how strong their errors are, and the errors themselves."""
