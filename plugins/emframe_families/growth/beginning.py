"""An M-step without parameters before it: where a fit of trajectories begins.

People with responsibilities are all there is.  Coefficients are those of least squares within each
component, as if there were no random effects, with everybody together there as one person more:
so a component of people who were seen once has a slope too.  What is left of the responses is
divided between random effects and errors, some of it to each term.

And where people stand to each other, for starts that measure distances: each person's own least
squares about the line of all, shrunk towards it by half of what a person knows on average.

One known case: with one component the coefficients are those of least squares on all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emframe import Array, Degenerate
from emframe_families.growth.effects import EffectPoint, effects
from emframe_families.growth.maximise import best_coefficients
from emframe_families.growth.people import People
from emframe_families.growth.sums import gathered
from emframe_families.growth.terms import Terms

# The share of the residual variance that random effects begin with, and errors.
EFFECTS, ERRORS = 0.4, 0.5
SHRINKING = 0.5  # of an average person's information
# A term is collinear with those before it where no more than this share of its length is left.
COLLINEAR = 1e-11


def line_of_all(terms: Terms, people: Sequence[People]) -> tuple[Array, float]:
    """Coefficients of least squares on all rows (p,), and the mean square of what is left.

    Raises `Degenerate` where a term follows from those before it.
    """
    names = [*terms.x_places, -1]
    rows = np.concatenate([one.roots[:, :, names].reshape(-1, len(names)) for one in people])
    root: Any = np.linalg.qr(rows, mode="r")
    p = len(names) - 1
    size = np.sqrt((root**2).sum(axis=0))[:p]
    short = len(root) < p
    follows = np.ones(p, bool) if short else ~(np.abs(root.diagonal()[:p]) > COLLINEAR * size)
    if follows.any():
        j = len(root) if short else int(follows.argmax())
        before = ", ".join(terms.fixed[:j]) or "nothing: it is 0 in all rows"
        raise Degenerate(f"the rows do not determine {terms.fixed[j]}: it follows from {before}")
    line = np.linalg.solve(root[:p, :p], root[:p, -1])
    left = float(((rows[:, -1] - rows[:, :-1] @ line) ** 2).sum())
    return line, left / float(sum(one.visits.sum() for one in people))


def begun(terms: Terms, blocks: Sequence[tuple[Any, Array]]) -> EffectPoint:
    """Coefficients, roots of D and sigma from runs and their responsibilities (S, K)."""
    people = [People.of(terms, runs) for runs, _ in blocks]
    k, q = blocks[0][1].shape[1], len(terms.random)
    line, variance = line_of_all(terms, people)
    deviation = np.sqrt(variance) or 1.0
    point = EffectPoint(
        np.repeat(line[None], k, axis=0), np.zeros((k, q, q)), np.full(k, deviation)
    )
    sums, mean_zz = None, np.zeros(q)
    for one, (_, resp) in zip(people, blocks, strict=True):
        found = effects(one, point, alike=True)
        more = gathered(found, resp.T + 1.0 / sum(map(len, people)))[0]
        sums = more if sums is None else sums + more
        mean_zz += np.einsum("naa->a", one.zz)
    assert sums is not None  # there is a block
    coefficients = best_coefficients(sums, point, terms.slots(k))
    left = float(sums.at(coefficients).square.sum() / sums.visits.sum())
    mean_zz /= float(sum(one.visits.sum() for one in people))
    each = np.sqrt(EFFECTS * left / max(q, 1) / np.where(mean_zz > 0.0, mean_zz, 1.0))
    roots = np.repeat(np.diag(each)[None], k, axis=0)
    sigma = np.full(k, np.sqrt((ERRORS if q else 1.0) * left))
    return EffectPoint(coefficients, roots, sigma)


def standpoints(terms: Terms, people: People) -> Array:
    """Where each person stands by the terms that components differ in, (N, m)."""
    m = len(terms.own)
    line, _ = line_of_all(terms, [people])
    own = people.x[:, :, :m]
    information = own.swapaxes(1, 2) @ own
    pull = (own.swapaxes(1, 2) @ people.residuals(line[None])[0][:, :, None])[:, :, 0]
    shrinking = SHRINKING * information.mean(axis=0)
    return np.asarray(np.linalg.solve(information + shrinking, pull[:, :, None])[:, :, 0])
