"""A mixture with more components contains the smaller one: where in it that is.

With a component twice, each half as heavy, the density is the same.  So the likelihood of the
larger mixture need be no lower than that of the smaller (McLachlan and Peel 2000, section 6.4).
EM does not leave that point, for both halves move alike; splits lead on from it.

One known case: a mixture of one component contains none smaller.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.families import Family
from emframe.models.mixture_parts import parts


class Nesting(NamedTuple):
    """How a larger mixture contains a smaller one of the same families."""

    kinds: NDArray[np.intp]  # (K,) the family of each component of the smaller
    room: NDArray[np.intp]  # for each family, how many components more the larger has


def nesting(smaller: tuple[Family, int], larger: tuple[Family, int]) -> Nesting | None:
    """How the first (family of all components, K) is contained in the other.

    None where the larger does not contain the smaller.
    """
    (families, before), (others, after) = parts(*smaller), parts(*larger)
    if families != others:
        return None
    room = np.subtract(after, before)
    if not (room >= 0).all() or not room.any():
        return None
    return Nesting(np.repeat(np.arange(len(before)), before), room)


def doubled(weights: Any, found: Nesting) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which component of the smaller each of the larger is, and how often that one is there.

    The heaviest are taken more than once: half of them is still enough for its parameters.
    """
    times = np.ones(len(weights), dtype=np.intp)
    for kind, room in enumerate(found.room):
        for _ in range(room):
            times[np.argmax(np.where(found.kinds == kind, weights / times, -1.0))] += 1
    order = np.repeat(np.arange(len(weights)), times)
    return order, times[order]
