"""scikit-learn's ``init_params``: all starts of one kind, instead of several kinds in turn.

One known case: with a single component there is one start, whatever its kind is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from emframe.data import Rows
from emframe.models import Mixture
from emframe.models.starts import kinds

# scikit-learn's names for kinds of starts, and those of `emframe.models.starts`.
KINDS = {
    "kmeans": "k-means++",
    "k-means++": "spread",
    "random_from_data": "rows",
    "random": "random",
}


class OneKind(Mixture):
    """A mixture whose starts are all of the kind that scikit-learn calls `init_params`."""

    init_params: str

    def __init__(self, init_params: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        object.__setattr__(self, "init_params", init_params)
        is_real = not any(space.discrete for space in self.family.supports)
        there = [name for name, kind in KINDS.items() if kind in kinds(is_real)]
        if init_params not in there:
            raise ValueError(
                f"`init_params` is {init_params!r}; expected None or one of {', '.join(there)}, "
                f"which the family {self.family.name!r} has."
            )

    def starts(self, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        wanted = (KINDS[self.init_params], "whole")
        return (one for one in super().starts(rows, rng) if one[0] in wanted)
