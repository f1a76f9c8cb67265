"""Online EM: one pass over a stream, a step for each block of rows.

Q is additive, so its average over rows can be kept up as rows come in.  Each block's Q, taken at
the current parameters, is blended into the average at a rate that falls, and the average is
maximised (Cappe and Moulines 2009, JRSS B 71, 593, algorithm 1; Liang and Klein 2009):

    S  <-  (1 - g_t) S + g_t Q_block / n_block,      theta  <-  argmax S,      g_t = (t + 2)^-a

    online = emframe.Stepwise(model)
    stream = online.begin(first_block, rng=0)
    for block in blocks:
        stream = online.update(stream, block)

Each block is scored before it is learned from, so `Stream.mean_log_density` is an honest,
out-of-sample figure.  The likelihood of the data rises only on average.

One known case: with exponent 1 and nothing latent, the average is that of all rows so far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.data import frequencies
from emframe.engines import engine_for, one_blas_thread
from emframe.fitting import expectation, fit, model_for
from emframe.messages.arguments import Rng
from emframe.models import Model

FEW = 100  # rows that tell whether a Q can be scaled


@dataclass(frozen=True)
class Stream:
    """What is known after some blocks.

    Examples
    --------
    >>> stream = emframe.Stepwise(emframe.Mixture("poisson", 1)).begin([1, 2, 3], rng=0)
    >>> stream.n_updates, stream.n_rows
    (0, 0.0)
    """

    params: Any
    average: Any  # Q per row, the newer blocks counting for more
    n_updates: int
    n_rows: float  # total weight learned from since the beginning
    score: float  # sum of log densities of rows before they were learned from, nats
    message: str = ""  # why the last M-step was not taken; empty where it was

    @property
    def mean_log_density(self) -> float:
        """Average log density of a row under the parameters before it was seen, nats."""
        return self.score / self.n_rows if self.n_rows else float("nan")


@dataclass(frozen=True)
class Stepwise:
    """Online EM for a model.

    Parameters
    ----------
    model : such as ``emframe.Mixture("poisson", n_components=3)``.
    exponent : a in the rate (t + 2)^-a, above 0.5 and at most 1. Near 0.5 early errors are
        forgotten soon, near 1 noise averages out.

    Examples
    --------
    >>> stepwise = emframe.Stepwise(emframe.Mixture("poisson", 1))
    >>> stream = stepwise.begin([1, 2, 3], rng=0)
    >>> stepwise.update(stream, [4, 5, 6]).n_rows
    3.0
    """

    model: Model
    exponent: float = 0.7

    def __post_init__(self) -> None:
        if not 0.5 < self.exponent <= 1.0:
            raise ValueError(
                f"`exponent` is {self.exponent}; convergence takes one above 0.5, at most 1."
            )

    def begin(self, X: Any, *, weights: Any = None, rng: Rng = None, **options: Any) -> Stream:
        """Fit a first block to convergence, with the options of `emframe.fit`, and start there.

        Raises TypeError for a model whose Q has no average, because its sums do not scale, and
        ValueError for one that leaves a setting to data of which only a part is there.
        """
        self._refuse_unscalable(X, weights)
        first = fit(self.model, X, weights=weights, rng=rng, **options)
        q, total, _ = self._q(first.params, X, weights)
        return Stream(first.params, q.scaled(1.0 / total), 0, 0.0, 0.0)

    def update(self, stream: Stream, X: Any, *, weights: Any = None) -> Stream:
        """Learn from a block of rows: one E-step on them, one M-step on the average.

        Raises what `emframe.fit` raises for unusable data.  Where the average has no maximum
        the parameters stay as they are, and the stream's ``message`` says why.
        """
        q, total, unit = self._q(stream.params, X, weights)
        rate = (stream.n_updates + 2.0) ** -self.exponent
        kept = stream.average.moved(q.at).scaled(1.0 - rate)
        average = kept + q.scaled(rate / total)
        learned = replace(
            stream,
            average=average,
            n_updates=stream.n_updates + 1,
            n_rows=stream.n_rows + unit * total,
            score=stream.score + unit * q.loglik,
        )
        try:
            return replace(learned, params=average.maximize(), message="")
        except Degenerate as error:
            return replace(learned, message=f"the parameters were kept: {error}")

    def _refuse_unscalable(self, X: Any, weights: Any) -> None:
        """Raise before any work where the Q of a start cannot be scaled."""
        model = model_for(self.model)
        if model.settled(X, weights) is not model:
            raise ValueError(
                f"`model` is {model.title()}, and leaves a setting to the data, of which the first "
                "block need not have all; name it, or pass what `model.settled(X)` gives."
            )
        rows = model.rows(X, frequencies(X, weights))
        few: Any = rows.sample(FEW, np.random.default_rng(0)) if hasattr(rows, "sample") else rows
        for _, params in islice(model.starts(few, np.random.default_rng(0)), 3):
            if isinstance(params, Exception):
                continue
            try:
                q: Any = expectation(model, few)(params)
            except Degenerate:
                continue
            if not hasattr(q, "scaled") or not hasattr(q, "moved"):
                raise TypeError(
                    f"`model` is {model.title()}, and its Q has no average to keep up: online "
                    "EM asks it for scaled(factor) and moved(at); emframe.fit does without."
                )
            q.scaled(1.0)
            return

    def _q(self, params: Any, X: Any, weights: Any) -> tuple[Any, float, float]:
        """Q of a block at `params` and its total weight, and the unit that both are told in."""
        given: Any = self.model.rows(X, frequencies(X, weights))
        unit = getattr(given, "unit", 1.0)
        rows = given if unit == 1.0 else replace(given, unit=1.0)
        engine = engine_for(None, len(rows) * self.model.work(rows))
        with one_blas_thread():
            q: Any = expectation(self.model, rows, engine=engine)(params)
        return q, rows.total, unit
