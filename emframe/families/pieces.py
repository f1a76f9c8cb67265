"""What components are made of, for those who ask whether one of them has shrunk to a point.

The finest parts of a model's density: its components, or where these are mixtures themselves the
inner ones.  Each has a share of every row, p(piece | x), and a freedom: how many free parameters
it has by itself for what can shrink, 0 where nothing can without the others.

One known case: a Gaussian with a covariance of its own in d columns has d + d (d + 1) / 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.parameters import Leaf, leaves
from emframe.spaces import Array, Restricted


class Pieces(NamedTuple):
    """J pieces at some rows; without latents inside the components they are the components."""

    log_density: Array  # (n, J)  nats, all constants kept
    shares: Array  # (n, J)  p(piece | x); they sum to 1 in each row
    freedom: NDArray[np.intp]  # (J,)
    others: NDArray[np.intp]  # (J,)  free parameters of its own besides: probabilities and the like
    owners: NDArray[np.intp]  # (J,)  the component that each belongs to


def refined(
    outer: Pieces, inner: Pieces, whole: Array, freedom: NDArray[np.intp], shares: Array
) -> Pieces:
    """Each outer piece as those that one of its parts is made of.

    Parameters
    ----------
    inner : of the part.
    whole, freedom : log density (n, K) of the part's components, and theirs, (K,).
    shares : of the rows, that components have, (n, K).
    """
    a, b = np.nonzero(outer.owners[:, None] == inner.owners)
    k = outer.owners[a]
    share = shares[:, k]
    within = np.divide(inner.shares[:, b], share, out=np.zeros_like(share), where=share > 0)
    with np.errstate(invalid="ignore"):  # a row impossible under the whole part
        density = outer.log_density[:, a] - whole[:, k] + inner.log_density[:, b]
    return Pieces(
        np.where(np.isnan(density), -np.inf, density),
        outer.shares[:, a] * within,
        outer.freedom[a] - freedom[k] + inner.freedom[b],
        outer.others[a],
        k,
    )


def own_parameters(params: Any, k: int) -> NDArray[np.intp]:
    """Free parameters of each of k components by itself, (k,)."""
    total = np.zeros(k, dtype=np.intp)
    for leaf in leaves(params):
        if leaf.declared.per_component:
            total += _own(leaf, k)
    return total


def besides(params: Any, freedom: NDArray[np.intp]) -> NDArray[np.intp]:
    """Own free parameters of each component but those of its freedom (k,), (k,)."""
    return np.maximum(own_parameters(params, len(freedom)) - freedom, 0)


def shrinkable(params: Any, k: int) -> NDArray[np.intp]:
    """Free parameters of each of k components by itself, (k,); 0 where its scale is not free.

    A scale is a parameter of a space that says so (`Space.is_scale`).  Where all of them are held,
    or shared by the components, no component shrinks alone.  A density that has none declared may
    hide one in a real number.
    """
    found = [leaf for leaf in leaves(params) if leaf.declared.per_component]
    scales = [_own(leaf, k) > 0 for leaf in found if leaf.declared.space.is_scale]
    own = own_parameters(params, k)
    return np.where(np.any(scales, axis=0), own, 0) if scales else own


def _own(leaf: Leaf, k: int) -> NDArray[np.intp]:
    """Free parameters of an array that each of k components has by itself, (k,)."""
    space = leaf.declared.space
    if isinstance(space, Restricted):
        return space.own(leaf.free_shape)
    if not leaf.declared.is_own or leaf.declared.fixed:
        return np.zeros(k, dtype=np.intp)
    return np.full(k, space.n_free(leaf.free_shape) // k, dtype=np.intp)
