"""The same questions for a whole model: is its Q what EM takes it for?

    for result in emframe.testing.check_model(model, X):
        print(result)

A model is known to EM by its Q alone, so the checks are those of Q: it certifies itself, its slope
is that of the log-likelihood, its maximiser is one, Qs of blocks add, weights count rows, and a
fit climbs.  They are tried at the model's own starts and along the way from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Contract, Degenerate, Expectation, Step, iterate, objective
from emframe.data import Rows
from emframe.models import Model
from emframe.parameters import (
    equal,
    from_vector,
    frozen,
    nested,
    to_mapping,
    to_vector,
    valid,
)
from emframe.testing.conformance import excuse
from emframe.testing.inference import Slopes, quotients, same_slopes
from emframe.testing.outcome import CheckResult, Fault, Inapplicable, agree, same, told

STARTS = 3
STEPS = 6


@dataclass(frozen=True)
class ModelScene:
    """A model, its data, and parameters to look from."""

    model: Model
    rows: Rows
    params: Any
    seed: int

    def expect(self, params: Any, rows: Any = slice(None), weights: Any = None) -> Expectation[Any]:
        """Q of some of the rows."""
        own = self.rows.weights if weights is None else weights
        return self.model.expect(params, self.rows.x[rows], own[rows])

    def nearby(self, params: Any, count: int = 6) -> Iterator[Any]:
        """Parameters around some, at coordinates a little off, that are valid."""
        rng, centre = np.random.default_rng([self.seed, 7]), to_vector(params)
        for scale in islice((s for s in (1e-3, 1e-2, 0.1) for _ in range(2)), count):
            other = from_vector(params, centre + scale * rng.standard_normal(len(centre)))
            if valid(other):
                yield other


def certificate(scene: ModelScene) -> None:
    """The log-likelihood is Q at its own point plus the posterior's entropy."""
    q = scene.expect(scene.params)
    same(
        q.loglik,
        q.value(q.at) + q.entropy,
        1e3 * (1.0 + abs(q.loglik) + abs(q.entropy)),
        "loglik == value(at) + entropy",
        "expect (E): the posterior, its entropy, or a constant left out",
    )


def bound(scene: ModelScene) -> None:
    """Q plus the entropy is below the log-likelihood everywhere else."""
    q = scene.expect(scene.params)
    for other in scene.nearby(scene.params):
        above = q.value(other) + q.entropy - scene.expect(other).loglik
        if above > 1e-7 * (1.0 + abs(q.loglik)):
            raise Fault(
                "Q + entropy to bound the log-likelihood from below (Jensen)",
                f"{above:.4g} nats above it nearby",
                "expect (E): Q or the log-likelihood is of another posterior",
            )


def fisher(scene: ModelScene) -> None:
    """The gradient of Q where it was taken is that of the log-likelihood."""
    q, centre = scene.expect(scene.params), to_vector(scene.params)
    observed = quotients(lambda v: scene.expect(from_vector(scene.params, v)).loglik, centre)
    complete = quotients(lambda v: q.value(from_vector(scene.params, v)), centre)
    what = "the gradient of Q to be that of the log-likelihood (Fisher's identity)"
    same_slopes(complete, observed, what, "expect (E), or value")
    own = getattr(q, "gradient", None)
    if own is not None:
        given = Slopes(np.asarray(own()), np.zeros(len(centre)))
        same_slopes(given, complete, "gradient() to be the slope of value", "gradient")


def maximum(scene: ModelScene) -> None:
    """`maximize` does not lower Q, and an exact one leaves nothing higher nearby."""
    if scene.model.contract is Contract.STOCHASTIC:
        raise Inapplicable("a stochastic M-step promises nothing of a single step")
    q = scene.expect(scene.params)
    new = q.maximize()
    before, reached = q.value(scene.params), q.value(new)
    slack = 1e-8 * (1.0 + abs(reached))
    if not reached >= before - slack:
        raise Fault("maximize not to lower Q", f"it fell by {before - reached:.4g}", "maximize (M)")
    if scene.model.contract is Contract.EXACT:
        best = max((q.value(other) for other in scene.nearby(new)), default=-np.inf)
        if best > reached + slack:
            raise Fault(
                "maximize to return the maximiser of Q",
                f"{best - reached:.4g} nats more nearby; it answered {new}",
                "maximize (M), or what the E-step keeps for it",
            )


def blocks(scene: ModelScene) -> None:
    """Qs of two blocks of rows add up to Q of them all."""
    if len(scene.rows) < 2:
        raise Inapplicable("one row makes no two blocks")
    cut = len(scene.rows) // 3 + 1
    whole = scene.expect(scene.params)
    parts = [scene.expect(scene.params, part) for part in (slice(cut), slice(cut, None))]
    both = parts[0] + parts[1]
    points = [("its own point", scene.params)]
    points += [("a point nearby", other) for other in scene.nearby(scene.params, 2)]
    for what, one, two in [
        ("loglik", whole.loglik, both.loglik),
        ("entropy", whole.entropy, both.entropy),
        *[(f"value at {where}", whole.value(p), both.value(p)) for where, p in points],
    ]:
        scale = 1.0 + abs(whole.loglik) + abs(whole.entropy)
        same(one, two, scale, f"the {what} of two blocks to add", "+ of Q, or expect")
    one, two = whole.maximize(), both.maximize()
    if not agree(whole.value(one), whole.value(two), 1e3 * (1.0 + abs(whole.loglik))):
        raise Fault("an equally good maximize from the sum", "a worse one", "+ of Q")
    other = next(scene.nearby(scene.params, 1))
    try:
        whole + scene.expect(other)
    except ValueError:
        return
    raise Fault("Qs at different parameters not to add", "they did", "+ of Q")


def weights(scene: ModelScene) -> None:
    """A row of weight 2 counts twice."""
    doubled = scene.expect(scene.params, weights=2.0 * scene.rows.weights)
    once = scene.expect(scene.params)
    for name in ("loglik", "entropy"):
        one, two = 2.0 * getattr(once, name), getattr(doubled, name)
        same(one, two, 1.0 + abs(one), f"{name} to be twice that of weights 1", "expect: weights")
    value = once.value(scene.params), doubled.value(scene.params)
    same(2 * value[0], value[1], 1.0 + abs(value[1]), "Q to be twice that", "expect: weights")


def ascent(scene: ModelScene) -> None:
    """Along a fit no step lowers the objective or breaks the ledger."""
    last: Step[Any] | None = None
    steps = iterate(scene.expect, scene.params, contract=scene.model.contract)
    for step in islice(steps, STEPS):
        if step.breach is not None:
            half = "E" if step.breach.status.value.startswith("e") else "M"
            raise Fault("a balanced ledger", f"at step {step.index}, {step.breach.message}", half)
        fell = 0.0 if last is None else last.objective - objective(step.expectation)
        if scene.model.contract.ascends and fell > 1e-8 * (1.0 + abs(step.objective)):
            raise Fault("the objective not to fall", f"a fall of {fell:.4g}", "maximize (M)")
        last = step


def files(scene: ModelScene) -> None:
    """Parameters written out by name are built again the same."""
    again = scene.model.build(nested(to_mapping(scene.params)))
    if not equal(frozen(again), frozen(scene.params)):
        raise Fault("the same parameters from their own arrays", f"{again}", "build")


def problems(scene: ModelScene) -> None:
    """The model has nothing against its own parameters, and draws rows of its own data."""
    wrong = scene.model.problem(scene.params, len(scene.rows.columns))
    if wrong:
        raise Fault("starts that are valid", wrong, "starts, or problem")
    there = scene.model.given(scene.rows.x, scene.rows.weights)
    one, two = (there.sample(scene.params, 9, np.random.default_rng(1))[0] for _ in "ab")
    if not np.array_equal(one, two):
        raise Fault("the same rows from the same generator", "others", "sample")
    scene.model.rows(one, columns=scene.rows.columns)


MODEL_CHECKS: tuple[Callable[[ModelScene], None], ...] = (
    problems, certificate, bound, fisher, maximum, blocks, weights, ascent, files,
)  # fmt: skip


def check_model(
    model: Model,
    X: Any,
    *,
    weights: Any = None,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[CheckResult]:
    """Check a whole model on data; one result per check, in a fixed order.

    Parameters
    ----------
    model : such as ``emframe.Mixture("poisson", 2)``, or any `emframe.models.Model`.
    X : (n, d) data; a few dozen rows are plenty.
    weights : (n,) frequencies.
    expected_failures : reasons by name of check, as for `check_family`.
    seed : of the starts and of the points nearby.

    Raises ValueError where `expected_failures` names a check that does not exist.
    """
    names = [check.__name__ for check in MODEL_CHECKS]
    excused = dict(expected_failures or {})
    unknown = sorted(set(excused) - set(names))
    if unknown:
        raise ValueError(
            f"`expected_failures` names {', '.join(unknown)}; the checks are {', '.join(names)}."
        )
    rows = model.rows(X, weights)
    supply = islice(model.starts(rows, np.random.default_rng(seed)), STARTS)
    points = [params for _, params in supply if not isinstance(params, Degenerate)]
    scenes = [ModelScene(model, rows, params, seed) for params in points]
    return [excuse(_one(check, scenes), excused.get(check.__name__)) for check in MODEL_CHECKS]


def _one(check: Callable[[ModelScene], None], scenes: list[ModelScene]) -> CheckResult:
    name, summary = check.__name__, (check.__doc__ or "").splitlines()[0]
    if not scenes:
        return CheckResult(name, "failed", f"{summary}\nfound that no start could be used.")
    for scene in scenes:
        try:
            with np.errstate(all="ignore"):
                check(scene)
        except Inapplicable as why:
            return CheckResult(name, "skipped", str(why))
        except Degenerate:
            continue
        except Exception as error:
            said = str(error) if isinstance(error, Fault) else told(error)
            return CheckResult(name, "failed", f"{summary}\n{said}\nExample:\n    {scene.params}")
    return CheckResult(name, "passed")
