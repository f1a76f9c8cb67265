"""Where a component lies in two columns, as lines, by what these columns are.

Of two numbers that are modelled: the concentration ellipse, that of the normal with the same means
and covariance (Cramer 1946, section 21.10).  Of a number along a covariate, of which a component
says nothing: a band, by quantiles of the number in slices of the covariate; of a yes or no along
one, how often it is a yes there.  Codes have no shape: where they meet anything else, or covariates
each other, there is nothing to draw but the rows.

One known case: of Gaussian components the ellipses are the outlines of their margins.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from emframe.plotting.scene import Scene
from emframe.spaces import Array

SHARE = 0.9  # of a component inside its outline
MOST_SLICES = 12
LEAST_ROWS = 40  # of a component in a slice, for its quantiles
STEPS = np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0, 13.0])  # irrational, and so are their ratios
ROOM = 0.3  # how far rows of the same code are spread about it


def outlines(scene: Scene, k: int, across: int, up: int) -> list[Array]:
    """Lines (m, 2) about component k in two columns; none where nothing has a shape."""
    own = scene.drawn[scene.labels == k][:, [across, up]]
    kinds = scene.kinds[across], scene.kinds[up]
    if len(own) < 3:
        return []
    if kinds.count("given") == 1:
        g = kinds.index("given")
        x, y = own[:, g], own[:, 1 - g]
        if "codes" not in kinds:
            place, ends = bands(x, y, SHARE)
        elif np.isin(y, (0.0, 1.0)).all():
            place, ends = bands(x, y, None)
        else:
            return []
        return [np.column_stack([place, end])[:, :: 1 if g == 0 else -1] for end in ends]
    return [] if {"given", "codes"} & set(kinds) else [ellipse(own, SHARE)]


def ellipse(x: Array, share: float, n: int = 120) -> Array:
    """Points (n, 2) of the concentration ellipse of rows (m, 2) that holds a share of a normal."""
    angle = np.linspace(0.0, 2.0 * np.pi, n)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    values, vectors = np.linalg.eigh(np.cov(x.T))
    radius = np.sqrt(chdtri(2, 1.0 - share) * np.maximum(values, 0.0))
    return np.asarray(x.mean(axis=0) + circle * radius @ vectors.T)


def bands(x: Array, y: Array, share: float | None) -> tuple[Array, Array]:
    """The middle of each slice of x, (s,), and the ends there that hold a share of y, (2, s).

    The mean of y, (1, s), where no share is asked for.  A slice is one value of x, or, where these
    are many, as many rows as any other.
    """
    order = np.argsort(x, kind="stable")
    values, firsts = np.unique(x[order], return_index=True)
    if len(values) > MOST_SLICES:
        slices = np.array_split(order, np.clip(len(x) // LEAST_ROWS, 2, MOST_SLICES))
    else:
        slices = np.split(order, firsts[1:])
    place = np.array([x[part].mean() for part in slices])
    if share is None:
        return place, np.array([[y[part].mean() for part in slices]])
    at = [0.5 * (1.0 - share), 0.5 * (1.0 + share)]
    return place, np.array([np.quantile(y[part], at) for part in slices]).T


def spread(scene: Scene, j: int, values: Array) -> Array:
    """The values of a column to show: of codes, rows that share one side by side."""
    if scene.kinds[j] != "codes":
        return values
    place = STEPS[j % len(STEPS)] * np.arange(len(values)) % 1.0
    return values + ROOM * (2.0 * place - 1.0)
