"""The check of what components are made of, which is asked where one may have shrunk to a point.

One known case: a family that says nothing of its own has its components for pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from emframe.families import Pieces
from emframe.parameters import n_free
from emframe.spaces import Array
from emframe.testing.cases import Case
from emframe.testing.outcome import SAME, Fault
from emframe.testing.subject import Subject


def pieces(subject: Subject, case: Case) -> None:
    """The pieces of a component share its rows, make up its density, and count its parameters."""
    family, k, d = subject.family, case.k, case.d
    shares = case.rng().dirichlet(np.full(k, 2.0), size=len(case.x))
    found = family.pieces(case.params, case.x, shares)
    density = subject.log_density(case.params, case.x)
    for one in range(k):
        mine = np.asarray(found.owners) == one
        _same_rows(found.shares[:, mine].sum(axis=1), shares[:, one])
        _makes_up(found, mine, shares[:, one], density[:, one])
    _counts(family, found, n_free(case.params), d)
    for what, mask in zip(("discrete", "modelled"), family.columns_modelled(d), strict=True):
        if np.shape(mask) != (d,) or np.asarray(mask).dtype != bool:
            raise Fault(f"a mask of {d} columns that are {what}", f"{mask}", "columns_modelled")


def _same_rows(found: Array, wanted: Array) -> None:
    if not np.allclose(found, wanted, rtol=0.0, atol=SAME):
        row = int(np.abs(found - wanted).argmax())
        raise Fault(
            "the pieces of a component to share what it has of a row",
            f"{found[row]:.12g} of {wanted[row]:.12g} in row {row}",
            "pieces: shares, or owners",
        )


def _makes_up(found: Pieces, mine: Any, share: Array, density: Array) -> None:
    """The part that a piece has in a component is the same at each row, and the parts sum to 1.

    It is the piece's share of the component's rows, times the density of that over its own.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.log(found.shares[:, mine]) - np.log(share)[:, None]
        parts = within + density[:, None] - found.log_density[:, mine]
    sound = np.isfinite(parts).all(axis=1) & (found.shares[:, mine] > SAME).all(axis=1)
    if not sound.any():
        return
    parts = parts[sound]
    off = max(np.ptp(parts, axis=0).max(), np.abs(logsumexp(parts, axis=1)).max())
    size = 1.0 + np.abs(density[sound]).max()
    if not off <= 1e3 * SAME * size:
        raise Fault(
            "the densities of a component's pieces to make up its own",
            f"{off:.3g} nats off",
            "pieces: log_density",
        )


def _counts(family: Any, found: Pieces, most: int, d: int) -> None:
    freedom = np.asarray(found.freedom)
    if freedom.shape != (found.shares.shape[1],) or (freedom < 0).any() or freedom.max() > most:
        raise Fault(
            f"a freedom for each piece, from 0 to all {most} parameters",
            f"{freedom}",
            "freedom",
        )
    discrete, modelled = family.columns_modelled(d)
    if discrete[modelled].all() and freedom.any():
        raise Fault(
            "no component to shrink where all it models is discrete: probabilities have a bound",
            f"a freedom of {freedom}",
            "freedom",
        )
