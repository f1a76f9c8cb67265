"""Arrays that nobody may write to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array


def as_floats(array: NDArray[Any]) -> Array:
    """As read-only float64, (n, d); a view where it is float64 already."""
    if array.dtype == np.float64:
        if type(array) is np.ndarray and not array.flags.writeable:
            return array
        return read_only(array.view(np.ndarray))
    with np.errstate(over="ignore"):  # what does not fit is told by the gate
        return read_only(np.asarray(array, dtype=np.float64))


def ones(n: int) -> Array:
    """Weight 1 for n rows, in the memory of one number."""
    return np.broadcast_to(1.0, n)


class Weighted:
    """Base of rows with `weights`: those that are all alike are sent as one number and their count.

    So they arrive as they were, in the memory of one number: sums over them are taken in another
    order than over an array, and would differ in the last bit.
    """

    weights: Array
    unit: float

    @property
    def heaviest(self) -> float:
        """The largest weight, in units of `unit`."""
        return float(self.weights.max(initial=0.0))

    @property
    def weight(self) -> float:
        """Total weight, in the user's units."""
        return self.unit * float(self.weights.sum())

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self.weights.strides == (0,) and len(self.weights):
            state["weights"] = (float(self.weights[0]), len(self.weights))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(state["weights"], tuple):
            self.__dict__["weights"] = np.broadcast_to(*state["weights"])


def read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
