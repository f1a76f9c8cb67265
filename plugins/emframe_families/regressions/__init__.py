"""Regressions of a response that has a shape beside its mean, or no scale at all."""
