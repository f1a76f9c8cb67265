"""Uniform noise: a component with one density everywhere, for rows that belong to no cluster.

    f(x) = 1 / V

The volume V is that of the data, the smaller one of two boxes around all rows, along the columns
and along their principal axes (Banfield and Raftery 1993, Biometrics 49, 803; mclust's ``hypvol``).
Rows of later data have the same density wherever they lie, so that the noise may take them.  Within
limits that are given it is a uniform distribution, and 0 outside.

One known case: of one column V is the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe import Positive, Real
from emframe.families import Certain
from emframe.families.kernel import NoSampler
from emframe.numeric.climbed import Kept
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Array

Ends = float | tuple[float, ...]


@dataclass(frozen=True)
class Uniform(Certain):
    """One density for all rows; it has no parameter to estimate.

    Parameters
    ----------
    density : what it is everywhere. Left out, one over the volume of the data.
    low, high : the ends of an interval instead, or of a box, one for each of its columns: the
        density is one over its volume, and 0 outside.

    Raises ValueError for a density that is not above 0, for both, or for ends in the wrong order.
    """

    density: float | None = None
    low: Ends | None = None
    high: Ends | None = None

    name = "uniform"
    support = Real()

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("`low` and `high` are the ends of one box; pass both or neither.")
        if self.density is not None and self.low is not None:
            raise ValueError("`density` follows from `low` and `high`; pass either.")
        if self.density is not None and not 0.0 < self.density < np.inf:
            raise ValueError(f"`density` is {self.density!r}; pass a finite number above 0.")
        if self.low is not None:
            low, high = np.asarray(self.low, dtype=float), np.asarray(self.high, dtype=float)
            sound = np.isfinite(low).all() and np.isfinite(high).all() and low.shape == high.shape
            if not sound or low.ndim > 1 or not (low < high).all():
                raise ValueError(
                    f"`low` is {self.low!r} and `high` {self.high!r}; pass finite low < high, a "
                    "number each, or one per column each."
                )
            object.__setattr__(self, "low", _plain(low))
            object.__setattr__(self, "high", _plain(high))

    # ---- how large the volume is

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.density is not None or self.low is not None

    def whole(self, x: Array, weights: Array) -> Any:
        return super().whole(x, weights) if self.is_settled else Kept.of_rows(x, weights[:, None])

    def settled(self, whole: Any, columns: Sequence[str]) -> Uniform:
        if self.is_settled:
            return self
        rows = np.concatenate([x for x, _ in whole.blocks])
        volume = volume_of(rows)
        if not 0.0 < volume < np.inf:
            raise ValueError(
                f"the box around all rows has the volume {volume:g}, and noise no density; pass "
                "density=, or without the columns that are alike in all rows."
            )
        return replace(self, density=1.0 / volume)

    # ---- the density

    @property
    def parameters(self) -> type:
        """``densities`` (K,), held."""
        return record("UniformParameters", {"densities": Declared(Positive(), (), fixed=True)})

    @property
    def width(self) -> int | None:  # type: ignore[override]
        if self.low is None:
            return None
        return len(self.low) if isinstance(self.low, tuple) else 1

    @property
    def takes_columns(self) -> bool:
        return self.width != 1

    def held(self, k: int, d: int) -> Any:
        return self.parameters(np.full(k, self._height(d)))

    def _height(self, d: int) -> float:
        if self.low is not None and self.high is not None:
            sides = np.broadcast_to(np.subtract(self.high, self.low), (d,))
            return float(1.0 / np.prod(sides))
        if self.density is None:
            raise ValueError(
                "the density of the family 'uniform' is left to the data, which were not seen yet; "
                "pass density=, or take what `settled(X)` of the model gives."
            )
        return self.density

    def log_density(self, params: Any, x: Array) -> Array:
        whole = np.broadcast_to(np.log(params.densities), (len(x), len(params.densities)))
        if self.low is None or self.high is None:
            return whole.copy()
        inside = np.asarray(((x >= np.array(self.low)) & (x <= np.array(self.high))).all(axis=1))
        return np.where(inside[:, None], whole, -np.inf)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        if self.low is None or self.high is None:
            raise NoSampler(
                "noise of one density everywhere lies nowhere in particular, and cannot be drawn; "
                "pass low= and high= to the family 'uniform'."
            )
        d = self.width or 1
        low, high = (np.broadcast_to(np.array(end), (d,)) for end in (self.low, self.high))
        return rng.uniform(low, high, size=(len(labels), d))


def volume_of(x: Array) -> float:
    """The volume of the smaller box about rows (n, d), along the columns or along their axes."""
    low, high = x.min(axis=0), x.max(axis=0)
    plain = float(np.prod(high - low))
    if x.shape[1] == 1:
        return plain
    # Axes of columns in units of their ranges would be others; mclust takes them as they are.
    axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2]
    along = x @ axes.T
    turned = float(np.prod(np.ptp(along, axis=0))) if len(axes) == x.shape[1] else np.inf
    return min(plain, turned)


def _plain(ends: Array) -> Ends:
    """As a setting that compares and is saved."""
    return float(ends) if ends.ndim == 0 else tuple(map(float, ends))
