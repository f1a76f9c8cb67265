"""How arguments, refusals and missing extras are worded: one voice for all of emframe."""
