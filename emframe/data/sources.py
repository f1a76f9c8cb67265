"""Data that lie in parts, and data of other systems that can be taken for such.

Systems that emframe does not know come from plugins, which the host is asked for.

One known case: an array lies in no parts.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from emframe.data.blocks import Blocks
from emframe.data.elsewhere import is_task, refuse_elsewhere
from emframe.data.frames import is_frame, refuse_other_index
from emframe.data.gate import Table
from emframe.data.labelled import Labelled
from emframe.data.parts import Own, Parts
from emframe.data.placed import PlacedRows, placed
from emframe.data.runs import Sequences
from emframe.engines.device import WHY, Device, device_of

_OTHERS: list[Callable[[], Mapping[str, Any]]] = []  # the host's, once it is there
_MADE: dict[int, tuple[Any, Parts]] = {}  # of data that are no `Parts`, for as long as they are


def ask_for_sources(sources: Callable[[], Mapping[str, Any]]) -> None:
    """Whom to ask for sources of other systems, by name; each has ``factory(X)``."""
    _OTHERS[:] = [sources]


def in_parts(X: Any) -> Parts | None:
    """The parts that X lies in: `Parts`, a collection of Dask, or data that a plugin knows.

    None for anything else.  They are made once, and kept for as long as the data are.
    """
    if isinstance(X, Parts):
        return X
    if isinstance(X, (np.ndarray, list, tuple, Table, Labelled, str)) or X is None:
        return None
    known = _MADE.get(id(X))
    if known is not None and known[0]() is X:
        return known[1]
    made = _of_dask(X) if _is_dask(X) else _of_others(X)
    if made is not None:
        key = id(X)
        _MADE[key] = weakref.ref(X, lambda _: _MADE.pop(key, None)), made
    return made


def _of_dask(X: Any) -> Parts:
    from emframe.data.dask import places_of  # not with emframe: an extra

    return _cut(Parts(places_of(X)))


def _of_others(X: Any) -> Parts | None:
    """The parts that a plugin finds in X.

    Raises TypeError, naming the plugin's source, for an answer that is none.
    """
    if is_frame(X) or isinstance(X, (Blocks, Sequences)) or not hasattr(type(X), "__weakref__"):
        return None
    for name, source in _OTHERS[0]().items() if _OTHERS else ():
        found = source.factory(X)
        if isinstance(found, Parts):
            return found
        if found is not None:
            try:
                return _cut(Parts(found))
            except (TypeError, ValueError) as error:
                raise TypeError(f"the source {name!r} made no parts of `X`: {error}") from error
    return None


def _cut(parts: Parts) -> Parts:
    """Parts that were cut without regard to runs of rows."""
    parts.cut_anywhere = True
    return parts


def _is_dask(X: Any) -> bool:
    """Whether X is an array or a frame of Dask."""
    return is_task(X) and hasattr(X, "to_delayed")


def planned(X: Any, method: Callable[[Any], Any], names: Sequence[str], kind: type) -> Any:
    """What `method` says of each row, worked out when it is asked for; None but for Dask's X."""
    if not _is_dask(X):
        return None
    from emframe.data.dask import planned as made  # not with emframe: an extra

    return made(X, method, names, kind)


def from_device(X: Any) -> tuple[Any, Device | None]:
    """Rows on a device as those of this machine, and the device; anything else as it is, and None.

    Raises TypeError for rows in less than float64.
    """
    known = X if isinstance(X, Labelled) else None
    given = X if known is None else known.X
    device = device_of(given)
    if device is None:
        return X, None
    kind = str(given.dtype)
    if "float" in kind and "float64" not in kind:
        raise TypeError(f"`X` is of {kind} on a device; pass it in float64: {WHY}.")
    rows = device.back(given)
    return (rows if known is None else Labelled(rows, known.labels)), device


def brought_in(X: Any, weights: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Data, weights and labels of a fit as they are; a collection of Dask as `Parts`, made once.

    Names, in the place of weights and labels of what lies in parts, are those of their columns.

    Raises TypeError for other data that are not in memory.
    """
    known = X if isinstance(X, Labelled) else None
    given = X if known is None else known.X
    parts = in_parts(given)
    if parts is None:
        refuse_elsewhere(given, "X")
        return X, weights, labels
    weights = Own(weights) if isinstance(weights, str) else weights
    X = parts if known is None else Labelled(parts, known.labels)
    return X, weights, None if labels is None else _own(labels)


def _own(labels: Any) -> Own:
    """Labels that lie with the parts: True, or the name of a column that holds them."""
    if labels is True or isinstance(labels, (str, Own)):
        return labels if isinstance(labels, Own) else Own(None if labels is True else labels)
    raise TypeError(
        "`labels` of rows in parts lie with their part: pass emframe.Parts(parts, labels=[...]) "
        "with labels=True, or the name of a column that holds them."
    )


def frequencies(X: Any, weights: Any) -> Any:
    """The weights that were given, or else those that a `Table`, or parts, bring along.

    Raises ValueError for a series of another index than that of the rows, and TypeError for data
    that are not in memory.
    """
    X = X.X if isinstance(X, Labelled) else X
    parts = in_parts(X)
    if parts is not None:
        return parts.frequencies(weights)
    refuse_elsewhere(X, "X")
    refuse_elsewhere(weights, "weights")
    refuse_other_index(weights, X, "weights")
    return X.weights if weights is None and isinstance(X, Table) else weights


def placed_rows(read: Callable[..., Any], X: Any, weights: Any) -> PlacedRows | None:
    """The rows of X, `Labelled` or not, where it lies in parts; None where it does not.

    Parameters
    ----------
    read : ``read(data, weights)`` makes the rows of one part.

    Raises TypeError for labels that do not lie with their part.
    """
    known = X if isinstance(X, Labelled) else None
    parts = in_parts(X if known is None else known.X)
    if parts is None:
        return None
    return placed(read, parts, weights, None if known is None else _own(known.labels))
