"""A chain whose beginning, or whose steps, depend on covariates.

    p(z_1 = k | u) = logit_k(b'u_1),        p(z_t = j | z_{t-1} = i, u) = logit_j(c_i'u_t)

One logit for each state that is left, on the covariates of the row that is stepped to (Hughes,
Guttorp and Charles 1999, Appl. Statist. 48, 15; Bartolucci, Farcomeni and Pennoni 2013).  The
posterior of a path leaves behind, for each of them, the sums of a logit.

One known case: with gates of no columns it is `Chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlogy

from emframe.core import Contract
from emframe.data import swept
from emframe.data.runs import Sequences
from emframe.engines import Workspace
from emframe.families import ConjugatePrior
from emframe.families.kernel import NoSampler
from emframe.latents import logit
from emframe.latents.base import BlockPosterior, Latent, Order
from emframe.latents.chain import Chain, PathSums, refuse_impossible, shared
from emframe.latents.gate import Gate
from emframe.latents.logit import LogitSums
from emframe.latents.odds import log_probabilities
from emframe.latents.ridge import Ridge, normal_prior
from emframe.latents.stationary import ratio
from emframe.latents.varying import Laws, varying_best, varying_drawn, varying_posterior
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Array


@dataclass(frozen=True)
class GatedSums(PathSums):
    """What is expected of the paths, and where a law is a logit the sums of that; they add."""

    begin: LogitSums
    step: tuple[LogitSums, ...]  # (K,)  one for each state that is left

    def __add__(self, other: PathSums) -> GatedSums:
        assert isinstance(other, GatedSums)
        return GatedSums(
            self.begins + other.begins,
            self.steps + other.steps,
            self.begin + other.begin,
            tuple(a + b for a, b in zip(self.step, other.step, strict=True)),
        )

    def __mul__(self, factor: float) -> GatedSums:
        step = tuple(one * factor for one in self.step)
        return GatedSums(self.begins * factor, self.steps * factor, self.begin * factor, step)


@dataclass(frozen=True)
class GatedChain(Chain):
    """z follows a Markov chain along each run, by logits on covariates.

    begin_on, step_on : the gates; None for what is the same for all rows.
    """

    begin_on: Gate | None = None
    step_on: Gate | None = None

    name = "gated-chain"
    can_close = False

    @cached_property
    def parameters(self) -> type:
        """``initial`` and ``transitions``, each by coefficients or as probabilities."""
        begin: Any = Declared(self._space_of_initial, ("K",), per_component=False)
        step: Any = Declared(self._space_of_steps, ("K", "K"), per_component=False)
        if self.begin_on is not None:
            begin = self.begin_on.parameters
        if self.step_on is not None:
            step = self.step_on.of_steps
        fields = {"initial": begin, "transitions": step, "components": Any}
        return record("GatedChainParameters", fields)

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return Contract.GENERALISED

    # ---- covariates

    @property
    def width(self) -> int:
        return sum(gate.width for gate in (self.begin_on, self.step_on) if gate is not None)

    def survey(self, rows: Any) -> tuple[Array | None, ...]:
        """A triangle of the moments of covariates, (p, p), for each gate."""
        found: list[Array | None] = [None, None]
        each = swept(rows, 1 << 16, self._surveyed)
        for part, gate in enumerate((self.begin_on, self.step_on)):
            if gate is not None:
                found[part] = root = logit.joined([both[part] for both in each])
                logit.refuse_collinear(root, gate.names)
        return tuple(found)

    def _surveyed(self, x: Sequences, weights: Array) -> list[Array]:
        both = zip(self._covariates(x), (weights, self.each(x, weights)[_later(x)]), strict=True)
        return [logit.triangle([(u, own)], u.shape[1]) for u, own in both]

    def ridge(self, ridge: Ridge, known: tuple[Array | None, ...]) -> ConjugatePrior[GatedSums]:
        begin, step = (None if one is None else normal_prior(ridge, self.n, one) for one in known)
        sums, constant = self.nothing(), 0.0
        if begin is not None:
            sums = replace(sums, begin=replace(sums.begin, prior=begin))
            constant += begin.log_constant
        if step is not None:
            sums = replace(sums, step=tuple(replace(one, prior=step) for one in sums.step))
            constant += self.n * step.log_constant
        return ConjugatePrior(sums, constant)

    def _covariates(self, x: Sequences) -> tuple[Array, Array]:
        """Of the first row of each run, (S, p - 1), and of the others, (n - S, q - 1)."""
        u = np.asarray(x.x)[:, np.shape(x.x)[1] - self.width :]
        first = 0 if self.begin_on is None else self.begin_on.width
        return u[x.firsts, :first], u[_later(x), first:]

    def _laws(self, params: Any, x: Sequences) -> Laws:
        of_begin, of_step = self._covariates(x)
        k, later = self.n, _later(x)
        steps = np.zeros((k, k, len(x.x)))
        with np.errstate(divide="ignore"):
            if self.step_on is None:
                steps[:] = np.log(params.transitions)[:, :, None]
            else:
                for i, own in enumerate(self.step_on.coefficients(params.transitions)):
                    steps[i][:, later] = log_probabilities(own, of_step)
            if self.begin_on is None:
                begins = np.repeat(np.log(params.initial)[:, None], len(x), axis=1)
            else:
                own = self.begin_on.coefficients(params.initial)
                begins = log_probabilities(own, of_begin)
        return Laws(begins, steps)

    # ---- E

    def posterior(
        self, params: Any, joint: Array, x: Sequences, weights: Array, work: Workspace
    ) -> BlockPosterior:
        return self.tempered(params, joint.T, x, weights, 1.0)

    def given(self, params: Any, log_b: Array, x: Sequences) -> tuple[Array, Array]:
        found = varying_posterior(self._laws(params, x), log_b, x, np.ones(len(x)))
        return found.loglik, found.states.T

    # ---- M

    def expected(self, sums: PathSums, params: Any) -> float:
        assert isinstance(sums, GatedSums)
        if self.begin_on is None:
            found = float(xlogy(sums.begins, params.initial).sum())
        else:
            found = logit.value(sums.begin, self.begin_on.coefficients(params.initial))
        if self.step_on is None:
            return found + float(xlogy(sums.steps, params.transitions).sum())
        each = self.step_on.coefficients(params.transitions)
        return found + sum(logit.value(*pair) for pair in zip(sums.step, each, strict=True))

    def m_step(self, sums: PathSums, previous: Any) -> dict[str, Any]:
        assert isinstance(sums, GatedSums)
        if self.begin_on is None:
            initial = shared(self._space_of_initial, sums.begins, previous.initial)
        else:
            own = self.begin_on.coefficients(previous.initial)
            initial = self.begin_on.made(_climbed(sums.begin, own, self.begin_on))
        if self.step_on is None:
            transitions = shared(self._space_of_steps, sums.steps, previous.transitions)
        else:
            every = self.step_on.coefficients(previous.transitions)
            pairs = zip(sums.step, every, strict=True)
            found = [_climbed(one, own, self.step_on) for one, own in pairs]
            transitions = self.step_on.made(np.stack(found))
        return {"initial": initial, "transitions": transitions}

    def gradient(self, sums: PathSums, params: Any) -> Array:
        assert isinstance(sums, GatedSums)
        if self.begin_on is None:
            share = ratio(sums.begins, params.initial)
            begin = self._space_of_initial.pullback(params.initial, share)
        else:
            own = self.begin_on.coefficients(params.initial)
            begin = logit.slope(sums.begin, own)[1:].T.ravel()
        if self.step_on is None:
            share = ratio(sums.steps, params.transitions)
            step = self._space_of_steps.pullback(params.transitions, share)
        else:
            every = self.step_on.coefficients(params.transitions)
            slopes = [logit.slope(*pair)[1:] for pair in zip(sums.step, every, strict=True)]
            step = np.moveaxis(np.stack(slopes), -1, 0).ravel()  # coefficient by coefficient
        return np.concatenate([begin, step])

    def nothing(self) -> GatedSums:
        first = 0 if self.begin_on is None else self.begin_on.width
        begin, step = (
            LogitSums(np.zeros((self.n, width + 1))) for width in (first, self.width - first)
        )
        plain = super().nothing()
        return GatedSums(plain.begins, plain.steps, begin, (step,) * self.n)

    def widened(self, sums: PathSums) -> PathSums:
        return sums

    # ---- starts

    def _fields(self, transitions: Array) -> dict[str, Any]:
        found: dict[str, Any] = super()._fields(transitions)
        if self.begin_on is not None:
            found["initial"] = self.begin_on.made(np.zeros((self.n, self.begin_on.width + 1)))
        if self.step_on is not None:
            odds = np.zeros((self.n, self.n, self.step_on.width + 1))
            odds[:, :, 0] = np.log(found["transitions"])
            found["transitions"] = self.step_on.made(odds)
        return found

    def occupancy(self, params: Any) -> Array:
        """1 / K each: how much a state has depends on the rows."""
        return np.full(self.n, 1.0 / self.n)

    def doubled(self, twice: Any, times: Order) -> dict[str, Any]:
        """Those alike share the odds of being begun in, or stepped to."""
        found: dict[str, Any] = {}
        for name, gate in (("initial", self.begin_on), ("transitions", self.step_on)):
            own = getattr(twice, name)
            if gate is None:
                found[name] = own / times
            else:
                coefficients = gate.coefficients(own)
                coefficients[..., 0] -= np.log(times)
                found[name] = gate.made(coefficients)
        return found

    def alike(self, other: Latent) -> bool:
        mine = self.begin_on, self.step_on, self.initial, self.steps
        is_free = self.initial == "free" and self.steps is None
        return (
            isinstance(other, GatedChain)
            and is_free
            and mine == (other.begin_on, other.step_on, other.initial, other.steps)
        )

    # ---- after a fit

    def viterbi(self, params: Any, log_b: Array, x: Sequences) -> Order:
        return varying_best(self._laws(params, x), log_b, x)

    def _log_steps(self, params: Any, x: Sequences, z: Order) -> Array:
        laws = self._laws(params, x)
        terms = laws.steps[np.append(0, z[:-1]), z, np.arange(len(z))]
        terms[x.firsts] = laws.begins[z[x.firsts], np.arange(len(x))]
        return np.asarray(terms)

    def sample(self, params: Any, n: int, rng: np.random.Generator, x: Any = None) -> Order:
        if x is None:
            raise NoSampler(
                "the chain depends on covariates, and there are none to draw at; pass rows that "
                "have them: fit.sample(n, given=X)."
            )
        laws = self._laws(params, Sequences(x))
        draws, path = rng.random(n), np.empty(n, dtype=np.intp)
        for row, draw in enumerate(draws):
            log = laws.begins[:, 0] if row == 0 else laws.steps[path[row - 1], :, row]
            below = np.exp(log).cumsum()
            path[row] = (draw * below[-1] >= below[:-1]).sum()
        return path

    # ---- variants of EM

    def tempered(
        self, params: Any, log_b: Array, x: Sequences, weights: Array, beta: float
    ) -> BlockPosterior:
        if np.isinf(beta):
            z = self.viterbi(params, log_b, x)
            reached = self.log_joint(params, log_b, x, z)
            refuse_impossible(reached)
            return self._of_paths(x, weights, z, float(reached @ weights), 0.0)
        found = varying_posterior(self._laws(params, x), log_b, x, weights, beta)
        refuse_impossible(found.loglik)
        each, later = self.each(x, weights), _later(x)
        steps = (found.steps * each)[:, :, later]
        sums = self._sums(x, found.states[:, x.firsts] * weights, steps)
        objective = float(found.loglik @ weights) / beta
        return BlockPosterior(found.states * each, objective, found.entropy / beta, sums)

    def _drawn_paths(
        self, params: Any, log_b: Array, x: Sequences, rng: np.random.Generator
    ) -> Order:
        return varying_drawn(self._laws(params, x), log_b, x, rng)

    def _of_paths(
        self, x: Sequences, weights: Array, z: Order, loglik: float, entropy: float
    ) -> BlockPosterior:
        hot, each, later = np.eye(self.n)[z].T, self.each(x, weights), _later(x)
        steps = hot[:, None, later - 1] * hot[:, later] * each[later]
        sums = self._sums(x, hot[:, x.firsts] * weights, steps)
        return BlockPosterior(hot * each, loglik, entropy, sums)

    def _sums(self, x: Sequences, begins: Array, steps: Array) -> GatedSums:
        """From shares of the first rows, (K, S), and of the steps to the others, (K, K, n - S)."""
        of_begin, of_step = self._covariates(x)
        each = tuple(logit.summed(of_step, own) for own in steps)
        begin = logit.summed(of_begin, begins)
        return GatedSums(begins.sum(axis=1), steps.sum(axis=2), begin, each)

    # ---- parameters

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        plain = {
            name: np.zeros(0) if gate is not None else values[name]
            for name, gate in (("initial", self.begin_on), ("transitions", self.step_on))
            if gate is not None or name in values
        }
        found: dict[str, Any] = super().build(plain)
        if self.begin_on is not None:
            found["initial"] = self.begin_on.build("initial", values.get("initial"))
        if self.step_on is not None:
            told = values.get("transitions")
            found["transitions"] = self.step_on.build("transitions", told, steps=True)
        return found


def _later(x: Sequences) -> Order:
    """The rows that follow another in their run, (n - S,)."""
    return np.delete(np.arange(len(x.x)), x.firsts)


def _climbed(sums: LogitSums, start: Array, gate: Gate) -> Array:
    """The M-step of one logit; raises `Separated` where it has no finite maximum."""
    found = logit.climbed(sums, start)
    logit.refuse_separated(sums, found, gate.names)
    return found.coefficients
