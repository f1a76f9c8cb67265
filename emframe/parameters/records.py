"""Parameter dataclasses made from a table of fields, for families put together at run time.

    Rates = record("Rates", {"rate": Declared(Positive())})

The same table always gives the same class, and what is pickled is the table, so parameters travel
to other processes although no module has the class.

One known case: ``record("Rates", {"rate": Declared(Positive())})`` is the class that one would
write with ``rate: Array = parameter(Positive())``.
"""

from __future__ import annotations

import copyreg
import dataclasses
import keyword
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from emframe.parameters import KEY, Declared
from emframe.parameters.packing import packing
from emframe.spaces import Space

Fields = tuple[tuple[str, Any], ...]


def record(name: str, fields: Mapping[str, Any], *bases: type) -> type:
    """The frozen dataclass with these fields: each a `Declared`, or a parameter class to nest.

    bases : classes of a module, for what is worked out from the fields.
    """
    return _made(name, tuple(fields.items()), bases)


def as_declared(name: str, given: Any) -> Declared:
    """What a field declares, from a space or from ``emframe.parameter(...)``.

    Raises TypeError for anything else.
    """
    if isinstance(given, Space):
        return Declared(given)
    if isinstance(given, dataclasses.Field) and KEY in given.metadata:
        declared: Declared = given.metadata[KEY]
        return declared
    raise TypeError(
        f"`params[{name!r}]` is {given!r}; pass a space, such as emframe.Positive(), or "
        "emframe.parameter(space, shape)."
    )


class _Kind(type):
    """The class of classes made here, which are pickled as the tables that they were made from."""

    _made_from: tuple[str, Fields, tuple[type, ...]]


class _Record(metaclass=_Kind):
    """The base of all of them."""


def identifier(text: str) -> str:
    """The name of a field for what a user calls `text`: a word of letters, digits and ``_``."""
    plain = unicodedata.normalize("NFKC", text)  # as Python reads names
    label = "".join(c if c.isalnum() and f"a{c}".isidentifier() else "_" for c in plain)
    is_free = label.isidentifier() and not label.startswith("_") and not keyword.iskeyword(label)
    return label if is_free else f"c_{label}"


@cache
def _made(name: str, fields: Fields, bases: tuple[type, ...] = ()) -> type:
    columns: list[Any] = [
        (key, Any, dataclasses.field(metadata={KEY: what}))
        if isinstance(what, Declared)
        else (key, what)
        for key, what in fields
    ]
    held = {"_made_from": (name, fields, bases)}
    bases = (*bases, _Record)
    made = dataclasses.make_dataclass(name, columns, bases=bases, frozen=True, namespace=held)
    made.__module__ = __name__
    return packing(made)


def _told(kind: _Kind) -> Any:
    if "_made_from" not in vars(kind):  # the base, which a module has
        return kind.__qualname__
    return _made, kind._made_from


copyreg.pickle(_Kind, _told)
