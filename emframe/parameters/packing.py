"""Arrays that parameters store by fewer numbers than they tell: diagonals of diagonal matrices.

    @packing
    @dataclass(frozen=True)
    class Widths:
        covariances: Array = parameter(PositiveDefinite("diagonal"), shape=("d", "d"))

Whoever asks for ``covariances`` is told matrices (K, d, d), made for the occasion; what a fit does
at each step sees the numbers that are stored, (K, d), which are taken where the matrices are.

One known case: ``Widths(np.eye(2)[None])`` stores (1, 2) ones and tells the identity.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from emframe.parameters.declared import declarations

T = TypeVar("T", bound=type)


class Packed:
    """A field that is stored by fewer numbers where its space knows how."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, params: Any, kind: Any = None) -> Any:
        if params is None:
            return self
        own: Any = type(params)
        declared = declarations(own)[self.name]
        found = _stored(params, self.name)
        return declared.space.told(found) if declared.is_packed(found) else found

    def __set__(self, params: Any, value: Any) -> None:
        own: Any = type(params)
        declared = declarations(own)[self.name]
        if (
            declared.space.packed is not None
            and type(value) is np.ndarray
            and value.dtype == float
            and value.ndim == len(declared.axes())
        ):
            packed = declared.space.pack(value)
            value = value if packed is None else packed
        params.__dict__[self.name] = value


def _stored(params: Any, name: str) -> Any:
    """What is stored, or AttributeError where nothing is as yet."""
    try:
        return params.__dict__[name]
    except KeyError:
        raise AttributeError(f"{type(params).__name__} has no {name!r} yet") from None


def packing(kind: T) -> T:
    """A parameter class whose fields are stored by as few numbers as their spaces know of."""
    for name, declared in declarations(kind).items():
        if declared.space.packed is not None:
            setattr(kind, name, Packed(name))
    return kind
