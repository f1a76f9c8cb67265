"""What this machine can do: the yardstick that an E-step is held against, measured in the same run.

An E-step with its M-step cannot take less time than its matrix products at the speed of BLAS, its
exponentials at the speed of numpy, and one reading of the rows at the speed of memory.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from emframe.engines import one_blas_thread


@dataclass(frozen=True)
class Machine:
    """Rates of all cores together."""

    cores: int
    flops: float  # floating-point operations per second, in products of 512 x 512 matrices
    exponentials: float  # per second
    bandwidth: float  # bytes read per second

    def seconds(self, flops: float, exponentials: float, bytes_read: float) -> float:
        """The least that so much work can take, one kind after the other."""
        return flops / self.flops + exponentials / self.exponentials + bytes_read / self.bandwidth

    def __str__(self) -> str:
        return (
            f"{self.cores} cores: {self.flops / 1e9:.0f} Gflop/s in matrix products, "
            f"{self.exponentials / 1e9:.2f} G exponentials/s, {self.bandwidth / 1e9:.1f} GB/s"
        )


def measure(cores: int) -> Machine:
    """Each rate with a thread on every core, the best of several tries."""
    square = [np.random.default_rng(i).normal(size=(512, 512)) for i in range(cores)]
    cached = [np.random.default_rng(i).uniform(-20, 0, 16_384) for i in range(cores)]
    large = [np.ones(4_000_000) for _ in range(cores)]
    out = [np.empty_like(a) for a in square], [np.empty_like(a) for a in cached]

    def products(i: int) -> None:
        for _ in range(4):
            np.matmul(square[i], square[i].T.copy(), out=out[0][i])

    def exponentials(i: int) -> None:
        for _ in range(200):
            np.exp(cached[i], out=out[1][i])

    def reading(i: int) -> None:
        large[i].max()

    with one_blas_thread(), ThreadPoolExecutor(cores) as pool:

        def best(work: object) -> float:
            times = []
            for _ in range(7):
                begin = time.perf_counter()
                list(pool.map(work, range(cores)))  # type: ignore[arg-type]
                times.append(time.perf_counter() - begin)
            return min(times)

        return Machine(
            cores,
            flops=cores * 4 * 2 * 512**3 / best(products),
            exponentials=cores * 200 * 16_384 / best(exponentials),
            bandwidth=cores * large[0].nbytes / best(reading),
        )
