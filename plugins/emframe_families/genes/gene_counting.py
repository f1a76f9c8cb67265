"""Gene counting: each row shows a class; z is the cell of that class which it really is.

    p(cell c | theta) = coef_c * prod_j theta_j ^ E_cj,        theta on a simplex

A phenotype is a class of genotypes, and a genotype's probability a product of allele frequencies.
Were the cells known, the estimates would be shares of counted genes; EM counts the expected ones
(Ceppellini, Siniscalco and Smith 1955, Ann. Hum. Genet. 20, 97; Dempster, Laird and Rubin 1977,
sections 1 and 4.1.1).  Two classical tables are brought along: the ABO blood groups, and the
linkage of Rao (1965), where the two "alleles" are theta and 1 - theta.

One known case: where every class is a single cell, one step counts and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlogy

from emframe import Array, LatentModel, NonNegativeInteger, Simplex, parameter
from emframe.models import Posterior

_RANDOM_STARTS = 7  # local maxima are rare


class Cell(NamedTuple):
    """One complete-data cell: the class that shows, and its probability."""

    shows: int  # the class, 0, 1, ...
    coefficient: float
    powers: tuple[int, ...]  # of each frequency


# Classes A, B, AB, O; alleles A, B, O; genotypes AA, AO, BB, BO, AB, OO in Hardy-Weinberg shares.
ABO = (
    Cell(0, 1.0, (2, 0, 0)),
    Cell(0, 2.0, (1, 0, 1)),
    Cell(1, 1.0, (0, 2, 0)),
    Cell(1, 2.0, (0, 1, 1)),
    Cell(2, 2.0, (1, 1, 0)),
    Cell(3, 1.0, (0, 0, 2)),
)
# Classes of probability 1/2 + t/4, (1 - t)/4, (1 - t)/4, t/4; the first one hides two cells.
LINKAGE = (
    Cell(0, 0.5, (0, 0)),
    Cell(0, 0.25, (1, 0)),
    Cell(1, 0.25, (0, 1)),
    Cell(2, 0.25, (0, 1)),
    Cell(3, 0.25, (1, 0)),
)


@dataclass(frozen=True)
class Frequencies:
    """Frequency of each allele."""

    frequencies: Array = parameter(Simplex(), shape="alleles", per_component=False)  # (J,)


@dataclass(frozen=True)
class GeneCounts:
    """Expected counts of genes, and the part of Q that no frequency enters."""

    genes: Array  # (J,)
    base: float  # sum of log coefficients

    def __add__(self, other: GeneCounts) -> GeneCounts:
        return GeneCounts(self.genes + other.genes, self.base + other.base)


@dataclass(frozen=True)
class GeneCounting(LatentModel):
    """Rows are classes 0, 1, ... in one column; weights say how many individuals each stands for.

    Parameters
    ----------
    table : "abo" (classes A, B, AB, O) or "linkage".
    """

    table: str = "abo"

    name = "gene-counting"
    parameters = Frequencies
    support = NonNegativeInteger()

    def __post_init__(self) -> None:
        if self.table not in {"abo", "linkage"}:
            raise ValueError(f"`table` is {self.table!r}; expected 'abo' or 'linkage'.")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The table of complete-data cells."""
        return ABO if self.table == "abo" else LINKAGE

    def choices(self) -> int:
        return len(self.cells)

    @property
    def dims(self) -> dict[str, int]:
        return {"alleles": len(self.cells[0].powers)}

    @property
    def _powers(self) -> Array:  # (C, J)
        return np.array([cell.powers for cell in self.cells], dtype=float)

    @property
    def _log_coefficients(self) -> Array:  # (C,)
        return np.log([cell.coefficient for cell in self.cells])

    def require(self, rows: Any) -> None:
        """Refuse classes that the table does not have."""
        classes = 1 + max(cell.shows for cell in self.cells)
        outside = rows.x[:, 0] >= classes
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(
                f"`X` row {int(rows.numbers[row])} is class {rows.x[row, 0]:g}; the table "
                f"{self.table!r} has classes 0 to {classes - 1}."
            )

    def condense(self, rows: Any) -> Any:
        """Each class once, with its count."""
        return rows.distinct()

    def posterior(self, params: Frequencies, x: Array) -> tuple[Array, Array]:
        """Log probability of each row's class (n,), and p(cell | class), (n, C)."""
        log_cell = self._log_coefficients + xlogy(self._powers, params.frequencies).sum(axis=1)
        shows = np.array([cell.shows for cell in self.cells])
        joint = np.where(x == shows, np.exp(log_cell), 0.0)
        total = joint.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(total[:, 0]), joint / total

    def e_step(self, params: Frequencies, x: Array, weights: Array) -> Posterior:
        log_class, share = self.posterior(params, x)
        counts = weights @ share  # (C,)
        statistics = GeneCounts(counts @ self._powers, float(counts @ self._log_coefficients))
        return Posterior(
            float(log_class @ weights), float(entr(share).sum(axis=1) @ weights), statistics
        )

    def expected(self, statistics: GeneCounts, params: Frequencies) -> float:
        return float(xlogy(statistics.genes, params.frequencies).sum()) + statistics.base

    def m_step(self, statistics: GeneCounts, previous: Frequencies) -> Frequencies:
        return Frequencies(statistics.genes / statistics.genes.sum())

    def starts(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Equal frequencies, then random ones."""
        alleles = self.dims["alleles"]
        yield "equal", Frequencies(np.full(alleles, 1.0 / alleles))
        for _ in range(_RANDOM_STARTS):
            yield "random", Frequencies(rng.dirichlet(np.ones(alleles)))

    def sample(
        self, params: Frequencies, n: int, rng: np.random.Generator
    ) -> tuple[Array, NDArray[Any]]:
        share = np.exp(self._log_coefficients + xlogy(self._powers, params.frequencies).sum(axis=1))
        z = rng.choice(len(self.cells), size=n, p=share / share.sum())
        return np.array([float(self.cells[cell].shows) for cell in z])[:, None], z

    def uncertainty(self, params: Frequencies, x: Array, weights: Array) -> float:
        return -float(np.log(self.posterior(params, x)[1].max(axis=1)) @ weights)

    def complete_log_likelihood(self, params: Frequencies, x: Array, z: NDArray[Any]) -> float:
        """Sum of log p(cell); -inf where a cell does not show as its row's class."""
        labels = z.argmax(axis=1) if z.ndim == 2 else z
        log_cell = self._log_coefficients + xlogy(self._powers, params.frequencies).sum(axis=1)
        fits = np.array([cell.shows for cell in self.cells])[labels] == x[:, 0]
        return float(np.where(fits, log_cell[labels], -np.inf).sum())
