"""A few factors behind many columns."""
