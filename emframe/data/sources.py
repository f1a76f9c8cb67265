"""Data that lie in parts, and data of other systems that can be taken for such.

One known case: an array lies in no parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emframe.data.elsewhere import is_task, refuse_elsewhere
from emframe.data.frames import refuse_other_index
from emframe.data.gate import Table
from emframe.data.labelled import Labelled
from emframe.data.parts import Own, Parts
from emframe.data.placed import PlacedRows, placed
from emframe.engines.device import WHY, Device, device_of


def in_parts(X: Any) -> Parts | None:
    """The parts that X lies in, `Parts` or a collection of Dask; None for anything else."""
    if isinstance(X, Parts):
        return X
    if not _is_dask(X):
        return None
    from emframe.data.dask import parts_of  # not with emframe: an extra

    return parts_of(X)


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
