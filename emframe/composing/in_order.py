"""The M-step of components in order: the maximum of Q over parameters that rise, or stay.

    maximise  Q(theta)    subject to    theta_1 <= theta_2 <= ... <= theta_K

At the maximum some neighbours are equal, and Q is at a maximum over all that make these equal.
Which they are is found by pooling adjacent violators (Ayer et al. 1955, Annals of Mathematical
Statistics 26, 641): neighbours that the maximum so far has in the wrong order are held together.
Where Q is of one parameter and concave that is all.  Else a pool may have been made too soon, so
each is asked whether Q would gain by parting it, which no pool of a maximum does (the signs of the
multipliers; Nocedal and Wright 2006, section 16.5).

One known case: where Q is a weighted sum of squares this is isotonic regression.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emframe.parameters import leaves
from emframe.spaces import Array, Pooled, Rising

if TYPE_CHECKING:
    from emframe.composing.constraints import Constrained

ROUNDS = 6  # for each pair of neighbours
GAIN = 1e-6  # of the slopes of a pool: what is less is rounding

Bound = dict[str, NDArray[np.bool_]]
"""Which of the K - 1 pairs of neighbours are held together, by field: (K - 1, ...)."""


def m_step_in_order(family: Constrained, statistics: Any, previous: Any, like: Any) -> Any:
    """The maximum under the order, and no lower than `like`, which keeps to it."""
    paths = [path for path, rule in family.rules if isinstance(rule, Rising)]
    rest = tuple((path, rule) for path, rule in family.rules if path not in paths)
    free = replace(family, rules=rest)
    at = free._m_step(statistics, previous, free.constrain(like))
    best, height = like, family._value(statistics, like)
    # What was equal before may well be so again.
    bound: Bound = {path: np.diff(one, axis=0) == 0.0 for path, one in _values(like, paths).items()}
    for turn in range(ROUNDS * sum(one.size for one in bound.values()) + 1):
        wrong = {path: np.diff(value, axis=0) < 0.0 for path, value in _values(at, paths).items()}
        if not any(one.any() for one in wrong.values()):
            here = family._value(statistics, family.constrain(at))
            best, height = (family.constrain(at), here) if here >= height else (best, height)
            if not turn or not _parted(free, statistics, at, bound):
                break
        bound = {path: bound[path] | wrong[path] for path in paths}
        pools = tuple((path, Pooled(pools=_pools(bound[path]))) for path in paths)
        pooled = replace(free, rules=(*rest, *pools))
        starts = [pooled.constrain(one) for one in (at, like)]
        at = pooled._climbed(statistics, max(starts, key=lambda one: free._value(statistics, one)))
    return best


def _values(params: Any, paths: list[str]) -> dict[str, Array]:
    return {leaf.path: np.asarray(leaf.value) for leaf in leaves(params) if leaf.path in paths}


def _pools(bound: NDArray[np.bool_]) -> Any:
    """The pool of each number, (K, ...) as nested tuples, from which neighbours are together."""
    begins = np.concatenate([np.ones_like(bound[:1]), ~bound])
    columns = np.moveaxis(begins, 0, -1)
    places = np.cumsum(columns.ravel()).reshape(columns.shape) - 1
    return _nested(np.moveaxis(places, -1, 0).tolist())


def _nested(value: Any) -> Any:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _parted(family: Constrained, statistics: Any, at: Any, bound: Bound) -> bool:
    """Frees, in `bound`, the pair whose upper side Q would most gain by raising; False for none."""
    worst: tuple[float, str, tuple[Any, ...]] = (GAIN, "", ())
    for mine, _, slope in family.slopes(statistics, at):
        if mine.path not in bound or not bound[mine.path].any():
            continue
        together, above = bound[mine.path], slope.reshape(np.shape(mine.value)).copy()
        size = np.abs(above)
        for j in reversed(range(len(together))):  # sums over what is in the pool from j on
            above[j] += np.where(together[j], above[j + 1], 0.0)
            size[j] += np.where(together[j], size[j + 1], 0.0)
        gain = np.where(together, above[1:], 0.0)
        share = np.divide(gain, size[:-1], out=np.zeros_like(gain), where=size[:-1] > 0.0)
        place = np.unravel_index(share.argmax(), share.shape)
        if share[place] > worst[0]:
            worst = (float(share[place]), mine.path, place)
    if worst[1]:
        bound[worst[1]][worst[2]] = False
    return bool(worst[1])
