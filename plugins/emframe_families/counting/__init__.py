"""Families of counts beside Poisson's: more spread, or with an end."""
