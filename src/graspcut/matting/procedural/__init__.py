"""Foregrounds with exact alpha and backgrounds, drawn by rules: training data where there are no photographs."""
