"""Families of the real line beside the Gaussian."""
