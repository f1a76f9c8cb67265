"""Rows with heavy tails: t components."""
