"""Components without a parameter to estimate: a constant density, a point."""
