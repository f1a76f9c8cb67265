"""What decides how a fit goes, in a few words: equal where two fits would be the same, bit for bit.

What is long, as data are, is told by a digest; what has no words, as a function, by its name alone.

One known case: an array and its copy have the same fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from emframe.data import MOST_AT_ONCE
from emframe.files.saving import number_out
from emframe.models import Model


def settings(model: Model, rows: Any, state: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """All that decides how a fit goes, as JSON; of what is long, a digest.

    Parameters
    ----------
    state : of the bit generator, before it was used.
    others : further settings.  A function is told by its name alone.
    """
    from emframe import __version__

    try:
        description = json.loads(json.dumps(model.describe()))
    except (TypeError, ValueError):  # a part of it has no name to be found by again
        description = model.title()
    blocks = [fingerprint(block) for block in rows.blocks(MOST_AT_ONCE)]
    return {
        "version": __version__,
        "model": description,
        "data": _digest(json.dumps([list(rows.columns), blocks]).encode()),
        "generator": _plain(state),
        **{name: fingerprint(value) for name, value in others.items()},
    }


def fingerprint(value: Any) -> Any:
    """A value as short JSON, equal in another process where the value is."""
    if isinstance(value, np.ndarray):
        whole = np.ascontiguousarray(value)
        return [str(value.dtype), list(value.shape), _digest(whole.tobytes())]
    if isinstance(value, np.generic):
        return fingerprint(value.item())
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return number_out(value)
    if isinstance(value, (list, tuple)):
        return [fingerprint(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): fingerprint(one) for key, one in value.items()}
    kind = value if hasattr(value, "__qualname__") else type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if is_dataclass(value) and not isinstance(value, type):
        return [name, {one.name: fingerprint(getattr(value, one.name)) for one in fields(value)}]
    return name


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _plain(state: Any) -> Any:
    """The state of a bit generator as JSON."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
