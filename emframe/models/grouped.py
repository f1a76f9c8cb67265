"""Rows that share one z: a family whose rows are runs of rows of another family.

    log f(x_1, ..., x_m | theta_k) = sum_t log f(x_t | theta_k)

A person is asked several times, a centre treats several patients: what is drawn by the weights is
the kind of the person or of the centre, and the rows that belong to it are independent given that.

One known case: with runs of one row each this is the family itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.data.runs import per_row
from emframe.engines import Workspace
from emframe.families import Completed, Concluded, Family, Kernel, Survey, Wrapped, rowwise
from emframe.families.kernel import Gathered
from emframe.host import family_of
from emframe.host.recipes import MAKERS
from emframe.spaces import Array


@dataclass(frozen=True, init=False)
class Grouped(Wrapped):
    """Runs of rows whose components are those of a family, one component for all rows of a run.

    A mixture of it takes `emframe.Sequences`, or a list of arrays, a run each; what it says of z,
    and weights, belong to runs.

    Parameters
    ----------
    family : name of a plugin, or a `Family`.
    **options : settings of the family, when it is given by name.

    Examples
    --------
    >>> rows = emframe.Sequences([0, 1, 0, 8, 9, 7], lengths=[3, 3])
    >>> fit = emframe.fit(emframe.Mixture(emframe.Grouped("poisson"), 2), rows, rng=0)
    >>> len(fit.predict(rows))
    2
    """

    maker = "grouped"
    in_runs = True

    def __init__(self, family: str | Family, **options: Any) -> None:
        found = family_of(family, options)
        if not isinstance(found, Family):
            raise TypeError(f"`family` is {family!r}; pass a plugin's name or a Family object.")
        if found.in_runs:
            raise TypeError(f"the rows of {found.name!r} are runs already; pass it as it is.")
        object.__setattr__(self, "family", found)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"grouped {self.family.name}"

    @property
    def equivariant(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.family.equivariant

    # ---- what a run is

    def log_density(self, params: Any, x: Any) -> Array:
        """Of each run, (S, K)."""
        return np.add.reduceat(self.family.log_density(params, x.x), x.firsts, axis=0)

    def accumulate(self, x: Any, resp: Array) -> Any:
        """Every row of a run has the run's responsibilities, resp (S, K)."""
        return self.family.accumulate(x.x, np.repeat(resp, x.lengths, axis=0))

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        return self.family.completed(params, x.x, np.repeat(resp, x.lengths, axis=0))

    def imputed(self, params: Any, x: Any, shares: Array) -> Array:
        """Of every row, (n, d), by the shares of its run, (S, K)."""
        return self.family.imputed(params, x.x, np.repeat(shares, x.lengths, axis=0))

    def whole(self, x: Any, weights: Array) -> Any:
        return self.family.whole(x.x, per_row(x, weights))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """The family's, whose rows are added up run by run."""
        for kernel in self.family.kernels(params, np.zeros_like(constants), survey):
            yield PerRun(kernel, constants)


@dataclass(frozen=True)
class PerRun:
    """The kernel of runs of rows that are drawn from one component each."""

    kernel: Kernel
    constants: Array  # (K,)  of a run

    @property
    def form(self) -> str:
        return self.kernel.form

    def rows(self, d: int) -> int:
        return self.kernel.rows(d)

    def meet(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        met = rowwise(self.kernel, x.x, work)
        joint = np.add.reduceat(met.joint, x.firsts, axis=1) + self.constants[:, None]

        def collect(resp: Array) -> Gathered:
            own = met.collect(np.repeat(resp, x.lengths, axis=1))
            return Gathered(own, 0.0, resp.sum(axis=1))

        return joint, collect

    def finish(self, sums: Gathered) -> Concluded | None:
        """The rows' sums, and the counts of runs."""
        found = self.kernel.finish(sums.statistics)
        return None if found is None else found._replace(counts=sums.counts)


MAKERS["grouped"] = Grouped
