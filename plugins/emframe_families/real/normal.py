"""The normal density of one column: the Gaussian family by the name that it has there.

    log f(x | mu, sigma) = -1/2 [ log(2 pi) + 2 log sigma + ((x - mu) / sigma)^2 ]

One known case: ``Mixture("normal", 2)`` is ``Mixture("gaussian", 2)`` on one column.
"""

from __future__ import annotations

from dataclasses import dataclass

from emframe_families.gaussian.family import Gaussian


@dataclass(frozen=True)
class Normal(Gaussian):
    """One normal column.

    Parameters
    ----------
    covariance : "V" for a variance of each component's own, "E" for one that all share.
    """

    covariance: str = "V"

    name = "normal"
    width = 1

    def __post_init__(self) -> None:
        if self.covariance not in ("V", "E"):
            raise ValueError(
                f"`covariance` is {self.covariance!r}; pass 'V' for a variance of each component's "
                "own, or 'E' for one of all. For more columns take the family 'gaussian'."
            )
        super().__post_init__()
