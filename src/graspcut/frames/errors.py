"""The one exception and the one warning of the ground floor."""

from __future__ import annotations


class FrameError(ValueError):
    """A frame, camera, file or folder that cannot be used.

    The message says what came, what is expected and how to mend it, so that a command can print it as it is.
    """


class FrameWarning(UserWarning):
    """A frame that can be used and is doubtful: the message says why, and what would probably be right."""
