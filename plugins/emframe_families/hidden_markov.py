"""Hidden Markov models over any family: z is a path through states that the rows are drawn from.

    p(x, z | theta) = p(z_1) f(x_1 | z_1) prod_t A[z_{t-1}, z_t] f(x_t | z_t)

What the M-step needs of the posterior of a path is what is expected of it: the state it begins in,
its steps from state to state, and for the family each row's share in each state.  Weights of runs
go into all three (Baum et al. 1970, Ann. Math. Statist. 41, 164; Rabiner 1989, Proc. IEEE 77, 257).

One known case: runs of a single row make it a mixture, with the initial probabilities as weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from emframe import Array, Contract, Degenerate, Family, LatentModel, Simplex
from emframe import parameter as declared
from emframe.data import as_rows, filled
from emframe.engines import Workspace
from emframe.families import Densities, Pieces, Stack, Survey, matched
from emframe.host import name_of
from emframe.models import Mixture, Posterior, starts
from emframe.models.base import Covered, covered
from emframe.models.components import taken
from emframe.models.mixture_expectation import composed_problem
from emframe.models.mixture_parts import composed
from emframe.models.moves import split_and_merge, splits
from emframe.models.nesting import Nesting, doubled, nesting
from emframe.models.parting import alike, parted
from emframe.models.sequences import Sequences, as_sequences
from emframe.parameters import frozen
from emframe.recipes import describe
from emframe.refusals import refuse_beyond
from emframe_families.chain_pass import ChainPass, PathSums
from emframe_families.paths import PathPosterior, best_paths, path_posterior

EPS = float(np.finfo(float).eps)
_ROWS = 1 << 13  # that the family is shown at a time
_GROWTHS = 20  # at most, in an M-step of transitions that tell where paths begin


@dataclass(frozen=True)
class ChainParameters:
    """Where paths begin, how they go on, and what each state looks like."""

    initial: Array = declared(Simplex(), shape="K", per_component=False)  # (K,)
    transitions: Array = declared(Simplex(), shape=("K", "K"), per_component=False)  # (K, K)
    components: Any = None  # the family's parameters, one component to a state


@dataclass(frozen=True)
class StationaryParameters:
    """The same, for paths that begin as they go on in the long run."""

    transitions: Array = declared(Simplex(), shape=("K", "K"), per_component=False)  # (K, K)
    components: Any = None

    @property
    def initial(self) -> Array:
        """The stationary distribution of the transitions, (K,)."""
        return stationary(self.transitions)


@dataclass(frozen=True, init=False)
class HiddenMarkov(LatentModel):
    """A hidden Markov model whose states emit rows of a family.

    Data are one run of rows, a list of arrays (a run each), or `emframe.Sequences(x, lengths)`;
    row weights belong to runs.

    Parameters
    ----------
    family : name of a plugin, a `Family`, a `Mixture` (each state then emits rows of one), or a
        list of them: one for each state, or one for each group of states.
    n_states : K, by default 2; for a list of families a list of group sizes (default: one each).
    initial : "free" estimates p(z_1); "stationary" takes it from the transitions.
    **settings : of the family, when it is given by name, such as ``covariance="diag"``.
    """

    family: Family
    n_states: int
    initial: str

    name = "hidden-markov"
    covered: ClassVar[Covered | None] = None  # see `given`

    def __init__(
        self,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n_states: int | Sequence[int] | None = None,
        initial: str = "free",
        **settings: Any,
    ) -> None:
        if initial not in {"free", "stationary"}:
            raise ValueError(f"`initial` is {initial!r}; expected 'free' or 'stationary'.")
        is_list = isinstance(family, Sequence) and not isinstance(family, str)
        if n_states is None and not is_list:
            n_states = 2
        resolved, k = composed(family, n_states, settings, "n_states")
        if resolved.in_runs:
            raise TypeError(
                f"the rows of {resolved.name!r} are runs, whose rows share one z; those of a chain "
                "have one each: pass the family that is grouped."
            )
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "n_states", k)
        object.__setattr__(self, "initial", initial)

    @property
    def parameters(self) -> type:
        return ChainParameters if self.initial == "free" else StationaryParameters

    @property
    def sole_start(self) -> str:  # type: ignore[override]
        return "with one state all starts are the same" if self.n_states == 1 else ""

    @property
    def contract(self) -> Contract:
        """The family's, but no better than generalised where p(z_1) depends on the transitions."""
        order = list(Contract)
        own = Contract.EXACT if self.initial == "free" else Contract.GENERALISED
        return max(own, self.family.contract, key=order.index)

    @property
    def effort(self) -> float:
        return self.family.effort

    def choices(self) -> int:
        return self.n_states

    @property
    def dims(self) -> dict[str, int]:
        return {"K": self.n_states}

    # ---- data

    def settled(self, X: Any, weights: Any = None) -> HiddenMarkov:
        """The same model with what its family leaves to the data read off them."""
        if self.family.is_settled:
            return self
        rows = self.rows(X, weights)
        other = copy(self)
        family = self.family.settled(self.survey(rows).statistics, rows.columns)
        object.__setattr__(other, "family", family)
        return other

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Any:
        """Validate runs; see `emframe.models.sequences.as_sequences`."""
        return as_sequences(X, self.family, weights, columns)

    def require(self, rows: Any) -> None:
        """Refuse fewer rows than states."""
        refuse_beyond("n_states", self.n_states, len(rows.x.x), "row")

    def work(self, rows: Any) -> int:
        """Numbers of work space for a run of average length."""
        per_row = self.n_states * (len(rows.columns) + 12)
        return per_row * -(-len(rows.x.x) // len(rows))

    # ---- E

    def paths(self, params: Any, x: Sequences, weights: Array) -> PathPosterior:
        """The posterior of the path of each run."""
        log_b = self.log_density(params, x)
        return path_posterior(params.initial, params.transitions, log_b, x, weights)

    def log_density(self, params: Any, x: Sequences) -> Array:
        """log f(x_t | z_t = k) of all rows, (n, K)."""
        log_b = np.empty((self.n_states, len(x.x)))
        for part in _parts(x):
            log_b[:, part] = self.family.log_density(params.components, x.x[part]).T
        return log_b.T

    def survey(self, rows: Any) -> Survey:
        """The family's statistics of all rows as one component."""
        each = np.repeat(rows.weights, rows.x.lengths)
        parts = (self.family.whole(rows.x.x[part], each[part]) for part in _parts(rows.x))
        return Survey(reduce(add, parts), len(rows.x.x))

    def passes(self, params: Any, survey: Survey) -> Iterator[ChainPass]:
        """The E-step by each of the family's kernels in turn."""
        for kernel in self.family.kernels(params.components, np.zeros(self.n_states), survey):
            yield ChainPass(self, params, kernel)

    def e_step(self, params: Any, x: Any, weights: Array) -> Posterior:
        kernel = Densities(self.family, params.components, np.zeros(self.n_states))
        plain = ChainPass(self, params, kernel)
        q = plain.finish(plain.block((x, weights), Workspace()))
        assert q is not None  # plain densities lose no digits
        return Posterior(q.loglik, q.entropy, q.statistics)

    def posterior(self, params: Any, x: Any) -> tuple[Array, Array]:
        """Log density of each run (S,), and p(z_t | x) of each row (n, K)."""
        found = self.paths(params, x, np.ones(len(x)))
        return found.loglik, found.states

    # ---- M

    def expected(self, statistics: PathSums, params: Any) -> float:
        chain = xlogy(statistics.begins, params.initial).sum()
        chain += xlogy(statistics.steps, params.transitions).sum()
        return float(chain) + self.family.expected(statistics.emissions, params.components)

    def m_step(self, statistics: PathSums, previous: Any) -> Any:
        """Shares of begins and of steps; a state that no path leaves keeps its transitions."""
        leaving = statistics.steps.sum(axis=1, keepdims=True)
        transitions = np.where(
            leaving > 0,
            statistics.steps / np.where(leaving > 0, leaving, 1.0),
            previous.transitions,
        )
        components = self.family.m_step(statistics.emissions, previous.components)
        if self.initial == "free":
            begins = statistics.begins / statistics.begins.sum()
            return ChainParameters(begins, transitions, components)
        candidates = [transitions, previous.transitions]
        best = max(candidates, key=lambda one: _stationary_value(statistics, one))
        return StationaryParameters(_climb(statistics, best), components)

    def gradient(self, statistics: PathSums, params: Any) -> Array:
        steps = _ratio(statistics.steps, params.transitions)
        parts = []
        if self.initial == "free":
            share = _ratio(statistics.begins, params.initial)
            parts.append(Simplex().pullback(params.initial, share))
        else:
            steps = steps + _stationary_slope(statistics.begins, params.transitions)
        parts.append(Simplex().pullback(params.transitions, steps))
        parts.append(self.family.gradient(statistics.emissions, params.components))
        return np.concatenate(parts)

    # ---- starts

    def starts(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Those of a mixture of the family on the rows, with transitions in three moods.

        The steps between the rows' likeliest components, states that stay, and no memory.
        """
        runs, k = rows.x, self.n_states
        each = np.repeat(rows.weights, runs.lengths)
        points = as_rows(filled(runs.x, each), supports=(), owner="", weights=each)
        stay = 0.8 * np.eye(k) + 0.2 / k
        supply = starts.portfolio(points, k, rng, self._is_real, bool(self.family.covariates))
        for index, (kind, clusters) in enumerate(supply):
            resp = matched(self.family.each(k), runs.x, clusters, each)
            matrix = (_steps(rows, resp), stay, rng.dirichlet(np.ones(k), size=k))[index % 3]
            yield kind, self._begun(rows, resp, matrix)

    @property
    def _is_real(self) -> bool:
        return not any(space.discrete for space in self.family.supports)

    def _begun(self, rows: Any, resp: Array, matrix: Array) -> Any:
        """The M-step of states that share rows so (n, K), with these transitions; or its error."""
        each = np.repeat(rows.weights, rows.x.lengths)
        try:
            components = self.family.m_step(
                self.family.accumulate(rows.x.x, resp * each[:, None]), None
            )
        except Exception as error:  # a start that has none need not end the search
            return error
        k = self.n_states
        transitions = matrix / matrix.sum(axis=1, keepdims=True)
        begins = () if self.initial == "stationary" else (np.full(k, 1.0 / k),)
        return frozen(self.parameters(*begins, transitions, components))

    def has_twins(self, params: Any, rows: Any) -> bool:
        """Whether some states share the rows alike."""
        each = np.repeat(rows.weights, rows.x.lengths)
        return bool(alike(self.posterior(params, rows.x)[1], each))

    def nudged(self, params: Any, rows: Any, rng: np.random.Generator) -> Any | None:
        """The M-step on shares of states that are disturbed; see `emframe.models.parting`."""
        if self.n_states == 1:
            return None
        each = np.repeat(rows.weights, rows.x.lengths)
        x = filled(rows.x.x, each)
        changed = parted(self.posterior(params, rows.x)[1], x, each, rng)
        begun = self._begun(rows, changed, _steps(rows, changed))
        if isinstance(begun, Degenerate):
            raise begun
        return begun

    def widened(self, params: Any, some: Any, rows: Any) -> Any:
        """The M-step on some runs where the rows of all are there as one more.

        And so is one more run to begin in each state, and a step from each state to each.
        """
        sums = self.e_step(params, some.x, some.weights).statistics
        each = np.repeat(rows.weights, rows.x.lengths)
        share = np.full(self.n_states, 1.0 / (self.n_states * each.sum()))
        parts = (
            self.family.accumulate(rows.x.x[part], np.outer(each[part], share))
            for part in _parts(rows.x)
        )
        whole = reduce(add, parts)
        one = 1.0 / self.n_states
        more = replace(
            sums,
            begins=sums.begins + one,
            steps=sums.steps + one,
            emissions=sums.emissions if self._is_real else sums.emissions + whole,
        )
        return frozen(self.m_step(more, params))

    def moves(self, params: Any, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Splits and merges of its states; see `emframe.models.moves`."""
        each = np.repeat(rows.weights, rows.x.lengths)
        resp = self.posterior(params, rows.x)[1]
        density, x = self.log_density(params, rows.x), filled(rows.x.x, each)
        for changed in split_and_merge(resp, density, x, each, rng):
            yield "split and merge", self._begun(rows, changed, _steps(rows, changed))

    def embedded(self, smaller: Any, params: Any) -> Any | None:
        """The states that paths are in most stand twice; a step to one goes to either alike."""
        found = self._nesting(smaller)
        if found is None:
            return None
        lazy = (np.eye(smaller.n_states) + params.transitions) / 2.0  # forgets, if slowly
        order, times = doubled(params.initial @ np.linalg.matrix_power(lazy, 64), found)
        twice = taken(params, order)
        halves: dict[str, Array] = {"transitions": twice.transitions / times}
        if self.initial == "free":
            halves["initial"] = twice.initial / times
        return frozen(replace(twice, **halves))

    def grown(
        self, smaller: Any, params: Any, rows: Any, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """Splits of each of the smaller model's states; see `emframe.models.moves`."""
        found = self._nesting(smaller)
        if found is None:
            return
        each = np.repeat(rows.weights, rows.x.lengths)
        resp = smaller.posterior(params, rows.x)[1]
        density = smaller.log_density(params, rows.x)
        for changed in splits(resp, density, rows.x.x, each, *found, rng):
            kind = f"split of K = {smaller.n_states}"
            yield kind, self._begun(rows, changed, _steps(rows, changed))

    def _nesting(self, smaller: Any) -> Nesting | None:
        """How this model contains a smaller one."""
        if not isinstance(smaller, HiddenMarkov) or self.initial != smaller.initial:
            return None
        return nesting((smaller.family, smaller.n_states), (self.family, self.n_states))

    def build(self, values: Mapping[str, Any]) -> Any:
        """Parameters from a mapping, the family's fields among the others or in ``components``."""
        chain = {"transitions"} | ({"initial"} if self.initial == "free" else set())
        missing = chain - set(values)
        if missing:
            raise ValueError(f"a start has to give `{min(missing)}`.")
        rest = {name: value for name, value in values.items() if name not in chain}
        inner = rest["components"] if set(rest) == {"components"} else rest
        is_told = isinstance(inner, (Mapping, list))
        components = self.family.build(inner) if is_told else inner
        arrays = {name: np.array(values[name], dtype=float) for name in chain}
        return frozen(self.parameters(**arrays, components=components))

    def problem(self, params: Any, d: int) -> str | None:
        kind, wanted = type(params), self.parameters
        if kind is not wanted:
            return f"these are {kind.__name__}; expected {wanted.__name__}"
        return composed_problem(self.family, params, {"K": self.n_states, "d": d})

    # ---- after the fit

    def pieces(self, params: Any, x: Sequences) -> Pieces:
        """What the states emit, at all rows of some runs."""
        return self.family.pieces(params.components, x.x, self.posterior(params, x)[1])

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.family.columns_modelled(d)

    def viterbi(self, params: Any, X: Any) -> NDArray[np.intp]:
        """The likeliest path of each run, end to end, (n,); in the order that `Sequences.by` had.

        Raises ValueError for a run that is impossible.
        """
        x = self.rows(X).x
        path = self._likeliest(params, x)
        impossible = np.isneginf(self._log_joint(params, x, path))
        if impossible.any():
            raise ValueError(
                f"`X` run {int(impossible.argmax())} ({int(impossible.sum())} such) is impossible "
                "along every path; see score_samples(X)."
            )
        return X.as_given(path) if isinstance(X, Sequences) else path

    def _likeliest(self, params: Any, x: Sequences) -> NDArray[np.intp]:
        """The likeliest path of each run of validated rows."""
        return best_paths(params.initial, params.transitions, self.log_density(params, x), x)

    def undetermined(self, q: Any) -> str:
        """States that no row follows a row of: their transitions are still those of a start."""
        left = q.statistics.steps.sum(axis=1)
        (still,) = np.nonzero(left <= EPS * q.statistics.begins.sum())
        if not len(still):
            return ""
        if len(still) == self.n_states:
            return (
                "The data say nothing of the transitions: no row follows another in its run. Where "
                "rows belong together, put them in one run."
            )
        which = ", ".join(map(str, still))
        return f"The data say nothing of the transitions from state {which}: no row follows one."

    def uncertainty(self, params: Any, x: Any, weights: Array) -> float:
        """-log of the posterior probability of each run's likeliest path."""
        best = self._log_joint(params, x, self._likeliest(params, x))
        return float((self.posterior(params, x)[0] - best) @ weights)

    def complete_log_likelihood(self, params: Any, x: Any, z: NDArray[Any]) -> float:
        """log p(x, z) summed over the runs, for states (n,) or one-hot rows (n, K)."""
        labels = z.argmax(axis=1) if z.ndim == 2 else z
        return float(self._log_joint(params, x, labels).sum())

    def _log_joint(self, params: Any, x: Sequences, z: NDArray[Any]) -> Array:
        """log p(x, z) of each run, (S,)."""
        with np.errstate(divide="ignore"):
            terms = np.log(params.transitions)[np.append(0, z[:-1]), z]
            terms[x.firsts] = np.log(params.initial)[z[x.firsts]]
        terms = terms + self.log_density(params, x)[np.arange(len(z)), z]
        return np.asarray(np.add.reduceat(terms, x.firsts))

    def given(self, x: Sequences, weights: Array | None = None) -> HiddenMarkov:
        other = copy(self)
        object.__setattr__(other, "covered", covered(self.family, x, weights))
        return other

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[Any]]:
        """One run of n rows, and the states behind them."""
        ladder = np.cumsum(np.vstack([params.initial, params.transitions]), axis=1).tolist()
        draws, path, state = rng.random(n).tolist(), [], -1
        for draw in draws:
            rung = ladder[state + 1]
            state = sum(draw >= step * rung[-1] for step in rung[:-1])
            path.append(state)
        z = np.array(path, dtype=np.intp)
        family = self.family if self.covered is None else self.covered.lend(self.family, n, rng)
        rows = np.asarray(family.sample(params.components, z, rng), dtype=float)
        return (rows[:, None] if rows.ndim == 1 else rows), z

    @property
    def options(self) -> dict[str, Any]:
        if isinstance(self.family, Stack):
            families = [name_of(one)["name"] for one in self.family.families]
            sizes = list(self.family.sizes)
            return {"family": families, "n_states": sizes, "initial": self.initial}
        family = name_of(self.family)
        # What a family was put together from is its recipe's to tell, in `describe`.
        settings = {} if self.family.maker else family["options"]
        own = {"n_states": self.n_states, "initial": self.initial}
        return {"family": family["name"], **own, **settings}

    def describe(self) -> dict[str, Any]:
        told = super().describe()
        if isinstance(self.family, Stack):
            told["options"]["family"] = [describe(one) for one in self.family.families]
        elif self.family.maker:
            told["options"]["family"] = describe(self.family)
        return told


def _parts(x: Sequences) -> Iterator[slice]:
    """Rows a cache-full at a time: what the family makes of them is soon used."""
    return (slice(first, first + _ROWS) for first in range(0, len(x.x), _ROWS))


def _steps(rows: Any, resp: Array) -> Array:
    """Transitions as rows that follow one another share states, (K, K); all are possible."""
    runs, k = rows.x, resp.shape[1]
    each = np.repeat(rows.weights, runs.lengths)
    inner = np.delete(np.arange(len(runs.x)), runs.lasts)
    seen = (resp[inner] * each[inner, None]).T @ resp[inner + 1] + 1.0 / k
    return np.asarray(0.9 * seen / seen.sum(axis=1, keepdims=True) + 0.1 / k)


# ---- paths that begin as they go on


def stationary(transitions: Array) -> Array:
    """delta with delta A = delta and sum 1, (K,).

    Raises Degenerate where there are several: states that the others never reach.
    """
    delta = np.maximum(_returned(transitions, np.ones(len(transitions)), turned=True), 0.0)
    return np.asarray(delta / delta.sum())


def _returned(transitions: Array, right: Array, *, turned: bool = False) -> Array:
    """(1 - A + 1 1')^-1 b, or by its transpose; Degenerate where A has several stationary ends."""
    k = len(transitions)
    matrix = np.eye(k) - transitions + 1.0
    try:
        return np.asarray(np.linalg.solve(matrix.T if turned else matrix, right), dtype=float)
    except np.linalg.LinAlgError as error:
        raise Degenerate(
            "the transitions have several stationary distributions, for some states never reach "
            "the others; use initial='free' or fewer states"
        ) from error


def _stationary_value(statistics: PathSums, transitions: Array) -> float:
    """The part of Q that the transitions enter."""
    chain = xlogy(statistics.steps, transitions).sum()
    return float(chain + xlogy(statistics.begins, stationary(transitions)).sum())


def _stationary_slope(begins: Array, transitions: Array) -> Array:
    """Derivative of ``begins @ log(delta)`` by the transitions, (K, K).

    d delta = delta dA Z with Z = (1 - A + 1 u')^-1 for any u that does not sum to 0, because
    d delta (1 - A) = delta dA and d delta sums to 0 (Schweitzer 1968, J. Appl. Prob. 5, 401).
    """
    delta = stationary(transitions)
    return np.outer(delta, _returned(transitions, _ratio(begins, delta)))


def _climb(statistics: PathSums, transitions: Array) -> Array:
    """Transitions that raise `_stationary_value` from those given, nearly to its maximum.

    At the maximum ``A_ij`` is in proportion to ``A_ij slope_ij``, row by row: the growth transform
    of Baum and Eagon (1967, Bull. AMS 73, 360).  It is repeated while it pays.
    """
    value = _stationary_value(statistics, transitions)
    for _ in range(_GROWTHS):
        slope = _stationary_slope(statistics.begins, transitions)
        # On a simplex a constant may be taken from a row of the slope; the least keeps it positive.
        grown = statistics.steps + transitions * (slope - slope.min(axis=1, keepdims=True))
        total = grown.sum(axis=1, keepdims=True)
        grown = np.where(total > 0, grown / np.where(total > 0, total, 1.0), transitions)
        raised = _stationary_value(statistics, grown)
        if not raised > value:
            break
        transitions, value = grown, raised
    return transitions


def _ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
