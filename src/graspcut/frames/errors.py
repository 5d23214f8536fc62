"""The one exception of the ground floor."""

from __future__ import annotations


class FrameError(ValueError):
    """A frame, camera, file or folder that cannot be used.

    The message says what came, what is expected and how to mend it, so that a command can print it as it is.
    """
