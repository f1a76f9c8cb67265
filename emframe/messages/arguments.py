"""What users pass besides data, checked in one line where it comes in.

A message gives the argument, the value, and what to pass; a value of the wrong type is a TypeError,
one out of range a ValueError.  True and False are no numbers here.

One known case: ``whole("n", 2.5, 1)`` raises "`n` is 2.5; pass a whole number, 1 or above."
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

Rng = int | np.random.Generator | np.random.SeedSequence | None


def whole(name: str, value: Any, least: int, other: str = "") -> int:
    """`value` as an int of at least `least`; `other` says what else the argument may be."""
    expected = f"pass a whole number, {least} or above{other}."
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` is {value!r}; {expected}")
    if value < least:
        raise ValueError(f"`{name}` is {value}; {expected}")
    return int(value)


def real(name: str, value: Any, what: str, fits: Callable[[float], bool]) -> float:
    """`value` as a float that `fits`; `what` says in words which do."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` is {value!r}; pass {what}.")
    number = float(value)
    if math.isnan(number) or not fits(number):
        raise ValueError(f"`{name}` is {value}; pass {what}.")
    return number


def generator_from(rng: Any, name: str = "rng") -> np.random.Generator:
    """The generator that `rng` names, as numpy reads it; numpy's global state is not touched."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        told = (
            f"`{name}` is {rng!r}; pass an int of 0 or above, a Generator, a SeedSequence or None."
        )
        raise type(error)(told) from error


def callables(name: str, values: Any, what: str) -> list[Callable[..., Any]]:
    """`values` as a list of things to call; `what` says which."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` is {values!r}; pass a list of {what}.")
    found = list(values)
    for index, one in enumerate(found):
        if not callable(one):
            raise TypeError(f"`{name}[{index}]` is {one!r}; pass {what}.")
    return found


def file(name: str, path: Any) -> Path:
    """`path` as the path of a file."""
    if not isinstance(path, (str, PathLike)) or isinstance(path, bytes):
        raise TypeError(f"`{name}` is {path!r}; pass the path of a file.")
    if not str(path):
        raise ValueError(f"`{name}` is ''; pass the path of a file.")
    return Path(path)
