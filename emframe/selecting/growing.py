"""Models that contain one another, from the smallest up: each starts from the one below as well.

    K = 2  ->  K = 3  ->  K = 4,        each with the components of the one before it split

Fitted on its own, a larger mixture may miss an optimum that lies next to that of a smaller one,
and may even end below it.  So a second search begins where the smaller one ended, and the better
end of both is kept.  It goes up in order: what is found for K = 3 is a start for K = 4.

One known case: of models that do not contain one another none is searched again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from emframe.core import Degenerate, Status
from emframe.engines import EngineError
from emframe.fitting import Interrupted, fit
from emframe.fitting.result import Fit
from emframe.fitting.search import rank
from emframe.models import Model
from emframe.parameters import n_free


class Candidate(NamedTuple):
    """A model, the fit of its own search, and what is left for another."""

    model: Model
    fit: Fit | None  # None where no start had an objective
    seconds: float  # that its own search took
    rng: np.random.Generator


class Searched(NamedTuple):
    """What came of a chain: better fits, by the place of the model, and whether it was cut."""

    fits: dict[int, Fit]
    stopped: bool = False


@dataclass(frozen=True)
class Ladder:
    """Models that grow from one another: a job for `emframe.engines.workers.share`."""

    candidates: Sequence[Candidate]
    steps: tuple[tuple[int, int], ...]  # (model, one within it with a sound fit), smallest first
    X: Any
    options: Mapping[str, Any]  # of `emframe.fit`

    def __call__(self) -> Searched:
        """Search each model again, from the best fit of the one below."""
        found: dict[int, Fit] = {}
        try:
            for index, _ in self.steps:
                model, own, seconds, rng = self.candidates[index]
                start = self._largest_within(index, found)
                options = _with_time_left(self.options, own, seconds)
                if options is None:
                    continue
                try:
                    grown = fit(model, self.X, start=start, rng=rng, **options)
                except (Degenerate, EngineError):  # what was found without it stands
                    continue
                except Interrupted as stop:
                    return Searched({**found, index: joined(own, stop.fit)}, stopped=True)
                found[index] = joined(own, grown)
        except KeyboardInterrupt:
            return Searched(found, stopped=True)
        return Searched(found)

    def _largest_within(self, index: int, found: Mapping[int, Fit]) -> Fit:
        """The best fit to grow from; one that was not sound on its own may have become so."""
        now = [one._replace(fit=found.get(i, one.fit)) for i, one in enumerate(self.candidates)]
        below = _below(index, now)
        assert below is not None  # what was sound at first still is
        start = now[below].fit
        assert start is not None
        return start


def chains(candidates: Sequence[Candidate], X: Any, options: Mapping[str, Any]) -> list[Ladder]:
    """Which models grow from which: each from the largest within it that has a sound fit."""
    below = {
        index: found
        for index in range(len(candidates))
        if (found := _below(index, candidates)) is not None
    }

    def path(index: int) -> tuple[int, ...]:
        """From the smallest model up to this one."""
        return (*path(below[index]), index) if index in below else (index,)

    def size(index: int) -> int:
        """The free parameters of a model, which need not have a fit."""
        model, (smaller, own, *_) = candidates[index].model, candidates[below[index]]
        assert own is not None
        return n_free(model.embedded(smaller, own.params))

    paths = [path(index) for index in sorted(below, key=size)]
    roots = dict.fromkeys(one[0] for one in sorted(paths))
    steps = {root: tuple((p[-1], p[-2]) for p in paths if p[0] == root) for root in roots}
    return [Ladder(candidates, steps[root], X, options) for root in roots]


def joined(own: Fit | None, grown: Fit) -> Fit:
    """Two searches of the same model as one fit: the better end, and the starts of both."""
    if own is None:
        return grown
    n = len(own.starts)
    later = tuple(
        replace(one, index=n + one.index, parent=None if one.parent is None else n + one.parent)
        for one in grown.starts
    )
    best, first = (grown, n) if rank(grown) > rank(own) else (own, 0)
    return replace(
        best,
        best=first + best.best,
        starts=(*own.starts, *later),
        n_iter=own.n_iter + grown.n_iter,
    )


def _below(index: int, candidates: Sequence[Candidate]) -> int | None:
    """The largest model with a sound fit that this one contains."""
    model = candidates[index].model
    sizes = {
        place: other.fit.n_parameters
        for place, other in enumerate(candidates)
        if other.fit is not None
        and other.fit.status.usable
        and not other.fit.spurious
        and model.embedded(other.model, other.fit.params) is not None
    }
    return max(sizes, key=lambda place: sizes[place], default=None)


def _with_time_left(
    options: Mapping[str, Any], own: Fit | None, seconds: float
) -> Mapping[str, Any] | None:
    """The options of `emframe.fit`, with what is left of ``max_seconds``; None where nothing is."""
    if options.get("max_seconds") is None:
        return options
    left = options["max_seconds"] - seconds
    out = own is not None and any(one.status is Status.MAX_SECONDS for one in own.starts)
    return None if out or left <= 0 else {**options, "max_seconds": left}
