"""Soft edges: alpha mattes from an image and a trimap, and the colours of what is cut out."""
