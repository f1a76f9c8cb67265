"""z by weights that depend on covariates of the row: a mixture with a gate before it.

    p(z = k | u) = exp(b_k'u) / sum_l exp(b_l'u),        b_0 = 0

Concomitant variables (Dayton and Macready 1988, JASA 83, 173), or a mixture of experts whose
experts may be anything (Jacobs, Jordan, Nowlan and Hinton 1991, Neural Comp. 3, 79).  Its M-step is
a multinomial logit whose outcomes are the responsibilities; see `emframe.latents.logit`.

One known case: with a gate of no columns it is `OneHot`, its weights told as log odds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from emframe.core import Contract
from emframe.data import summed, swept
from emframe.data.runs import Sequences
from emframe.engines import Workspace
from emframe.families import ConjugatePrior
from emframe.families.kernel import NoSampler, retiled, untiled
from emframe.latents import logit
from emframe.latents.base import BlockPosterior, Latent, Order, apart
from emframe.latents.gate import Gate
from emframe.latents.logit import LogitSums
from emframe.latents.odds import expanded, log_probabilities, row_odds
from emframe.latents.ridge import Ridge, normal_prior
from emframe.latents.softmax import bayes, drawn, softmax, tempered
from emframe.parameters.records import record
from emframe.spaces import Array

GATE = -1  # the room of a workspace that parts of a family leave alone
FEW_STEPS = 6  # of the fit to the shares of a start, which may be free of error


@dataclass(frozen=True)
class Gated(Latent):
    """z drawn by a multinomial logit, row by row, or run by run where these share one."""

    gate: Gate

    name = "gate"
    contract = Contract.GENERALISED
    in_tiles = True

    @cached_property
    def parameters(self) -> type:
        """``gate``, with a field for each coefficient, and ``components``."""
        return record("GatedParameters", {"gate": self.gate.parameters, "components": Any})

    @property
    def width(self) -> int:
        return self.gate.width

    def survey(self, rows: Any) -> Array:
        """A triangle of the moments of covariates, (p, p)."""
        root = logit.joined(swept(rows, 1 << 16, self._surveyed))
        logit.refuse_collinear(root, self.gate.names)
        return root

    def _surveyed(self, x: Any, weights: Array) -> Array:
        return logit.triangle([(self._covariates(x), weights)], self.width)

    def ridge(self, ridge: Ridge, known: Array) -> ConjugatePrior[LogitSums]:
        prior = normal_prior(ridge, self.n, known)
        return ConjugatePrior(replace(self.nothing(), prior=prior), prior.log_constant)

    def _covariates(self, x: Any) -> Array:
        """Of each row, or of the first of each run, (n, q); a view where it can be."""
        u = apart(x, self.width)[1]
        return u[x.firsts] if isinstance(x, Sequences) and self.width else u

    def _coefficients(self, params: Any) -> Array:
        return self.gate.coefficients(params.gate)

    def log_prior(self, params: Any, x: Any) -> Array:
        return log_probabilities(self._coefficients(params), self._covariates(x)).T

    # ---- E and M

    def posterior(
        self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace
    ) -> BlockPosterior:
        u, others = self._covariates(x), joint[..., 1:, :]
        own = self._coefficients(params)
        room = work.room(GATE)
        odds = row_odds(own, u, weights, room)
        others += retiled(odds.log, others.shape)
        found = softmax(joint, x, weights, work)
        about, cross = expanded(own, odds, weights, room, untiled(found.resp, len(x)))
        sums = LogitSums(cross, ((u, weights),), about)
        return found._replace(loglik=found.loglik - odds.away, sums=sums)

    def given(self, params: Any, log_b: Array, x: Any) -> tuple[Array, Array]:
        return bayes(log_b + self.log_prior(params, x))

    def expected(self, sums: LogitSums, params: Any) -> float:
        return logit.value(sums, self._coefficients(params))

    def m_step(self, sums: LogitSums, previous: Any) -> dict[str, Any]:
        found = logit.climbed(sums, self._coefficients(previous))
        logit.refuse_separated(sums, found, self.gate.names)
        return {"gate": self.gate.made(found.coefficients)}

    def knowing(self, sums: LogitSums, other: LogitSums) -> LogitSums:
        return sums.knowing(other)

    def gradient(self, sums: LogitSums, params: Any) -> Array:
        return logit.slope(sums, self._coefficients(params))[1:].T.ravel()

    def nothing(self) -> LogitSums:
        return LogitSums(np.zeros((self.n, self.width + 1)))

    # ---- starts

    def begun(self, rows: Any, resp: Array) -> dict[str, Any]:
        """A few steps of the fit to the shares: where they are free of error there is no end."""
        sums = self.nothing() + summed(rows, 1 << 16, self._begun, resp)
        found = logit.climbed(sums, self._flat(rows.weights @ resp), FEW_STEPS)
        return {"gate": self.gate.made(found.coefficients)}

    def _begun(self, x: Any, weights: Array, resp: Array) -> LogitSums:
        return logit.summed(self._covariates(x), (resp * weights[:, None]).T)

    def begins(self, rows: Any, resp: Array, turn: int, rng: np.random.Generator) -> dict[str, Any]:
        """In two moods: the same for every row, until the first M-step; and as `begun`."""
        if turn % 2:
            return self.begun(rows, resp)
        return {"gate": self.gate.made(self._flat(rows.weights @ resp))}

    def _flat(self, counts: Array) -> Array:
        """Coefficients that say nothing but how large components are, (K, p)."""
        found = np.zeros((self.n, self.width + 1))
        found[:, 0] = np.log(np.maximum(counts / counts.sum(), np.finfo(float).tiny))
        found[:, 0] -= found[0, 0]
        return found

    def occupancy(self, params: Any) -> Array:
        """1 / K each: how much a component has depends on the rows."""
        return np.full(self.n, 1.0 / self.n)

    def doubled(self, twice: Any, times: Order) -> dict[str, Any]:
        """Components alike share their odds."""
        coefficients = self.gate.coefficients(twice.gate)
        coefficients[:, 0] -= np.log(times)
        return {"gate": self.gate.made(coefficients)}

    def alike(self, other: Latent) -> bool:
        return isinstance(other, Gated) and self.gate == other.gate

    # ---- after a fit

    def surprise(self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace) -> float:
        joint += retiled(self.log_prior(params, x).T, joint.shape)
        # Not of weighted rows, for beside a weight of 1e300 one of 1e-300 is 0.
        highest = softmax(joint, x, np.ones(len(x)), work).resp.max(axis=-2).ravel()[: len(x)]
        return -float(np.log(highest) @ weights)

    def log_prob(self, params: Any, x: Any, hot: Array) -> float:
        return float((self.log_prior(params, x) * hot).sum())

    def sample(self, params: Any, n: int, rng: np.random.Generator, x: Any = None) -> Order:
        if x is None:
            raise NoSampler(
                "the weights depend on covariates, and there are none to draw at; pass rows that "
                "have them: fit.sample(n, given=X)."
            )
        below = np.exp(self.log_prior(params, x)).cumsum(axis=1)
        return np.asarray((rng.random(n)[:, None] * below[:, -1:] >= below[:, :-1]).sum(axis=1))

    def tempered(
        self, params: Any, log_b: Array, x: Any, weights: Array, beta: float
    ) -> BlockPosterior:
        found = tempered(log_b + self.log_prior(params, x), weights, beta)
        return found._replace(sums=logit.summed(self._covariates(x), found.resp))

    def drawn(
        self, params: Any, log_b: Array, x: Any, weights: Array, rng: np.random.Generator
    ) -> BlockPosterior:
        found = drawn(log_b + self.log_prior(params, x), weights, rng)
        return found._replace(sums=logit.summed(self._covariates(x), found.resp))

    # ---- parameters

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """From ``gate``: a mapping of the coefficients by name, (K,) each, the first 0."""
        return {"gate": self.gate.build("gate", values.get("gate"))}
