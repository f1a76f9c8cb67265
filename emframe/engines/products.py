"""Stacks of matrix products during which other threads can run.

numpy works many operations out without the interpreter's lock, but ``matmul`` keeps it where the
result has few entries, however long the sums behind them are: and those of an M-step are of that
kind, a few sums over many rows.  ``dot`` always lets go of it, and takes two matrices.

One known case: a stack of one is the product of its two matrices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Entries of a result, up to which matmul keeps the lock (NPY_BEGIN_THREADS_THRESHOLDED).
KEEPS_THE_LOCK = 500
# Terms of a sum from which on it takes long enough for others to wait.
LONG = 1000


def products(a: Array, b: Array) -> Array:
    """``a @ b`` for stacks a (s, m, n) and b (s, n, p), as (s, m, p)."""
    s, m, n = a.shape
    if n < LONG or s * m * b.shape[2] > KEEPS_THE_LOCK:
        return np.matmul(a, b)
    return np.stack([np.dot(one, other) for one, other in zip(a, b, strict=True)])
