"""How long rows live: what they tell without a model, beside what a fit says.

The share that lives longer than t is that of the mixture, averaged over the covariates of the rows;
of a component it is its own, and the rows count for it by their responsibilities.

One known case: of one exponential component the fitted curve is exp(-rate t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.inference.product_limit import product_limit
from emframe.spaces import Array


@dataclass(frozen=True, repr=False)
class Survival(Tabled):
    """Survival functions at some times, as rows tell them and as a fit says."""

    times: Array  # (m,)
    observed: Array  # (m,)  by Kaplan and Meier, or Turnbull
    low: Array | None  # (m,)  ends of its interval; None where values lie between two ends
    high: Array | None
    level: float
    fitted: Array  # (m,)
    observed_by_component: Array  # (K, m)  rows counted by their responsibilities
    fitted_by_component: Array  # (K, m)
    weights: Array  # (K,)  share of each component in the rows

    @property
    def distance(self) -> float:
        """The largest distance of the fitted curve from the observed one, at these times."""
        return float(np.abs(self.fitted - self.observed).max(initial=0.0))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each time and component, "all" first: observed and fitted."""
        parts = [("all", self.observed, self.fitted)]
        pairs = zip(self.observed_by_component, self.fitted_by_component, strict=True)
        parts += [(str(k), *pair) for k, pair in enumerate(pairs)]
        return [
            {"component": name, "time": float(t), "observed": float(s), "fitted": float(f)}
            for name, seen, said in parts
            for t, s, f in zip(self.times, seen, said, strict=True)
        ]

    @property
    def brief(self) -> str:
        return f"at {len(self.times)} times, {len(self.weights)} components"


def survival(fit: Fit, X: Any, times: Any, weights: Any, level: float) -> Survival:
    """See `Fit.survival`."""
    model: Any = fit.model
    family = getattr(model, "family", None)
    if family is None or model.in_runs:
        raise TypeError(f"a {model.title()} model has no rows that live for a time.")
    if not 0.0 < level < 1.0:
        raise ValueError(f"`level` is {level!r}; pass a number between 0 and 1.")
    rows = model.rows(X, weights, fit.columns)
    blocks = list(rows.blocks(len(rows) + 1))
    x = np.concatenate([block for block, _ in blocks])
    own = np.concatenate([w for _, w in blocks])
    resp = model.posterior(fit.params, x)[1] * own[:, None]
    seen = model.latent.seen(x)
    bounds = family.bounds(seen)
    discrete = all(space.discrete for space in family.supports)
    whole = product_limit(bounds, own, discrete)
    at = whole.times if times is None else np.atleast_1d(np.asarray(times, dtype=float))
    each = [product_limit(bounds, one, discrete).at(at) for one in resp.T]
    curves = family.survival(fit.params.components, seen, at)  # (n, K, m)
    shares = resp.sum(axis=0)
    prior = model.prior_proba(fit.params, x) * own[:, None]
    mixed = np.einsum("nk,nkm->m", prior, curves) / own.sum()
    safe = np.where(shares > 0, shares, 1.0)
    by_component = np.einsum("nk,nkm->km", resp, curves) / safe[:, None]
    ends = whole.interval(at, level)
    low, high = (None, None) if ends is None else ends
    share = shares / own.sum()
    observed = whole.at(at)
    return Survival(at, observed, low, high, level, mixed, np.array(each), by_component, share)
