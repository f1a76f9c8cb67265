"""z by the z of the row before: the latent of a hidden Markov model, along each run of rows.

    p(z) = p(z_1) prod_t A[z_{t-1}, z_t]

What the M-step needs of the posterior of a path is what is expected of it: the state it begins in,
and its steps from state to state.  Weights of runs go into both (Baum et al. 1970, Ann. Math.
Statist. 41, 164; Rabiner 1989, Proc. IEEE 77, 257).  A row's share in a state is to the family
what a mixture's responsibility is.

One known case: with runs of a single row it is `OneHot`, with the initial probabilities as weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from operator import add
from typing import Any

import numpy as np
from scipy.special import xlogy

from emframe.core import Contract, Degenerate
from emframe.data import summed
from emframe.data.runs import Sequences
from emframe.engines import Workspace
from emframe.latents import stationary
from emframe.latents.base import BlockPosterior, Latent, Order, apart
from emframe.latents.paths import best_paths, drawn_paths, path_posterior, tempered_paths
from emframe.latents.stationary import ratio
from emframe.parameters import Declared, parameter
from emframe.parameters.records import record
from emframe.spaces import EPS, Array, HeldSimplex, Simplex

_SIMPLEX = Simplex()
_IMPOSSIBLE = -50.0  # what stands for log 0 where orders of states are compared
_AT_ONCE = 1 << 16  # rows whose steps are counted together
_FEW = 6  # states, all of whose orders are tried


@dataclass(frozen=True)
class ChainParameters:
    """Where paths begin, how they go on, and what each state looks like."""

    initial: Array = parameter(Simplex(), shape="K", per_component=False)  # (K,)
    transitions: Array = parameter(Simplex(), shape=("K", "K"), per_component=False)  # (K, K)
    components: Any = None  # the family's parameters, one component to a state


@dataclass(frozen=True)
class StationaryParameters:
    """The same, for paths that begin as they go on in the long run."""

    transitions: Array = parameter(Simplex(), shape=("K", "K"), per_component=False)  # (K, K)
    components: Any = None

    @property
    def initial(self) -> Array:
        """The stationary distribution of the transitions, (K,)."""
        return stationary.stationary(self.transitions)


@dataclass(frozen=True)
class PathSums:
    """What is expected of the paths; it adds over runs."""

    begins: Array  # (K,)  runs by the state they begin in
    steps: Array  # (K, K)  steps from state to state

    def __add__(self, other: PathSums) -> PathSums:
        return PathSums(self.begins + other.begins, self.steps + other.steps)

    def __mul__(self, factor: float) -> PathSums:
        return PathSums(self.begins * factor, self.steps * factor)


@dataclass(frozen=True)
class Chain(Latent):
    """z follows a Markov chain along each run.

    initial : "free" estimates p(z_1); "stationary" takes it from the transitions; numbers (K,) are
        held, None is free.
    steps : transitions (K, K) as nested tuples: numbers are held, None is free; by default all is.
    """

    initial: str | tuple[float | None, ...] = "free"
    steps: tuple[tuple[float | None, ...], ...] | None = None

    name = "chain"
    word = "n_states"
    noun = "state"
    in_runs = True
    can_close = True

    @property
    def parameters(self) -> type:
        if self._stationary:
            return StationaryParameters
        if self.initial == "free" and self.steps is None:
            return ChainParameters
        begin = Declared(self._space_of_initial, ("K",), per_component=False)
        step = Declared(self._space_of_steps, ("K", "K"), per_component=False)
        fields = {"initial": begin, "transitions": step, "components": Any}
        return record("HeldChainParameters", fields)

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        """No better than generalised where p(z_1) depends on the transitions."""
        return Contract.GENERALISED if self._stationary else Contract.EXACT

    @property
    def _stationary(self) -> bool:
        return self.initial == "stationary"

    @property
    def _space_of_initial(self) -> Simplex:
        return _SIMPLEX if isinstance(self.initial, str) else HeldSimplex(self.initial)

    @property
    def _space_of_steps(self) -> Simplex:
        return _SIMPLEX if self.steps is None else HeldSimplex(self.steps)

    def seen(self, x: Sequences) -> Array:
        return np.asarray(apart(x, self.beside)[0].x)

    def each(self, x: Sequences, weights: Array) -> Array:
        return np.repeat(weights, x.lengths)

    # ---- E

    def posterior(
        self, params: Any, joint: Array, x: Sequences, weights: Array, work: Workspace
    ) -> BlockPosterior:
        found = path_posterior(params.initial, params.transitions, joint.T, x, weights)
        refuse_impossible(found.loglik)
        shares = found.states.T
        begins = shares[:, x.firsts] @ weights
        if (weights != 1.0).any():
            shares = shares * self.each(x, weights)
        sums = PathSums(begins, found.steps)
        return BlockPosterior(shares, float(found.loglik @ weights), found.entropy, sums)

    def given(self, params: Any, log_b: Array, x: Sequences) -> tuple[Array, Array]:
        ones = np.ones(len(x))
        found = path_posterior(params.initial, params.transitions, log_b, x, ones)
        return found.loglik, found.states

    # ---- M

    def expected(self, sums: PathSums, params: Any) -> float:
        chain = xlogy(sums.begins, params.initial).sum()
        return float(chain + xlogy(sums.steps, params.transitions).sum())

    def m_step(self, sums: PathSums, previous: Any) -> dict[str, Array]:
        """Shares of begins and of steps; a state that no path leaves keeps its transitions."""
        transitions = shared(self._space_of_steps, sums.steps, previous.transitions)
        if not self._stationary:
            initial = shared(self._space_of_initial, sums.begins, previous.initial)
            return {"initial": initial, "transitions": transitions}
        own = sums.begins, sums.steps
        candidates = [transitions, previous.transitions]
        best = max(candidates, key=lambda one: stationary.value(*own, one))
        return {"transitions": stationary.climb(*own, best)}

    def gradient(self, sums: PathSums, params: Any) -> Array:
        steps, parts = ratio(sums.steps, params.transitions), []
        if self._stationary:
            steps = steps + stationary.slope(sums.begins, params.transitions)
        else:
            share = ratio(sums.begins, params.initial)
            parts.append(self._space_of_initial.pullback(params.initial, share))
        parts.append(self._space_of_steps.pullback(params.transitions, steps))
        return np.concatenate(parts)

    def nothing(self) -> PathSums:
        return PathSums(np.zeros(self.n), np.zeros((self.n, self.n)))

    def widened(self, sums: PathSums) -> PathSums:
        """One more run begins in each state, shared out, and one more step leads to each."""
        return PathSums(sums.begins + 1.0 / self.n, sums.steps + 1.0 / self.n)

    # ---- starts

    def begun(self, rows: Any, resp: Array) -> dict[str, Array]:
        return self._fields(transitions=_steps(rows, resp))

    def begins(
        self, rows: Any, resp: Array, turn: int, rng: np.random.Generator
    ) -> dict[str, Array]:
        """In three moods: the steps between the rows' components, states that stay, no memory."""
        k = self.n
        stay = 0.8 * np.eye(k) + 0.2 / k
        moods = (_steps(rows, resp), stay, rng.dirichlet(np.ones(k), size=k))
        return self._fields(transitions=moods[turn % 3])

    def _fields(self, transitions: Array) -> dict[str, Array]:
        even = np.full(self.n, 1.0 / self.n)
        begins = {} if self._stationary else {"initial": shared(self._space_of_initial, even, even)}
        return {**begins, "transitions": shared(self._space_of_steps, transitions, transitions)}

    def ordered(self, rows: Any, resp: Array, alike: bool) -> Array:
        """Where steps are held the states differ, and take the order that goes best with them."""
        resp = super().ordered(rows, resp, alike)
        is_held = self.steps is not None or not isinstance(self.initial, str)
        if not is_held or not alike or self.labelled:
            return resp
        even = np.ones((self.n, self.n))
        begin = shared(self._space_of_initial, even[0], even[0])
        step = shared(self._space_of_steps, even, even)
        seen = _steps_seen(rows, resp), rows.weights @ resp[rows.x.firsts]
        with np.errstate(divide="ignore"):
            laws = [np.maximum(np.log(one), _IMPOSSIBLE) for one in (step, begin)]
        return resp[:, _best_order(*seen, *laws)]

    def occupancy(self, params: Any) -> Array:
        lazy = (np.eye(self.n) + params.transitions) / 2.0  # forgets, if slowly
        return np.asarray(params.initial @ np.linalg.matrix_power(lazy, 64))

    def doubled(self, twice: Any, times: Order) -> dict[str, Array]:
        """A step to one of several alike goes to either."""
        halves = {"transitions": twice.transitions / times}
        return halves if self._stationary else {**halves, "initial": twice.initial / times}

    def alike(self, other: Latent) -> bool:
        """Not where steps of either are held."""
        if type(other) is not Chain or self.initial != other.initial:
            return False
        return isinstance(self.initial, str) and (self.steps, other.steps) == (None, None)

    # ---- after a fit

    def viterbi(self, params: Any, log_b: Array, x: Sequences) -> Order:
        """The likeliest path of each run, end to end, (n,)."""
        return best_paths(params.initial, params.transitions, log_b, x)

    def surprise(
        self, params: Any, joint: Array, x: Sequences, weights: Array, work: Workspace
    ) -> float:
        log_b = joint.T
        best = self.log_joint(params, log_b, x, self.viterbi(params, log_b, x))
        return float((self.given(params, log_b, x)[0] - best) @ weights)

    def log_joint(self, params: Any, log_b: Array, x: Sequences, z: Order) -> Array:
        """log p(x, z) of each run, (S,), for the states of all rows, (n,)."""
        terms = self._log_steps(params, x, z) + log_b[np.arange(len(z)), z]
        return np.asarray(np.add.reduceat(terms, x.firsts))

    def log_prob(self, params: Any, x: Sequences, hot: Array) -> float:
        return float(self._log_steps(params, x, hot.argmax(axis=1)).sum())

    def _log_steps(self, params: Any, x: Sequences, z: Order) -> Array:
        """log p(z_t | z_{t-1}) of each row, (n,)."""
        with np.errstate(divide="ignore"):
            terms = np.log(params.transitions)[np.append(0, z[:-1]), z]
            terms[x.firsts] = np.log(params.initial)[z[x.firsts]]
        return np.asarray(terms)

    def sample(self, params: Any, n: int, rng: np.random.Generator, x: Any = None) -> Order:
        ladder = np.cumsum(np.vstack([params.initial, params.transitions]), axis=1).tolist()
        draws, path, state = rng.random(n).tolist(), [], -1
        for draw in draws:
            rung = ladder[state + 1]
            state = sum(draw >= step * rung[-1] for step in rung[:-1])
            path.append(state)
        return np.array(path, dtype=np.intp)

    def undetermined(self, sums: PathSums) -> str:
        """States that no row follows a row of: their transitions are still those of a start."""
        left = sums.steps.sum(axis=1)
        still = left <= EPS * sums.begins.sum()
        if self.steps is not None:  # what is held need not be told by the data
            still &= np.isnan(np.array(self.steps, dtype=float)).sum(axis=1) > 1
        (still,) = np.nonzero(still)
        if not len(still):
            return ""
        if len(still) == self.n:
            return (
                "The data say nothing of the transitions: no row follows another in its run. Where "
                "rows belong together, put them in one run."
            )
        which = ", ".join(map(str, still))
        return f"The data say nothing of the transitions from state {which}: no row follows one."

    # ---- variants of EM

    def tempered(
        self, params: Any, log_b: Array, x: Sequences, weights: Array, beta: float
    ) -> BlockPosterior:
        """Of whole paths: p(x, z)^beta is a chain whose every factor is raised to beta."""
        if np.isinf(beta):
            z = self.viterbi(params, log_b, x)
            reached = self.log_joint(params, log_b, x, z)
            refuse_impossible(reached)
            return self._of_paths(x, weights, z, float(reached @ weights), 0.0)
        found = tempered_paths(params.initial, params.transitions, log_b, x, weights, beta)
        shares = found.states.T
        sums = PathSums(shares[:, x.firsts] @ weights, found.steps)
        shares = shares * self.each(x, weights)
        objective = float(found.loglik @ weights) / beta
        return BlockPosterior(shares, objective, found.entropy / beta, sums)

    def drawn(
        self, params: Any, log_b: Array, x: Sequences, weights: Array, rng: np.random.Generator
    ) -> BlockPosterior:
        """A path of each run, as often as its weight says."""
        loglik = self.given(params, log_b, x)[0]
        refuse_impossible(loglik)
        total: BlockPosterior | None = None
        for turn in range(int(weights.max(initial=0.0))):
            now = (weights > turn).astype(float)
            z = self._drawn_paths(params, log_b, x, rng)
            missed = float((loglik - self.log_joint(params, log_b, x, z)) @ now)
            one = self._of_paths(x, now, z, float(loglik @ now), missed)
            total = one if total is None else BlockPosterior(*map(add, total, one))
        assert total is not None  # no run weighs nothing
        return total

    def _drawn_paths(
        self, params: Any, log_b: Array, x: Sequences, rng: np.random.Generator
    ) -> Order:
        return drawn_paths(params.initial, params.transitions, log_b, x, rng)

    def _of_paths(
        self, x: Sequences, weights: Array, z: Order, loglik: float, entropy: float
    ) -> BlockPosterior:
        """What known paths leave behind."""
        hot = np.eye(self.n)[z]
        inner = np.delete(np.arange(len(z)), x.lasts)
        each = self.each(x, weights)
        steps = (hot[inner] * each[inner, None]).T @ hot[inner + 1]
        sums = PathSums(weights @ hot[x.firsts], steps)
        return BlockPosterior((hot * each[:, None]).T, loglik, entropy, sums)


def _steps(rows: Any, resp: Array) -> Array:
    """Transitions as rows that follow one another share states, (K, K); all are possible."""
    seen = _steps_seen(rows, resp) + 1.0 / resp.shape[1]
    return np.asarray(0.9 * seen / seen.sum(axis=1, keepdims=True) + 0.1 / resp.shape[1])


def _steps_seen(rows: Any, resp: Array) -> Array:
    """Steps from state to state as rows that follow one another share them, (K, K)."""
    found: Array = summed(rows, _AT_ONCE, _steps_of, resp)
    return found


def _steps_of(x: Sequences, weights: Array, resp: Array) -> Array:
    each = np.repeat(weights, x.lengths)
    inner = np.delete(np.arange(len(x.x)), x.lasts)
    return np.asarray((resp[inner] * each[inner, None]).T @ resp[inner + 1])


def shared(space: Simplex, amounts: Array, previous: Array) -> Array:
    """Shares of amounts along the last axis, as far as they are free; of nothing the previous."""
    if isinstance(space, HeldSimplex):
        some = np.where(space.free, amounts, 0.0).sum(axis=-1, keepdims=True) > 0
        return space.shared(np.where(some, amounts, previous))
    total = amounts.sum(axis=-1, keepdims=True)
    return np.where(total > 0, amounts / np.where(total > 0, total, 1.0), previous)


def _best_order(steps: Array, begins: Array, step: Array, begin: Array) -> Order:
    """The order of states under which what was seen is likeliest under laws, in logs.

    All orders of a few states; of many, exchanges of two as long as they help.
    """

    def value(order: Any) -> float:
        own = list(order)
        seen = (steps[np.ix_(own, own)] * step).sum() + begins[own] @ begin
        return float(seen)

    k = len(begins)
    if k <= _FEW:
        return np.array(max(permutations(range(k)), key=value))
    best = list(range(k))
    while True:
        swaps = [list(best) for _ in range(k * (k - 1) // 2)]
        for own, (i, j) in zip(swaps, combinations(range(k), 2), strict=True):
            own[i], own[j] = own[j], own[i]
        found = max(swaps, key=value)
        if not value(found) > value(best):
            return np.array(best)
        best = found


def refuse_impossible(loglik: Array) -> None:
    """Raise `Degenerate` for a run of log-likelihood -inf."""
    if not np.isfinite(loglik).all():
        run = int((~np.isfinite(loglik)).argmax())
        raise Degenerate(f"a run has density zero along every path: number {run} of its block")
