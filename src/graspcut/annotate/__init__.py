"""Colour to labels: the automatic annotation of InterSegHands (DenseAttentionSeg, section 3), step by step.

Each step is a pure function in a file of its own: `background` (the 16 cm band), `colour_rules` (half-spaces in HSV),
`morphology`, `contour_filter` (equation 1), `filling`; `pipeline` puts them together for one frame, `folder` for a
recording, `suggestion` finds the colour rules.

Deviations from the paper, and why:

- Colour is aligned with a test of what the colour camera sees (`graspcut.frames.alignment`); the paper aligns without
  and removes the resulting band on the fingers afterwards.
- "The nearest part" is the nearest surface with some support, so that one flying pixel does not move the band.
- What the contour filter removes goes to the class it touches; the paper does not say what becomes of it.
- Pixels that cannot be decided are unknown (255) instead of guessed.
"""
