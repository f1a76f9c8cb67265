"""What to look at before a fit is believed: sizes, separation, criteria, what the data determine.

One known case: components far apart have average posteriors of 1, and no classification error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emframe.core.tolerance import FLAT
from emframe.data import swept
from emframe.data.runs import per_row
from emframe.engines import block_rows
from emframe.fitting.faces import face
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.inference.classes import ClassTable, class_table
from emframe.inference.contingency import (
    Contingency,
    PairResidual,
    contingency,
    is_table,
    pair_residuals,
)
from emframe.inference.information import information
from emframe.messages.arguments import Rng, generator_from, whole
from emframe.models import observed
from emframe.selecting.freedom import freedom_of
from emframe.spaces import Array


@dataclass(frozen=True, repr=False)
class Diagnostics(Tabled):
    """What the rows say of a fit.  See `Fit.diagnostics`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> found = fit.diagnostics(counts)
    >>> found.is_identified, len(found.rows)
    (True, 2)
    """

    fit: Fit
    classes: ClassTable  # sizes, average posteriors, odds, the table of errors, entropy R2
    n_determined: int  # parameters that the data determine, near the fit; on a boundary: all
    freedom: float  # how many numbers the data can determine; inf where there is no bound
    table: Contingency | None  # G2 and X2; None where rows are no cells of a table
    pairs: tuple[PairResidual, ...]  # bivariate residuals, largest first; () where there are none

    @property
    def criteria(self) -> dict[str, float]:
        """Criteria by their names; lower is better."""
        names = ("aic", "bic", "sabic", "caic", "icl")
        return {**{name: float(getattr(self.fit, name)) for name in names}, "awe": self.awe}

    @property
    def awe(self) -> float:
        """Approximate weight of evidence (Banfield and Raftery 1993, Biometrics 49, 803).

        -2 (log-likelihood - entropy) + 2 parameters (3/2 + log n).
        """
        fit = self.fit
        classified = fit.log_likelihood - self.classes.entropy
        return -2.0 * classified + 2.0 * fit.n_parameters * (1.5 + float(np.log(fit.n_units)))

    @property
    def smallest(self) -> float:
        """Share of the smallest component."""
        return float(self.classes.sizes.min())

    @property
    def is_identified(self) -> bool:
        """Whether the data determine every parameter, near the fit and by their number."""
        return self.n_determined == self.fit.n_parameters <= self.freedom

    @property
    def is_replicated(self) -> bool:
        """Whether more than one start of its own found this optimum, or one is as good as many."""
        return self.fit.n_found > 1 or bool(self.fit.model.sole_start)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each component: its sizes, average posterior and odds."""
        found = self.classes
        return [
            {
                "component": k,
                "size": float(found.sizes[k]),
                "assigned": float(found.assigned[k]),
                "average_posterior": float(found.average_posterior[k]),
                "odds": float(found.odds[k]),
            }
            for k in range(len(found.sizes))
        ]

    @property
    def brief(self) -> str:
        return f"of a {self.fit.model.title()}"

    def __str__(self) -> str:
        return face("diagnostics_text")(self)

    def _repr_html_(self) -> str:
        return face("diagnostics_html")(self)


def diagnostics(
    fit: Fit,
    X: Any,
    *,
    weights: Any = None,
    n_replicates: int = 0,
    rng: Rng = None,
    engine: Any = None,
) -> Diagnostics:
    """The `Diagnostics` of a fit; see `Fit.diagnostics`."""
    n_replicates = whole("n_replicates", n_replicates, 0, ", 0 for none")
    if fit.model.choices() is None:
        raise TypeError(
            f"the z of a {fit.model.title()} model is continuous, so that there are no components "
            "to tell apart; see standard_errors(X) and information(X)."
        )
    rows = observed(fit.model, X, weights, fit.columns)
    asks = is_table(fit, rows)
    if n_replicates and not asks:
        raise ValueError(
            f"`n_replicates` is {n_replicates}, but there is no table of counts to draw anew: that "
            "takes columns of categories, none missing; leave it out."
        )
    return Diagnostics(
        fit,
        classes=_classes(fit, rows),
        n_determined=_determined(fit, X, weights, engine),
        freedom=freedom_of(fit.model, X, weights),
        table=contingency(fit, rows, n_replicates, generator_from(rng)) if asks else None,
        pairs=pair_residuals(fit, rows),
    )


def _classes(fit: Fit, rows: Any) -> ClassTable:
    """Of all units.  The rows of a run share one z, or have each its own."""
    of_block = partial(_shares, fit.model, fit.params)
    found = swept(rows, block_rows(fit.model.work(rows)), of_block)
    return class_table(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _shares(model: Any, params: Any, x: Any, weights: Array) -> tuple[Array, Array]:
    """The posterior of each unit of a block, (b, K), and what it counts for, (b,)."""
    resp = model.posterior(params, x)[1]
    if len(resp) == len(weights):
        return resp, weights
    return (resp[x.firsts], weights) if model.unit == "runs" else (resp, per_row(x, weights))


def _determined(fit: Fit, X: Any, weights: Any, engine: Any) -> int:
    """The rank of the observed information, and the parameters on a boundary, which have none."""
    found = information(fit, X, weights, engine)
    curvature = found.observed * np.outer(found.scales, found.scales)
    roots = np.linalg.eigvalsh(curvature) if len(curvature) else np.zeros(0)
    return int((roots > max(FLAT, found.error)).sum()) + found.n_fixed
