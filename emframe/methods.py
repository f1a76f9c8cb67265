"""How the parameters of emframe's models are read as vectors, and which method moves them.

The core knows neither spaces nor families; this is where it learns of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.core import EM, Contract, Coordinates, Method, QuasiNewton
from emframe.parameters import from_vector, to_vector, valid
from emframe.spaces import Array, slopes


def method_for(accelerate: bool, contract: Contract) -> Method:
    """Accelerated EM where it is wanted and single steps have to ascend; plain EM elsewhere."""
    return QuasiNewton(COORDINATES) if accelerate and contract.ascends else EM()


def gradient(q: Any) -> Array:
    """Gradient of ``q.value`` at ``q.at``: the model's own, or else by differences of its value."""
    if hasattr(q, "gradient"):
        return np.asarray(q.gradient())
    return slopes(lambda vector: float(q.value(from_vector(q.at, vector))), to_vector(q.at))


def point(like: Any, vector: Array) -> Any:
    """Parameters at these coordinates; None where rounding puts them outside their spaces."""
    params = from_vector(like, vector)
    return params if valid(params) else None


COORDINATES = Coordinates(to_vector, point, gradient)
"""Those that the parameters' spaces declare."""
