"""A fit with its components in an order that means something.

The likelihood of a mixture does not know its components apart: any order of those that are alike
is the same fit (Redner and Walker 1984, SIAM Review 26, 195).

One known case: by "weights" the first component is the smallest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emframe.families import Family
from emframe.fitting.result import Fit
from emframe.models.components import family_of, interchangeable, taken
from emframe.parameters import frozen, leaves
from emframe.spaces import Array


def relabelled(fit: Fit, by: str = "means", *, descending: bool = False) -> Fit:
    """The same fit, its components in rising order of a parameter.

    Components that are unlike, of several families, with something held of their own, or in an
    order of their own, keep their places; those that are alike change places among themselves.

    Parameters
    ----------
    by : the parameter, such as "means" or "weights", or its whole path, "components.means". Of
        several columns the first one counts, and of ties the next.
    descending : whether the largest comes first.

    Raises TypeError for a model without components; ValueError for a parameter that it has not.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> emframe.relabelled(fit, by="rates")["rates"].ravel().round(1)
    array([0.8, 7.7])
    """
    family = getattr(fit.model, "family", None)
    if not isinstance(family, Family):
        raise TypeError(f"{type(fit.model).__name__} has no components to relabel.")
    values = _values(fit, by)
    k = len(values)
    order = np.arange(k)
    for places in interchangeable(fit.model, fit.params, k):
        mine = [values[place] for place in places]
        rows = np.array([row for row in mine if row is not None])
        if len(rows) == len(mine):
            # The last key counts most; of ties the first component stays the first.
            keys = rows.T[::-1]
            order[places] = np.array(places)[np.lexsort(-keys if descending else keys)]
    return replace(fit, params=frozen(taken(fit.params, order)))


def _values(fit: Fit, by: str) -> list[Array | None]:
    """The values (m,) of a parameter in each of K components; None for one that has none."""
    found = [leaf for leaf in leaves(fit.params) if leaf.declared.axes()[:1] == ("K",)]
    mine = [leaf for leaf in found if leaf.path == by or leaf.path.endswith(f".{by}")]
    if not mine:
        known = dict.fromkeys(leaf.path for leaf in found)
        raise ValueError(f"`by` is {by!r}; the components of this fit have {', '.join(known)}.")
    families = list(dict.fromkeys(family_of(leaf) for leaf in found if family_of(leaf)))
    sizes = [len(next(one for one in found if family_of(one) == name).value) for name in families]
    first = dict(zip(families, np.cumsum([0, *sizes]), strict=False))
    values: list[Array | None] = [None] * (sum(sizes) or len(mine[0].value))
    for leaf in mine:
        for place, row in enumerate(np.asarray(leaf.value), start=first.get(family_of(leaf), 0)):
            values[place] = np.ravel(row)
    return values
