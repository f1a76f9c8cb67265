"""The one object that EM knows: the expected complete-data log-likelihood.

    Q(theta | at) = E[ log p(x, z | theta) | x, at ] = integral p(z | x, at) log p(x, z | theta) dz

The latent z may be one-hot, a path through states, a continuous factor or a missing value; an
`Expectation` hides which.  It is additive over independent rows, and it certifies itself: at the
parameters where it was taken, ``loglik == value(at) + entropy``.

One known case: for a single Gaussian with nothing latent, the entropy is 0, ``value`` is the
ordinary log-likelihood and ``maximize`` returns the sample mean and variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeVar

from emframe.core.status import Status

P = TypeVar("P")


class Expectation(Protocol[P]):
    """Q(. | at) for some rows; sums of nats, with every normalising constant kept.

    A model with a prior adds it to Q once, after the rows are summed.  Such a Q also carries
    ``log_prior``, the log density of the prior at `at`, and `value` and `maximize` include it.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> q = fit.model.expect(fit.params, np.array(counts, dtype=float)[:, None], np.ones(10))
    >>> bool(np.isclose(q.value(fit.params) + q.entropy, q.loglik))
    True
    """

    @property
    def at(self) -> P:
        """The parameters it was taken at."""

    @property
    def loglik(self) -> float:
        """Observed-data log-likelihood at `at`, without any prior."""

    @property
    def entropy(self) -> float:
        """Entropy of p(z | x, at), computed from the posterior and from nothing else here."""

    def value(self, params: P) -> float:
        """Q(params | at)."""

    def maximize(self) -> P:
        """argmax over params of Q(params | at), or any point that does not lower it."""

    def __add__(self, other: Any) -> Any:
        """Q of both sets of rows; refuses one that was taken at other parameters."""


def value_where(q: Expectation[P], other: Expectation[P]) -> float:
    """Q at the point where `other` was taken, of the same rows.

    A Q with terms that are of the rows alone has a method of this name: those need not be gone
    over for it once more, where `other` has just been.
    """
    told = getattr(q, "value_where", None)
    return q.value(other.at) if told is None else float(told(other))


class Contract(Enum):
    """What a model promises of its M-step, and so what the ledger may hold it to.

    Examples
    --------
    >>> emframe.family("gaussian").contract.value
    'exact'
    """

    EXACT = "exact"  # maximize() returns the maximiser of Q
    GENERALISED = "generalised"  # maximize() does not lower Q (Dempster et al. 1977, eq. 2.19)
    STOCHASTIC = "stochastic"  # Q is itself an estimate; it rises on average only

    @property
    def ascends(self) -> bool:
        """Whether each single step has to keep Q, and with it the objective, from falling."""
        return self is not Contract.STOCHASTIC


# Words of a `Degenerate` where an objective rises towards an edge of the parameters, bounded and
# never attained: what is higher there is no artefact, and what is a maximum elsewhere is lower.
EDGE = "grows for ever"


class Degenerate(ArithmeticError):
    """Raised inside an E- or M-step that has no finite answer, and turned into a `Status`.

    Parameters
    ----------
    reason : what happened and what to do, for people; ``{columns}`` in it stands for `columns`.
    component : index of the component concerned, where there is one.
    columns : indices of the columns concerned.

    Examples
    --------
    >>> emframe.Degenerate("component 1 has no spread", 1).component
    1
    """

    status: ClassVar[Status] = Status.DEGENERATE

    @property
    def starved(self) -> int | None:
        """The component, where another place may help it."""
        return self.component

    def __init__(
        self, reason: str, component: int | None = None, columns: Sequence[int] = ()
    ) -> None:
        self.reason, self.component, self.columns = reason, component, tuple(columns)
        self.reached: Any = None  # the `Move` that had been made, where one had
        super().__init__(self.told())

    def told(self, names: Sequence[str] = ()) -> str:
        """The reason; ``{columns}`` as ``column 2``, or ``column 2 ('width')`` by these names."""
        each = [f"{j} ({names[j]!r})" if j < len(names) else str(j) for j in self.columns]
        listed = ("column " if len(each) == 1 else "columns ") + ", ".join(each)
        return self.reason.replace("{columns}", listed)


class Separated(Degenerate):
    """The same where the objective has a bound that no finite parameters reach.

    So where data tell two outcomes apart without error: log odds rise for ever, and gain less and
    less.
    """

    status = Status.SEPARATED
    starved = None


class PassFailed(Exception):
    """Raised in the place of a Q by what is not the model: by who reads the rows, or works on them.

    Parameters
    ----------
    error : what was raised there.
    begun : whether a Q had been had before, so that there may be something to keep.
    """

    def __init__(self, error: Exception, begun: bool) -> None:
        super().__init__(f"{type(error).__name__}: {error}".rstrip(".: "))
        self.error, self.begun = error, begun


def log_prior(q: Expectation[Any]) -> float:
    """Log density of the prior at ``q.at``, in nats; 0 where the model declares none."""
    return float(getattr(q, "log_prior", 0.0))


def objective(q: Expectation[Any]) -> float:
    """What EM climbs: the log-likelihood at ``q.at``, plus the log prior where there is one."""
    return q.loglik + log_prior(q)
