"""Families of shares: numbers between 0 and 1, and several that sum to 1."""
