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


def read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
