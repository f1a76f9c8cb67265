"""Fits for people: in words, as tables and frames, in notebooks, and while they are under way."""
