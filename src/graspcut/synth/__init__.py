"""Labelled depth frames without a camera: procedural hands, held objects, scenes and depth sensors. No torch here."""
