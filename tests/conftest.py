"""Two tiers: "ci" is quick and always the same, "deep" looks far and anew each time.

    HYPOTHESIS_PROFILE=deep python -m pytest

`@pytest.mark.deep` is a test, or a row of a table of tests, of the deep tier alone: long searches,
and mutants, each of which is a run of its own.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=15)
settings.register_profile("deep", derandomize=False, deadline=None, max_examples=200)
TIER = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(TIER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if TIER == "deep":
        return
    later = [item for item in items if item.get_closest_marker("deep")]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if not item.get_closest_marker("deep")]
