"""Arrays and frames of Dask as rows in parts: each chunk, or partition, is a part.

    client = distributed.Client(...)
    emframe.fit(model, ddf)

Where there is a client, the parts stay in the memory of its workers, and a worker that is lost has
its parts made again elsewhere, by Dask, from what they were made of.  Without one they are worked
out here, by threads, and anew for each pass unless they are persisted: nothing is held that was not
held before.

One known case: a collection of one partition is one part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from emframe.data.parts import Here, Part, Places, Task
from emframe.messages.extras import extra

RETRIES = 2  # of a task whose worker was lost, besides those that Dask makes by itself


def places_of(
    X: Any, weights: str | None = None, labels: str | None = None, patience: float | None = None
) -> Places:
    """Where the chunks, or partitions, of a collection lie, each a part."""
    dask = extra("dask", "dask", "rows on Dask")
    if len(getattr(X, "numblocks", ())) > 1 and X.numblocks[1] > 1:  # a part has whole rows
        X = X.rechunk({1: -1})
    blocks = X.to_delayed()
    blocks = list(blocks.ravel()) if hasattr(blocks, "ravel") else list(blocks)
    client = client_in_use()
    if client is None:
        return Here([Part(partial(_computed, one), weights, labels, False) for one in blocks])
    made = client.compute([dask.delayed(Part)(one, weights, labels) for one in blocks])
    return OnCluster(client, made, patience)


def client_in_use() -> Any:
    """The client that is in use, if there is one."""
    module = sys.modules.get("distributed")
    if module is None:
        return None
    try:
        return module.get_client()
    except ValueError:
        return None


def _computed(block: Any) -> Any:
    return block.compute(scheduler="sync")


class OnCluster:
    """Parts in the memory of a cluster's workers.

    Parameters
    ----------
    client : a ``distributed.Client``.
    parts : futures of `Part` objects.
    patience : seconds within which a pass has to be back; None for as long as it takes.
    """

    def __init__(self, client: Any, parts: Sequence[Any], patience: float | None = None) -> None:
        self.client, self.parts, self.patience = client, list(parts), patience

    def __len__(self) -> int:
        return len(self.parts)

    def each(self, task: Task, args: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """What comes back in whatever order, in the order of the parts."""
        running = [
            self.client.submit(_done, part, task, own, pure=False, retries=RETRIES)
            for part, own in zip(self.parts, args, strict=True)
        ]
        try:
            if self.patience is not None:
                sys.modules["distributed"].wait(running, timeout=self.patience)
            found: list[Any] = self.client.gather(running)
        except BaseException:
            with suppress(Exception):  # where the scheduler is gone, so is what it was to cancel
                self.client.cancel(running)
            raise
        return found


def _done(part: Part, task: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return task(part, *args)


def planned(X: Any, method: Callable[[Any], Any], names: Sequence[str], kind: type) -> Any:
    """What `method` says of each row, (n,) or (n, k), as a collection of the same chunks.

    Parameters
    ----------
    names : of the columns of the answer; one of a number to each row.
    kind : of its numbers.
    """
    k = len(names)
    if not hasattr(X, "map_blocks"):
        pandas = extra("pandas", "dataframe", "frames of Dask")
        none = pandas.DataFrame({name: pandas.Series(dtype=kind) for name in names})
        meta = none if k > 1 else none[names[0]]
        return X.map_partitions(_asked, method, meta, meta=meta)
    if X.ndim > 1 and X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    chunks = (X.chunks[0], (k,)) if k > 1 else (X.chunks[0],)
    alike = {"drop_axis": 1} if X.ndim > k else {"new_axis": 1} if X.ndim < min(k, 2) else {}
    empty: Any = np.zeros((0, k) if k > 1 else 0, dtype=kind)
    return X.map_blocks(_asked, method, empty, dtype=kind, chunks=chunks, meta=empty, **alike)


def _asked(some: Any, method: Callable[[Any], Any], empty: Any) -> Any:
    return method(some) if len(some) else empty
