"""Families of numbers above 0: durations, sizes, amounts."""
