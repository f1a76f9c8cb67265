"""Hypothesis profiles: "ci" is quick and always the same, "deep" looks far and anew each time."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=15)
settings.register_profile("deep", derandomize=False, deadline=None, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
