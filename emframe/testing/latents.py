"""The same questions for a law of z: is its posterior Bayes', and are its sums enough?

    for result in emframe.testing.check_latent(latent, x, values):
        print(result)

Log densities of the rows under each component are drawn at random, for to a latent any will do.
Then all that is asked of a model's Q is asked of the latent's part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.core import Contract
from emframe.engines import Workspace
from emframe.latents import BlockPosterior, Latent
from emframe.parameters import from_vector, frozen, to_vector, valid
from emframe.parameters.records import record
from emframe.spaces import Array
from emframe.testing.inference import Slopes, quotients, same_slopes
from emframe.testing.outcome import CheckResult, Fault, Inapplicable, same, told

NO_COMPONENTS = record("NoComponents", {})


@dataclass(frozen=True)
class LatentScene:
    """A latent at parameters, rows, and log densities for them."""

    latent: Latent
    x: Any  # rows as the model has them, covariates last; or runs
    weights: Array  # of each row, or run
    log_b: Array  # (n, K)
    params: Any
    seed: int

    def posterior(
        self, params: Any = None, part: slice = slice(None), times: float = 1.0
    ) -> BlockPosterior:
        """Bayes' rule for some rows or runs, with their sums."""
        params = self.params if params is None else params
        x, weights = self.x[part], times * self.weights[part]
        joint = self.of(part).T + self.latent.constants(params)[:, None]
        return told_sums(self.latent.posterior(params, joint, x, weights, Workspace()))

    def of(self, part: slice) -> Array:
        """The log densities of the rows of some runs, or of some rows."""
        if not hasattr(self.x, "lengths"):
            return self.log_b[part]
        chosen = np.arange(len(self.x))[part]
        return self.log_b[np.isin(np.repeat(np.arange(len(self.x)), self.x.lengths), chosen)]

    def nearby(self) -> Iterator[Any]:
        """Parameters a little off, that are valid."""
        rng, centre = np.random.default_rng([self.seed, 3]), to_vector(self.params)
        for scale in (1e-3, 1e-2, 0.1, 0.1):
            other = from_vector(self.params, centre + scale * rng.standard_normal(len(centre)))
            if valid(other):
                yield other

    def densities(self, found: BlockPosterior) -> float:
        """E[ log f(x | z) ] under a posterior."""
        return float(np.where(found.resp > 0, found.resp * self.log_b.T, 0.0).sum())


def told_sums(found: BlockPosterior) -> BlockPosterior:
    """The same with the sums, which may be those of the shares."""
    return found if found.sums is not None else found._replace(sums=found.resp.sum(axis=1))


def certificate(scene: LatentScene) -> None:
    """The log-likelihood is what is expected of z, and of x given z, plus the entropy."""
    found = scene.posterior()
    whole = scene.latent.expected(found.sums, scene.params) + scene.densities(found) + found.entropy
    scale = 1e3 * (1.0 + abs(found.loglik) + abs(found.entropy))
    same(found.loglik, whole, scale, "loglik == expected + entropy", "posterior, or expected")


def bound(scene: LatentScene) -> None:
    """What is expected plus the entropy is below the log-likelihood everywhere else."""
    found = scene.posterior()
    for other in scene.nearby():
        here = scene.latent.expected(found.sums, other) + scene.densities(found) + found.entropy
        above = here - scene.posterior(other).loglik
        if above > 1e-7 * (1.0 + abs(found.loglik)):
            raise Fault(
                "expected + entropy to bound the log-likelihood from below (Jensen)",
                f"{above:.4g} nats above it nearby",
                "posterior: its shares or its sums",
            )


def answers(scene: LatentScene) -> None:
    """What is said of rows after a fit is what the E-step made of them."""
    found, ones = scene.posterior(), np.ones(len(scene.x))
    loglik, shares = scene.latent.given(scene.params, scene.log_b, scene.x)
    same(
        float(loglik @ scene.weights), found.loglik, 1e3 + abs(found.loglik), "one loglik", "given"
    )
    each = scene.latent.each(scene.x, scene.weights)
    gap = np.abs(shares * each[:, None] - found.resp.T).max() / each.max()
    if not gap < 1e-9 or len(shares) != len(scene.log_b) or len(ones) != len(loglik):
        raise Fault("given to have the shares of posterior", f"{gap:.3g} apart", "given")


def slope(scene: LatentScene) -> None:
    """`gradient` is the slope of `expected`."""
    centre = to_vector(scene.params)
    if not len(centre):
        raise Inapplicable("nothing is estimated")
    found, latent = scene.posterior(), scene.latent
    complete = quotients(
        lambda v: latent.expected(found.sums, from_vector(scene.params, v)), centre
    )
    given = Slopes(np.asarray(latent.gradient(found.sums, scene.params)), np.zeros(len(centre)))
    same_slopes(given, complete, "gradient to be the slope of expected", "gradient")


def maximum(scene: LatentScene) -> None:
    """`m_step` does not lower what is expected, and an exact one leaves nothing higher nearby."""
    latent, found = scene.latent, scene.posterior()
    new = _with(latent, latent.m_step(found.sums, scene.params))
    before, reached = (latent.expected(found.sums, one) for one in (scene.params, new))
    slack = 1e-9 * (1.0 + abs(reached))
    if not reached >= before - slack:
        raise Fault("m_step not to lower expected", f"it fell by {before - reached:.4g}", "m_step")
    if latent.contract is Contract.EXACT:
        around = LatentScene(latent, scene.x, scene.weights, scene.log_b, new, scene.seed)
        best = max((latent.expected(found.sums, one) for one in around.nearby()), default=-np.inf)
        if best > reached + slack:
            raise Fault("m_step to maximise", f"{best - reached:.4g} more nearby", "m_step")


def blocks(scene: LatentScene) -> None:
    """Sums of two blocks of rows add up to those of them all, whatever they are asked."""
    cut = len(scene.x) // 3 + 1
    whole = scene.posterior()
    one, two = (scene.posterior(part=part) for part in (slice(cut), slice(cut, None)))
    same(one.loglik + two.loglik, whole.loglik, 1e3 + abs(whole.loglik), "logliks add", "posterior")
    both = one.sums + two.sums
    for at in (scene.params, *scene.nearby()):
        apart, together = (scene.latent.expected(sums, at) for sums in (both, whole.sums))
        same(apart, together, 1e3 + abs(together), "sums of blocks to add", "the sums' __add__")


def frequencies(scene: LatentScene) -> None:
    """A weight of 2 counts twice."""
    whole, twice = scene.posterior(), scene.posterior(times=2.0)
    for other in (scene.params, *scene.nearby()):
        once, doubled = (scene.latent.expected(one.sums, other) for one in (whole, twice))
        same(doubled, 2.0 * once, 1e3 + abs(once), "weights to be frequencies", "posterior: sums")
    same(twice.loglik, 2.0 * whole.loglik, 1e3 + abs(whole.loglik), "loglik to double", "posterior")
    same(twice.entropy, 2.0 * whole.entropy, 1e3 + abs(whole.entropy), "entropy", "posterior")


def tempering(scene: LatentScene) -> None:
    """At beta = 1 the tempered posterior is the posterior; at inf it is one z, the likeliest."""
    latent, whole = scene.latent, scene.posterior()
    rows = scene.params, scene.log_b, scene.x, scene.weights
    warm, cold = (told_sums(latent.tempered(*rows, beta)) for beta in (1.0, np.inf))
    same(warm.loglik, whole.loglik, 1e3 + abs(whole.loglik), "loglik at beta 1", "tempered")
    same(warm.entropy, whole.entropy, 1e3 + abs(whole.entropy), "entropy at beta 1", "tempered")
    best = latent.expected(cold.sums, scene.params) + scene.densities(cold)
    same(cold.loglik, best, 1e3 + abs(best), "its objective at inf to be log p(x, z)", "tempered")
    joint = scene.log_b.T + latent.constants(scene.params)[:, None]
    surprise = latent.surprise(scene.params, joint, scene.x, scene.weights, Workspace())
    gap = whole.loglik - cold.loglik
    same(surprise, gap, 1e3 + abs(gap), "the surprise of the likeliest z", "surprise")


def draws(scene: LatentScene) -> None:
    """The books balance for drawn z, with its surprise in the place of the entropy."""
    rng = np.random.default_rng(scene.seed)
    latent, rows = scene.latent, (scene.params, scene.log_b, scene.x)
    found = told_sums(latent.drawn(*rows, np.ceil(scene.weights), rng))
    whole = latent.expected(found.sums, scene.params) + scene.densities(found) + found.entropy
    same(found.loglik, whole, 1e3 + abs(whole), "loglik == expected + surprise", "drawn")


LATENT_CHECKS: tuple[Callable[[LatentScene], None], ...] = (
    certificate,
    bound,
    answers,
    slope,
    maximum,
    blocks,
    frequencies,
    tempering,
    draws,
)


def check_latent(
    latent: Latent, x: Any, values: Mapping[str, Any], *, seed: int = 0
) -> list[CheckResult]:
    """Whether a law of z is what EM takes it for.

    Parameters
    ----------
    latent : with its settings.
    x : a few rows (n, d) with its covariates in the last columns, or runs of them.
    values : its fields at some parameters, by name.
    """
    rng = np.random.default_rng(seed)
    n = len(x.x) if hasattr(x, "lengths") else len(x)
    params = _with(latent, latent.build(values))
    weights = rng.integers(1, 4, size=len(x)).astype(float)
    scene = LatentScene(latent, x, weights, 2.0 * rng.normal(size=(n, latent.n)), params, seed)
    return [_one(check, scene) for check in LATENT_CHECKS]


def _with(latent: Latent, own: Mapping[str, Any]) -> Any:
    return frozen(latent.parameters(**own, components=NO_COMPONENTS()))


def _one(check: Callable[[LatentScene], None], scene: LatentScene) -> CheckResult:
    name, summary = check.__name__, (check.__doc__ or "").splitlines()[0]
    try:
        with np.errstate(all="ignore"):
            check(scene)
    except Inapplicable as why:
        return CheckResult(name, "skipped", str(why))
    except Exception as error:
        said = str(error) if isinstance(error, Fault) else told(error)
        return CheckResult(name, "failed", f"{summary}\n{said}\nExample:\n    {scene.params}")
    return CheckResult(name, "passed")
