"""The version, in a file of its own: whatever stamps it on a file needs nothing else of the package."""

__version__ = "0.1.0"
