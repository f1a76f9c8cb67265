"""A point mass: a component all of whose rows are one value.

    f(x) = 1 at the value, 0 elsewhere

Beside a density it is the share of rows that are exactly there, such as days without rain.

One known case: a Poisson component whose rate is held at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.families.certain import Certain
from emframe.host.recipes import MAKERS
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Array, Only, Real, Space


@dataclass(frozen=True)
class Point(Certain):
    """Rows that are exactly `value`.

    Parameters
    ----------
    value : a number for all columns, or one for each.

    Raises ValueError for what is not finite.

    Examples
    --------
    >>> model = emframe.Mixture([emframe.Point(0.0), "poisson"])
    >>> emframe.fit(model, [0, 0, 0, 0, 6, 7, 8], rng=0).params.weights.round(2)
    array([0.57, 0.43])
    """

    value: float | Sequence[float] = 0.0

    name = "point"
    maker = "point"

    def __post_init__(self) -> None:
        given = np.asarray(self.value, dtype=float)
        if given.ndim > 1 or not np.isfinite(given).all() or not given.size:
            raise ValueError(f"`value` is {self.value!r}; pass a finite number, or one per column.")
        value = float(given) if given.ndim == 0 else tuple(map(float, given))
        object.__setattr__(self, "value", value)

    @property
    def parameters(self) -> type:
        """``values`` (K, d), held."""
        return record("PointParameters", {"values": Declared(Real(), ("d",), fixed=True)})

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return len(self.value) if isinstance(self.value, tuple) else None

    @property
    def support(self) -> Space:  # type: ignore[override]
        return Only(self.value)  # type: ignore[arg-type]

    def held(self, k: int, d: int) -> Any:
        return self.parameters(np.broadcast_to(np.array(self.value, dtype=float), (k, d)).copy())

    def log_density(self, params: Any, x: Array) -> Array:
        return np.where((x[:, None, :] == params.values).all(axis=2), 0.0, -np.inf)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return np.array(params.values[labels])

    def log_cdf(self, params: Any, x: Array) -> Array:
        return np.where((x[:, None, :] >= params.values).all(axis=2), 0.0, -np.inf)

    def mean(self, params: Any) -> Array:
        return np.asarray(params.values)

    def variance(self, params: Any) -> Array:
        return np.zeros_like(params.values)

    def quantile(self, params: Any, p: Array) -> Array:
        return np.broadcast_to(params.values, (len(p), *params.values.shape))


MAKERS["point"] = Point
