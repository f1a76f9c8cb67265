"""A family: K component densities of the same kind, all handled at once.

The full lane.  Five functions say everything that EM needs of a component density f:

    log_density(params, x)      log f(x_i | theta_k)                                    (n, K)
    accumulate(x, resp)         S, the sums over rows that the M-step needs; they add
    expected(S, params)         sum_ik resp_ik log f(x_i | theta_k), from S alone
    m_step(S, previous)         the parameters that maximise it
    sample(params, labels, rng) one row for each label

A row may hide more than its component: the factors behind it, the values it lacks, the effects of
a person.  Such a family has a latent of its own, `hides`, and one function more,

    completed(params, x, resp)  S of the rows completed by it at `params`, and its entropy

Then `expected` is the expected log density of the completed rows, and with the entropy it comes to
that of the rows.

A family holds settings, never a fit.  Parameters go in and come out.  A setting may be left to the
data, such as how many answers a question has; `settled` then reads it off them before the fit.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract, Degenerate
from emframe.data.legend import Kind
from emframe.families.axes import Axes
from emframe.families.conditional import Conditional
from emframe.families.flat import Flat
from emframe.families.kernel import Densities, Kernel, Survey
from emframe.families.outcomes import Outcome
from emframe.families.patterns import groups
from emframe.families.pieces import Pieces, besides, shrinkable
from emframe.parameters import (
    build,
    declarations,
    from_vector,
    n_columns_free,
    problem,
    template,
    to_vector,
)
from emframe.spaces import Array, Bounds, Claim, Real, Space, slopes
from emframe.spaces.ends import limits

S = TypeVar("S")


class Completed(NamedTuple):
    """Sums over rows as their family completes them."""

    statistics: Any
    entropy: Any  # (K,) of what completes them given the rows, weighted by responsibilities; nats


class Stand(NamedTuple):
    """Values that stand for a draw: a family's sums over them are those expected of it.

    Of a density whose statistics are y and y^2, two values at its mean plus and minus its
    deviation; of one whose statistic is y, the mean alone.
    """

    values: Array  # (m, n, K) of the column that is modelled
    shares: Array  # (m, n, K), which sum to 1 over the first axis


class Blurred(NamedTuple):
    """Rows with errors: their density, and what the rows without them are given these."""

    log_density: Array  # (n, K)
    means: Array  # (n, K, d)
    roots: Array  # (n, K, d, d)  R with R R' the covariance


@dataclass(frozen=True)
class ConjugatePrior(Generic[S]):
    """A prior that is conjugate to the complete data, told as pseudo-data.

    Its log density is ``family.expected(statistics, params) + log_constant``, so that adding it
    to Q is adding `statistics` to those of the rows, and the M-step needs no second formula
    (Dempster, Laird and Rubin 1977, section 1.3).

    Examples
    --------
    >>> family = emframe.family("poisson")
    >>> whole = family.whole(np.array([[1.0], [3.0]]), np.ones(2))
    >>> prior = family.conjugate_prior("weak", whole, k=1)
    >>> isinstance(prior, emframe.ConjugatePrior)
    True
    """

    statistics: S
    log_constant: float  # normalises the density, nats


class Family(ABC):
    """Base of all families.  Subclass it, usually as a frozen dataclass of settings.

    Examples
    --------
    >>> family = emframe.family("gaussian", covariance="tied")
    >>> family.name, family.priors
    ('gaussian', ('weak',))
    """

    name: ClassVar[str] = ""
    support: ClassVar[Space] = Real()
    contract: ClassVar[Contract] = Contract.EXACT
    priors: ClassVar[tuple[str, ...]] = ()  # the names that conjugate_prior knows
    effort: ClassVar[float] = 1.0  # an EM iteration, in passes of a cheap density over the rows
    equivariant: ClassVar[tuple[str, ...]] = ()  # "scale", "shift": what its maximum follows
    columns: ClassVar[tuple[str, ...] | None] = None  # names of those it takes, where it names them
    width: ClassVar[int | None] = None  # how many columns, where that is settled
    fewest_columns: ClassVar[int] = 1  # of those it takes, where any number will do from there on
    is_settled: ClassVar[bool] = True  # False where a setting is left to the data
    gaps: ClassVar[str] = ""  # what there is for missing values: a setting of the family
    covariates: ClassVar[tuple[int, ...]] = ()  # places of columns that are given, not modelled
    in_runs: ClassVar[bool] = False  # whether each of its rows is a run of rows, `Sequences`
    hides: ClassVar[bool] = False  # whether it has a latent of its own; see `completed`
    truncates: ClassVar[bool] = False  # whether it has `truncated`
    blurs: ClassVar[bool] = False  # whether it has `blurred`
    has_places: ClassVar[bool] = False  # whether components alike keep to an order or an equation
    maker: ClassVar[str] = ""  # the function that puts such families together; none for a plugin's

    @property
    @abstractmethod
    def parameters(self) -> type:
        """The parameter dataclass (a class attribute will do)."""

    @abstractmethod
    def log_density(self, params: Any, x: Array) -> Array:
        """Log density of each row under each component, (n, K), nats, all constants kept."""

    @abstractmethod
    def accumulate(self, x: Array, resp: Array) -> Any:
        """Statistics of rows x (n, d) with responsibilities resp (n, K), row weights included."""

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        """The E-step of the family's own latent at `params`: S, and the latent's entropy.

        Without one, S is `accumulate`'s and the entropy 0.  A family that has one says so by
        `hides`; its `accumulate`, which knows no parameters, is for an M-step without previous
        ones, at a start.
        """
        return Completed(self.accumulate(x, resp), 0.0)

    @abstractmethod
    def expected(self, statistics: Any, params: Any) -> float:
        """Sum over rows and components of resp times log density, nats, all constants kept.

        Of completed rows, for a family with a latent of its own.
        """

    @abstractmethod
    def m_step(self, statistics: Any, previous: Any) -> Any:
        """Parameters that maximise `expected`; `previous` is None at a start.

        A component without rows keeps its previous parameters: any would do.  Raises
        `emframe.Degenerate` where no finite maximum exists.
        """

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """The M-step where some parameters are known, or are one value for all components.

        Parameters
        ----------
        like : parameters in which what is known has its values.
        held : the fields that are known.
        shared : the fields whose value all components have in common.

        What is held is not judged: a component can degenerate only in what is estimated.  None
        where the family has no such step; then Q is climbed along the constraint.
        """
        return None

    @abstractmethod
    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """One row drawn from the component that each of the n labels names, (n, d)."""

    # ---- the distribution of a row, which not every family can tell

    def log_cdf(self, params: Any, x: Array) -> Array:
        """Log probability that no column of a draw exceeds that of row x (n, d), (n, K), nats.

        TypeError, as from the four after it, where the family has no such function.
        """
        raise self._without("distribution function")

    def log_sf(self, params: Any, x: Array) -> Array:
        """Log probability that a draw of one column exceeds row x (n, 1), (n, K), nats.

        From `log_cdf`, unless a family knows it to all digits where it is small.
        """
        if x.shape[1] > 1:
            raise self._without("log_sf of more than one column")
        return log1mexp(self.log_cdf(params, x))

    def mean(self, params: Any) -> Array:
        """The mean of each column of each component, (K, d)."""
        raise self._without("mean")

    def variance(self, params: Any) -> Array:
        """The variance of each column of each component, (K, d)."""
        raise self._without("variance")

    def quantile(self, params: Any, p: Array) -> Array:
        """The least value that each column exceeds with probability 1 - p at most.

        From p (m,) to (m, K, d).
        """
        raise self._without("quantiles")

    def survival(self, params: Any, x: Array, times: Array) -> Array:
        """The probability that the column that is modelled exceeds each time, (n, K, m).

        Given the covariates of rows x (n, d).  TypeError for a family of several such columns.
        """
        place = self._sole(x)
        each = x if self.covariates else x[:1]
        rows = np.repeat(each, len(times), axis=0)
        rows[:, place] = np.tile(times, len(each))
        found = self._survivors(params, rows).reshape(len(each), len(times), -1).swapaxes(1, 2)
        return np.broadcast_to(found, (len(x), *found.shape[1:]))

    def _survivors(self, params: Any, rows: Array) -> Array:
        """S at rows, 1 below the support and 0 beyond it, (n, K)."""
        place = self._sole(rows)
        space, values = self.support.column(place).present, rows[:, place]
        floored = np.floor(values) if space.discrete else values
        inside = np.asarray(space.contains(floored)).reshape(-1)
        bottom, _ = limits(space)
        if inside.any():
            within = rows[inside]
            within[:, place] = floored[inside]
            told = np.exp(self.log_sf(params, within))
            found = np.where(
                (floored <= bottom)[:, None], 1.0, np.zeros((len(rows), told.shape[1]))
            )
            found[inside] = told
            return found
        raise ValueError(f"no time is one that {self.name!r} takes: {space.words}.")

    def bounds(self, x: Array) -> Bounds:
        """Between which the value of each row lies, (n,) both; the value itself where it was seen.

        TypeError for a family of several columns that are modelled.
        """
        values = x[:, self._sole(x)]
        gaps = np.isnan(values)
        return Bounds(np.where(gaps, -np.inf, values), np.where(gaps, np.inf, values))

    def _sole(self, x: Array) -> int:
        """The place of the one column that is modelled."""
        places = [j for j in range(x.shape[1]) if j not in self.covariates]
        if len(places) != 1:
            raise self._without("one column that lives for a time")
        return places[0]

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        """What stands for a draw between two rows in all sums: see `Stand`.

        Parameters
        ----------
        low, high : (n, d) rows with the ends of the column that is modelled, which may be
            infinite; equal in all others.

        TypeError where the family has no such moments; one that has says so by `truncates`.
        """
        raise self._without("moments between bounds")

    def blurred(self, params: Any, x: Array, roots: Array) -> Blurred:
        """Rows x (n, d) as measured with normal errors of covariances R R', R (n, d, d).

        What was not measured of a row is nan.

        TypeError where the family does not know them; one that does says so by `blurs`.
        """
        raise self._without("density of rows that are measured with errors")

    def _without(self, what: str) -> TypeError:
        return TypeError(f"the family {self.name!r} has no {what}.")

    def gradient(self, statistics: Any, params: Any) -> Array:
        """Gradient of `expected` at `params`, in the coordinates of its spaces, (m,).

        By central differences, unless a family knows better.  It steers the acceleration.
        """
        return slopes(
            lambda vector: self.expected(statistics, from_vector(params, vector)),
            to_vector(params),
        )

    def each(self, k: int) -> tuple[Family, ...]:
        """The family of each of k components by itself, of which there may be any number, (K,).

        Components of equal families are interchangeable; all are, unless a family says so.
        """
        return (self,) * k

    def arranged(self, x: Any, shares: Array) -> NDArray[np.intp] | None:
        """The order (K,) in which clusters with shares (n, K) of rows go best with its places.

        None where components have none, or are unlike by themselves; see `has_places`.
        """
        return None

    def whole(self, x: Array, weights: Array) -> Any:
        """Statistics of rows x (n, d) with frequency weights (n,) as one component."""
        return self.accumulate(x, weights[:, None])

    def settled(self, whole: Any, columns: Sequence[str]) -> Family:
        """The same family with what it leaves to the data read off them.

        Parameters
        ----------
        whole : `whole` of all rows.
        columns : their names, for messages.

        Raises ValueError where the data do not tell.
        """
        return self

    def with_gaps(self) -> Family:
        """The same family, of the same parameters, of rows that may lack some values (nan).

        It leaves out the terms of what is missing, unless a family has something better.

        Raises TypeError for one that can do neither.
        """
        from emframe.families.gaps import Gaps  # which is one of these itself

        return self if self.support.missing else Gaps(self)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """What components say of columns that rows x (n, d) hide, given those they show.

        hidden : (m,) places of these columns, nan in all rows; the others are seen in all.

        TypeError where the family does not tell, as one that takes no missing values.
        """
        raise self._without("law of some columns given others")

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Family:
        """The same family given others in the place of some of its covariates.

        Parameters
        ----------
        names : for the name of a covariate, or a formula, those of the columns of numbers that are
            made of it: ``{"sex": ("sex_m",)}``.

        A family that has no covariates by name is itself.
        """
        return self

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        """E[x | what is seen of x], (n, d): rows with the mean of what they hide; see `Fit.impute`.

        shares : (n, K) of the components.

        TypeError where `conditional` raises it, or tells no mean.
        """
        if not any(space.missing for space in self.supports):
            raise TypeError(f"the family {self.name!r} has no missing values to fill in.")
        filled = np.array(x)
        for group in groups(x):
            hidden = np.flatnonzero(group.gaps)
            if len(hidden):
                means = self.conditional(params, x[group.rows], hidden).means
                if means is None:
                    raise self._without("mean")
                told = np.einsum("nk,nkm->nm", shares[group.rows], means)
                filled[np.ix_(group.rows, hidden)] = told
        return filled

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        """Raise ValueError where all rows together show that there is nothing to fit.

        Parameters
        ----------
        whole : `whole` of all rows.
        columns : their names.
        """

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """Ways to take the components at `params` past all rows, the fastest first.

        Parameters
        ----------
        constants : (K,) what is added to the log density of each component, such as its log prior
            probability; -inf for 0.
        survey : what is known of all rows.

        One that loses too many digits says so when it is done, and the next is asked; the last
        never does.  A family that knows no faster way than its own functions needs nothing here.
        """
        yield Densities(self, params, constants)

    def given(self, x: Array) -> Family:
        """This family, with draws that have the covariates of rows x (n, d), taken in turn.

        A density given covariates says nothing of where these lie.
        """
        return self

    def support_given(self, row: Array) -> Space:
        """Where the columns that are modelled live, given the covariates of a row (d,)."""
        return self.support

    def boundary(self, params: Any) -> str:
        """Where components lie on the boundary of what parameters may be, in words; or ``""``.

        A maximum there has no slope of 0, and no standard errors.
        """
        return ""

    def points(self, x: Any) -> Array | None:
        """Where each run of rows stands, (S, m), for starts that measure distances between them.

        None where it stands at the mean of its rows.
        """
        return None

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        """Where a response stands in a row, and the covariates along which it runs.

        Parameters
        ----------
        response : its column, where there are several; the first if None.

        Raises TypeError for a family that has no response, ValueError for a column that is none.
        """
        raise TypeError(f"the family {self.name!r} has no response that could run along a column.")

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        """Mean and standard deviation of a response at the covariates of rows x (n, d), (n, K).

        Raises TypeError for a family that has no response.
        """
        raise TypeError(f"the family {self.name!r} has no response that could run along a column.")

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        """Means and variances of responses at the rows of runs `at`, given runs x, (n, K) both.

        Parameters
        ----------
        owners : for each run of `at` that of x which is of the same person; -1 where none is.

        Raises TypeError for a family without random effects.
        """
        raise TypeError(f"the family {self.name!r} does not foretell responses.")

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        """Names of the q random effects, and their posterior means and deviations, (n, K, q).

        Raises TypeError for a family without any.
        """
        raise TypeError(f"the family {self.name!r} has no random effects.")

    def located(self, x: Array) -> Array:
        """Rows x (n, d) as points of as many columns, where starts measure distances; nan for none.

        The rows themselves, unless a family says what a row that was seen in part is near.
        """
        return x

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        """All that could have been seen in the place of a row (d,), given what of it is given.

        A density over them sums and integrates to 1.  None where each column that is modelled is
        seen as one value, wherever that lives.
        """
        return None

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[Any]:
        """The prior that `prior` names (``"weak"``) for K components and these data.

        Parameters
        ----------
        whole : `whole` of all rows.

        Raises ValueError where the family has no such prior.
        """
        known = ", ".join(map(repr, self.priors)) or "none"
        raise ValueError(f"`prior` is {prior!r}; the family {self.name!r} knows: {known}.")

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        """Free parameters of what can shrink in each of k components by itself, (k,), or 0.

        A density that can shrink to a few rows makes a likelihood unbounded, and a component may
        be an artefact of that; probabilities have a bound.  By default read off the declarations,
        see ``emframe.families.pieces``.
        """
        discrete, modelled = self.columns_modelled(self.width or 1)
        if discrete[modelled].all():
            return np.zeros(k, dtype=np.intp)
        return shrinkable(params, k)

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        """The finest parts of K components at rows x, of which they have shares (n, K)."""
        return self.pieces_of(params, np.asarray(self.log_density(params, x)), shares)

    def pieces_of(self, params: Any, density: Array, shares: Array) -> Pieces:
        """K components as the pieces that they are, of log densities at rows (n, K) and shares."""
        k = shares.shape[1]
        freedom = self.freedom(params, k)
        return Pieces(density, shares, freedom, besides(params, freedom), np.arange(k))

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of d columns have a probability in the place of a density, and which are no
        covariates; (d,) each."""
        discrete, modelled = np.zeros(d, dtype=bool), np.ones(d, dtype=bool)
        for space in self.supports:
            discrete |= space.columns_that_are("discrete", d)
        modelled[list(self.covariates)] = False
        return discrete, modelled

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """Single components along axes, over boxes of which densities are bounded; see `Axes`.

        Parameters
        ----------
        params : the components of a fit.
        x : the rows (n, d).
        kept : the fields of `params` that are held or shared by all components, and stay.
        **options : what the family asks for.

        Raises TypeError where the family has no such bounds, ValueError where it has none here.
        """
        raise TypeError(
            f"the family {self.name!r} has no bounds of its density over a range of parameters, "
            "and so no certificate. Families that have them: poisson, bernoulli, gaussian with "
            "one covariance for all components or a least variance, exponential families of one "
            "parameter, products of these, and what has a method `axes`."
        )

    def stacked(self, k: int) -> Family | None:
        """The family of components in groups of k, each group as this family's k would be.

        Components of many starts of one mixture then are components like any others.  Those that
        are apart need no other family; what components share, a group has for itself.  None where
        the family has no such form.
        """
        return self if is_apart(self.parameters) else None

    def flat(self, x: Array, weights: Array) -> Flat | None:
        """The family as tables of coordinates about rows x (n, d); None where it has no such form.

        With it many starts on small data cost little more than one; see ``emframe.families.flat``.
        """
        return None

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        """What is wrong with parameters for these dimensions, or None."""
        return problem(params, dims, prefix)

    def ingredients(self) -> dict[str, Any]:
        """What it was made from, by keyword: its settings, where it is a dataclass of them."""
        settings: Any = self
        if not dataclasses.is_dataclass(settings):
            return {}
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(settings)}

    def build(self, values: Any) -> Any:
        """Parameters from a mapping of array-likes by field name."""
        return build(self.parameters, values)

    def template(self, dims: Mapping[str, int]) -> Any:
        """Parameters of the right shapes for ``{"K": ..., "d": ...}``, somewhere in the middle."""
        return template(self.parameters, dims)

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """The columns of its parts, by what their parameters are under; none where it is one."""
        return {}

    def kinds(self, d: int) -> dict[int, Kind]:
        """Which of d columns may be told in words, by their place, and how many words there are."""
        found: dict[int, Kind] = {}
        for claim in self.claims():
            ranked = claim.space.columns_that_are("ranked", d)
            for place, most in enumerate(claim.space.codes(d)):
                if most:
                    found[place] = Kind(float(most), bool(ranked[place]), claim.owner)
        return found

    @property
    def supports(self) -> tuple[Space, ...]:
        """The spaces that every row has to lie in."""
        return (self.support,)

    def claims(self) -> tuple[Claim, ...]:
        """The supports, and for messages whose they are."""
        owner = f"the family {self.name!r}"
        return tuple(Claim(space, owner, self.gaps) for space in self.supports)

    @property
    def takes_columns(self) -> bool:
        """Whether the rows may have more than one column."""
        return n_columns_free(self.parameters) or (self.width or 1) > 1


def refuse_kept(family: Family, kept: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise where parameters are kept, or options given, by which a family cannot lay out axes."""
    if kept:
        raise TypeError(
            f"{', '.join(f'`{name}`' for name in kept)} of the family {family.name!r} are held or "
            "shared, and no bounds are known for what is left; fit without."
        )
    if options:
        raise TypeError(
            f"the family {family.name!r} takes no options here; got {', '.join(options)}."
        )


def log1mexp(log_p: Array) -> Array:
    """log(1 - p) of a probability by its logarithm, to all digits (Maechler 2012)."""
    with np.errstate(divide="ignore"):
        near_one = log_p > -np.log(2.0)
        inner = -np.expm1(np.where(near_one, log_p, 0.0))
        return np.where(near_one, np.log(inner), np.log1p(-np.exp(np.minimum(log_p, -0.5))))


def is_apart(kind: Any) -> bool:
    """Whether in every field of a parameter class each component's values are its own, or held."""
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        return False
    declared = declarations(kind)

    def apart(one: Any) -> bool:
        what = declared.get(one.name)
        return is_apart(one.type) if what is None else what.is_own or what.fixed

    return all(map(apart, dataclasses.fields(kind)))


def refuse_empty(which: NDArray[np.bool_]) -> None:
    """Raise `Degenerate` for a component in the mask, without rows at a start: nothing to keep."""
    if which.any():
        k = int(which.argmax())
        raise Degenerate(f"component {k} starts without a row", k)
