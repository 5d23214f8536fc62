"""Other cameras' and programs' files, once, into a recording: raw depth, colour, calibration, unit and timestamps.

Each reader gives a `Stream`; `graspcut.frames.importing.run` writes it, counts against the source and tells every gap.
"""
