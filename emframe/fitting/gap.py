"""How far a fit is from the best mixture with any number of components.

Let f be the density of a mixture that was fitted to n rows, and f_t that of a single component.

    D(t)  =  sum_i w_i f_t(x_i) / f(x_i)  -  n

is the slope of the log-likelihood where a little weight goes to t (Lindsay 1983, Ann. Statist. 11,
86).  Let d be its supremum.  For any other mixture g of such components, of however many, the mean
of g / f over the rows is an average of those of f_t / f, so at most 1 + d / n, and by Jensen

    loglik(g) - loglik(f)  =  sum_i w_i log g(x_i) / f(x_i)  <=  n log(1 + d / n)  <=  d

So d bounds from above what any number of further components can add, and d = 0 says that f is the
maximum over all mixtures.  Where d is large the bound is loose; but it holds from any mixture, and
so from one that was made better for the purpose: components are added where D is highest, and all
weights brought to their best, until the bound from there meets what is reached there.

One known case: at a maximum with as many components as the maximum over all has, D is 0 at each of
the components and nowhere above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.core.tolerance import RESOLUTION, within
from emframe.engines import block_rows
from emframe.families import Stack
from emframe.fitting.ceiling import enclosed
from emframe.fitting.field import Field
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.latents import Gate
from emframe.messages.arguments import real, whole
from emframe.models import Mixture, MixtureParameters, observed
from emframe.models.components import taken
from emframe.parameters import leaves
from emframe.spaces import Array

FIRST_SHARE = 0.001  # how near the bounds of D are brought where that is not within tol anyway
LARGEST_LOG = 600.0  # of a ratio that is reckoned with: more only adds to the gain
MOST_AXES = 10  # of whose boxes all corners, 1024, are looked at


@dataclass(frozen=True, repr=False)
class Gap(Tabled):
    """Between a fit and the best mixture of any number of components, in nats.  See `Fit.gap`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.gap(counts).is_maximum
    True
    """

    family: str  # name of that of the components
    given: str  # what is asked of the components besides, in words; mostly empty
    log_likelihood: float  # of the fit, on these rows
    n_rows: float  # total weight
    lower: float  # D at `at`: what the log-likelihood gains per weight there, at first
    upper: float  # D of the fit is nowhere above
    at: Any  # the parameters of the best further component found, K = 1
    weight: float  # the best for that component, the others as they are
    gain: float  # what that component adds with that weight
    reached: float  # the log-likelihood of `mixture`
    ceiling: float  # the log-likelihood that no mixture of such components surpasses
    mixture: MixtureParameters  # as good a mixture of such components as was found
    tol: float  # nats
    n_points: int  # components that were tried

    @property
    def most(self) -> float:
        """What further components can add to the fit at most, however many they are."""
        return self.ceiling - self.log_likelihood

    @property
    def closed(self) -> bool:
        """Whether the best of all is known to within `tol`."""
        return self.ceiling - self.reached <= self.tol

    @property
    def is_maximum(self) -> bool:
        """Whether the fit is the best of all such mixtures, to within `tol`."""
        return self.most <= self.tol

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row: the log-likelihood of the fit, what is reached, the ceiling, the most to add."""
        names = ("log_likelihood", "reached", "ceiling", "most", "closed")
        return [{name: getattr(self, name) for name in names}]

    @property
    def brief(self) -> str:
        return f"at most {self.most:.4g} nats to add"

    def __str__(self) -> str:
        which = f" with {self.given}" if self.given else ""
        lines = [
            f"Log-likelihood of this fit: {self.log_likelihood:.4f}.",
            f"No mixture of {self.family} components{which}, of however many, is above "
            f"{self.ceiling:.4f}; {self.reached:.4f} is reached.",
        ]
        if self.most < -self.tol:
            lines.append("So this fit, which is none of them, is above them all.")
        elif self.is_maximum:
            lines.append(f"So this fit is the best of them all, to within {self.tol:g} nats.")
        else:
            lines.append(f"So further components add at most {self.most:.4g} nats to this fit.")
        if self.gain > 0 and not self.is_maximum:
            lines.append(
                f"The best one of them by itself, at {_told(self.at)} with weight "
                f"{self.weight:.3g}, adds {self.gain:.4g}."
            )
        if not self.closed:
            lines.append(
                f"The bounds have not met, with {self.n_points} components tried, and the best of "
                "all may be lower: pass a larger max_points, or a larger tol."
            )
        return "\n".join(lines)


def gap(fit: Fit, X: Any, *, weights: Any, tol: float, max_points: int, **options: Any) -> Gap:
    """The gap of a fit; see `Fit.gap`."""
    tol = real("tol", tol, "a number of nats above 0", lambda value: 0 < value < math.inf)
    max_points = whole("max_points", max_points, 1)
    model = _mixture(fit)
    rows = observed(model, X, weights, columns=fit.columns)
    axes = model.family.axes(fit.params.components, rows.x, **options)
    if len(axes.low) > MOST_AXES:
        raise ValueError(
            f"a component of {model.family.name!r} has {len(axes.low)} free numbers here, and a "
            f"certificate is for {MOST_AXES} at most; fit fewer columns."
        )
    density = np.concatenate(
        [model.posterior(fit.params, x)[0] for x, _ in rows.blocks(block_rows(model.work(rows)))]
    )
    if np.isneginf(density).any():
        row = int(np.isneginf(density).argmax())
        raise ValueError(
            f"`X` has a row that is impossible under the fit, {rows.x[row]}; pass the data that "
            "the fit was made from."
        )
    field = Field(model.family, axes, rows.x, rows.weights * rows.unit)
    components = fit.params.components
    own = field.mean_ratio(components, density) if axes.holds_fit else np.array([-np.inf])
    peak = field.peak(density, tol, FIRST_SHARE, max_points, float(own.max()))
    # Of a fit's own components the mean is 1 + 0, so one of them may be as good as any point.
    at = taken(components, np.array([own.argmax()]))
    if peak.lower >= own.max():
        at = axes.at(peak.at[None])
    lower, upper = max(peak.lower, float(own.max())), max(peak.upper, float(own.max()))
    weight, gain = _best_weight(field.weights, field.density(at)[:, 0] - density)
    loglik = float(field.weights @ density)
    best = enclosed(
        field, components, fit.params.weights, peak, loglik + field.n * upper, tol, max_points
    )
    rounding = within(RESOLUTION, float(np.abs(density).max()))  # which may hide as much per row
    return Gap(
        family=model.family.name,
        given=axes.given,
        log_likelihood=loglik,
        n_rows=field.n,
        lower=_slope(field.n, lower),
        upper=_slope(field.n, upper + rounding),
        at=at,
        weight=weight,
        gain=gain,
        reached=best.floor,
        ceiling=best.ceiling + field.n * rounding,
        mixture=best.blend.mixture(field),
        tol=tol,
        n_points=best.n_points,
    )


def _mixture(fit: Fit) -> Mixture:
    """The fitted mixture, or TypeError or ValueError where there is no certificate for it."""
    model = fit.model
    if not isinstance(model, Mixture):
        raise TypeError(
            f"a certificate is for mixtures of one family, whose components can be added to; this "
            f"is a {model.title()} model."
        )
    if isinstance(model.family, Stack):
        raise TypeError(
            "a certificate is for components of one family, and these are of several; fit a "
            "mixture of one of them."
        )
    if isinstance(model.weights, Gate):
        raise TypeError(
            "the weights depend on covariates, and no bounds are known for such mixtures; fit "
            "without a gate."
        )
    if model.weights is not None:
        raise ValueError("the weights are held, and leave none to a further component; free them.")
    if fit.prior is not None:
        raise ValueError(
            "the fit was made under a prior, so it is no maximum of the likelihood; fit without."
        )
    return model


def _slope(n: float, log_mean: float) -> float:
    """D, from log(1 + D / n); inf where that is out of range."""
    with np.errstate(over="ignore"):
        return float(n * np.expm1(log_mean))


def _best_weight(weights: Array, log_ratio: Array) -> tuple[float, float]:
    """The weight in [0, 1] of a component with log density ratio (n,) to the fit, and its gain.

    The gain is concave in the weight; its slope is bisected.
    """
    excess = np.expm1(np.minimum(log_ratio, LARGEST_LOG))

    def slope(a: float) -> float:
        with np.errstate(divide="ignore"):
            return float(weights @ (excess / (1.0 + a * excess)))

    if not slope(0.0) > 0.0:
        return 0.0, 0.0
    low, high = 0.0, 1.0
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    return low, max(float(weights @ np.log1p(low * excess)), 0.0)


def _told(params: Any) -> str:
    """The parameters of one component in words."""
    told = [
        f"{leaf.path.rpartition('.')[2]} {np.array2string(leaf.value[0], precision=4)}"
        for leaf in leaves(params)
        if not leaf.declared.fixed and not leaf.declared.shared
    ]
    return ", ".join(told)
