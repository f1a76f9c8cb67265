"""What a family can bring for many starts at once: natural parameters and coordinates as tables.

    log w_k + log f(x | theta_k) = T(x) . eta_k        T (P, n), eta (S, K, P)

Of an exponential family E and M of S starts are two matrix products.  A point is a table c
(S, K, P) of coordinates without bounds, of which the first is a log weight; eta follows from it,
and from the sums of T the coordinates that maximise Q.  Nothing else is worked out on the way.

One known case: coordinates lead to eta, and parameters to the same coordinates and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from emframe.spaces import Array


class Flat(Protocol):
    """Components of a family about some rows."""

    @property
    def table(self) -> Array:
        """T of all rows, (P, n); the first line is 1."""
        ...

    @property
    def surplus(self) -> float:
        """What log f is for a row, in nats, above that in the units of the data."""
        ...

    def natural(self, c: Array) -> tuple[Array, Any]:
        """eta (S, K, P) at coordinates, with weights that sum to 1; and what `gradient` is told."""
        ...

    def m_step(self, sums: Array, total: float) -> tuple[Array, NDArray[Any] | None]:
        """Coordinates that maximise Q of sums (S, K, P) of T over rows of this weight.

        Also which starts (S,) have such and keep enough digits; None where all do.
        """
        ...

    def gradient(self, c: Array, sums: Array, total: float, told: Any) -> Array:
        """Of the log-likelihood in coordinates, (S, K, P), by Fisher's identity."""
        ...

    def coordinates(self, weights: Sequence[Array], components: Sequence[Any]) -> Array:
        """Of the weights (K,) and the components of each of S starts."""
        ...

    def parameters(self, c: Array) -> tuple[Array, Any]:
        """Weights (K,) and components at the coordinates (K, P) of one start."""
        ...

    def heights(self, c: Array) -> Array | None:
        """Log densities of components at rows of their own but for a constant, (S, K).

        None where no component can shrink by itself.
        """
        ...
