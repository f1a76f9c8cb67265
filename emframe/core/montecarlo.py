"""Monte Carlo EM: the E-step by draws of z, where its integral has no closed form.

    Q(theta | at)  is about  (1/m) sum_j log p(x, z_j | theta),        z_j ~ p(z | x, at)

(Wei and Tanner 1990, JASA 85, 699).  Such a Q is an estimate, and so is its rise; the draws that
give the estimate also give its standard error.  A step is taken once the rise is clear of its
error, on more draws where it is not, so that few are spent far from the maximum and many near it
(Caffo, Jank and Jones 2005, JRSS B 67, 235).

A model that can only sample z does not know its log-likelihood, but the draws at two points tell
how it changes between them.  With D = log p(x, z | theta) - log p(x, z | at), Jensen's inequality
says that

    E[D | x, at]  <=  log p(x | theta) - log p(x | at)  <=  E[D | x, theta]

and the two gaps, which are the divergences of one posterior from the other, agree to third order in
the step; half way between is the estimate, rough over long strides and good over short ones.  So
`loglik` is relative to the start.  The entropy is
what remains of it beside Q: the identity of the ledger then holds by construction and tells
nothing, which is the price of knowing the posterior by its draws alone.

One known case: with a posterior of one point each draw is that point, the error is 0, and this is
EM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emframe.core.methods import Expect, Move

P = TypeVar("P")


class Sampler(Protocol[P]):
    """A model that can draw from its posterior."""

    def draw(self, params: P, n: int, rng: np.random.Generator) -> NDArray[Any]:
        """n draws of the whole z from p(z | x, params), (n, ...); thinned, if they depend."""

    def log_joint(self, params: P, z: NDArray[Any]) -> NDArray[np.float64]:
        """log p(x, z | params) of each draw, (n,), nats, summed over the rows of x."""

    def maximize(self, z: NDArray[Any], previous: P) -> P:
        """Parameters that maximise the mean of `log_joint` over the draws."""


@dataclass(frozen=True)
class MonteCarloExpectation(Generic[P]):
    """Q by draws of z.  `loglik` and `entropy` are relative to the start of the run."""

    model: Sampler[P]
    at: P
    z: NDArray[Any]  # (m, ...)
    rng: np.random.Generator = field(repr=False)
    loglik: float = 0.0

    @property
    def entropy(self) -> float:
        """What `loglik` holds beside Q, not an independent figure."""
        return self.loglik - self.value(self.at)

    @property
    def n_draws(self) -> int:
        return len(self.z)

    def value(self, params: P) -> float:
        """The estimate of Q(params | at)."""
        return float(self.model.log_joint(params, self.z).mean())

    def maximize(self) -> P:
        return self.model.maximize(self.z, self.at)

    def rise(self, params: P) -> tuple[float, float]:
        """Estimate of Q(params | at) - Q(at | at), and its standard error, nats."""
        each = self.model.log_joint(params, self.z) - self.model.log_joint(self.at, self.z)
        return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))

    def with_draws(self, n: int) -> MonteCarloExpectation[P]:
        """The same Q on at least n draws: these, and new ones."""
        if n <= self.n_draws:
            return self
        more = self.model.draw(self.at, n - self.n_draws, self.rng)
        return replace(self, z=np.concatenate([self.z, more]))

    def __add__(self, other: Any) -> Any:
        raise TypeError(
            "a Q by draws of the whole z does not add over rows; draw z for all rows at once"
        )


def by_draws(
    model: Sampler[P], rng: np.random.Generator, n_draws: int = 64
) -> Callable[[P], MonteCarloExpectation[P]]:
    """The E-step of a model that samples: ``expect(params)`` on so many draws at first."""
    if n_draws < 2:
        raise ValueError(f"`n_draws` is {n_draws}; pass 2 or more, for an error needs two.")

    def expect(params: P) -> MonteCarloExpectation[P]:
        return MonteCarloExpectation(model, params, model.draw(params, n_draws, rng), rng)

    return expect


@dataclass(frozen=True)
class MonteCarloEM:
    """EM steps on as many draws as make each rise of Q clear of its error.

    For `emframe.core.run` with ``contract=Contract.STOCHASTIC``.  The gain that it reports as
    remaining is the upper end of the last rise: ``RemainingGain(tol)`` ends the run when neither of
    two successive steps can have gained more than tol.  The state is the number of draws.

    Parameters
    ----------
    errors : how many standard errors a rise has to be clear of; 1.645 is wrong once in twenty.
    growth : by which draws are multiplied where a rise is not clear.
    most_draws : where that ends, and the step is taken as it is.
    """

    errors: float = 1.645
    growth: float = 2.0
    most_draws: int = 1 << 16

    def start(self, q: Any) -> int:
        return int(q.n_draws)

    def advance(self, expect: Expect[Any], q: Any, state: int) -> tuple[Move[Any], int]:
        q = q.with_draws(state)
        params = q.maximize()
        rise, error = q.rise(params)
        while rise <= self.errors * error and q.n_draws < self.most_draws:
            q = q.with_draws(min(int(self.growth * q.n_draws) + 1, self.most_draws))
            params = q.maximize()
            rise, error = q.rise(params)
        new: Any = expect(params)
        climb = 0.5 * (rise - new.rise(q.at)[0])
        new = replace(new, loglik=q.loglik + climb)
        upper = max(rise + self.errors * error, 0.0)
        return Move(new, is_em=True, remaining=upper), q.n_draws
