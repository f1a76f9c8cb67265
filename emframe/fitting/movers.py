"""How the parameters of emframe's models are read as vectors, and which method moves them.

The core knows neither spaces nor families; this is where it learns of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.core import EM, Contract, Coordinates, Method, QuasiNewton
from emframe.host import acceleration
from emframe.parameters import from_vector, slopes, to_vector, valid
from emframe.spaces import Array


def method_for(accelerate: Any, contract: Contract) -> Method:
    """The method that ``accelerate=`` names, for a model that promises this of its M-step.

    True means accelerated EM wherever single steps have to ascend, plain EM elsewhere; False is
    plain EM; a name is looked up among the accelerations of the installed plugins; and anything
    else is called with `COORDINATES` and makes a `Method`.

    Raises ValueError for a name that is not known, or where the model's steps ascend only on
    average; TypeError for what makes no method.
    """
    if isinstance(accelerate, (bool, np.bool_)):
        return QuasiNewton(COORDINATES) if accelerate and contract.ascends else EM()
    if not contract.ascends:
        raise ValueError(
            f"`accelerate` is {accelerate!r}, but the steps of this model ascend on average only; "
            "pass accelerate=False."
        )
    factory = accelerate
    if isinstance(accelerate, str):
        try:
            factory = acceleration(accelerate)
        except ValueError as error:
            raise ValueError(f"`accelerate` is {accelerate!r}: {error}") from None
    if not callable(factory):
        raise TypeError(
            f"`accelerate` is {accelerate!r}; pass True, False, a name, or a callable that takes "
            "Coordinates and makes a Method."
        )
    method: Method = factory(COORDINATES)
    lacks = [verb for verb in ("start", "advance") if not callable(getattr(method, verb, None))]
    if lacks:
        raise TypeError(
            f"`accelerate` made {method!r}, which is no Method: it has no {' and no '.join(lacks)}."
        )
    return method


def gradient(q: Any) -> Array:
    """Gradient of ``q.value`` at ``q.at``: the model's own, or else by differences of its value."""
    if hasattr(q, "gradient"):
        return np.asarray(q.gradient())
    return slopes(lambda params: float(q.value(params)), q.at)


def point(like: Any, vector: Array) -> Any:
    """Parameters at these coordinates; None where rounding puts them outside their spaces."""
    params = from_vector(like, vector)
    return params if valid(params) else None


COORDINATES = Coordinates(to_vector, point, gradient)
"""Those that the parameters' spaces declare."""
