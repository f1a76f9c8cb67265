"""Normal rows with missing values under their old name: a mixture of ``gaussian, missing=True``.

    emframe.model("incomplete-gaussian", n_components=2)
    emframe.Mixture("gaussian", 2, missing=True)

One known case: with K = 1 and no gaps its first step is the sample mean and covariance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emframe import Array
from emframe.latents import OneHot
from emframe.models import ComponentModel, ComponentPrior, Covered
from emframe_families.gaussian.gaps import GaussianWithGaps


@dataclass(frozen=True)
class IncompleteGaussian(ComponentModel):
    """Normal rows, or a mixture of them, of which any entries may be missing (nan).

    Parameters
    ----------
    n_components : K.
    covariance : as for the Gaussian family.
    """

    n_components: int = 1
    covariance: str = "full"
    held: Any = field(default=None, repr=False)  # the family, where parameters of it are held
    pseudo: ComponentPrior | None = field(default=None, repr=False, compare=False)
    covered: Covered | None = field(default=None, repr=False, compare=False)

    name = "incomplete-gaussian"

    def __post_init__(self) -> None:
        GaussianWithGaps(self.covariance)
        if self.n_components < 1:
            raise ValueError(f"`n_components` is {self.n_components}; pass 1 or more.")

    @property
    def family(self) -> Any:  # type: ignore[override]
        """The family of its rows."""
        return self.held or GaussianWithGaps(self.covariance)

    @property
    def latent(self) -> OneHot:
        return OneHot(self.n_components)

    def _with(self, **changes: Any) -> Any:
        if "family" in changes:
            changes["held"] = changes.pop("family")
        return super()._with(**changes)

    def build(self, values: Mapping[str, Any]) -> Any:
        """Parameters from ``{"weights": ..., "means": ..., "covariances": ...}``."""
        return super().build(
            {"weights": np.ones(1), **values} if self.n_components == 1 else values
        )

    def impute(self, params: Any, X: Any) -> Array:
        """E[x | what is seen of x], (n, d): the rows with the mean of what is missing."""
        names = tuple(f"x{j}" for j in range(params.components.means.shape[1]))
        x = self.rows(X, columns=names).x
        return self.imputed(params, x)

    @property
    def options(self) -> dict[str, Any]:
        """The settings, from which ``emframe.model(name, **options)`` makes the model again."""
        return {"n_components": self.n_components, "covariance": self.covariance}

    def describe(self) -> dict[str, Any]:
        return {"model": self.name, "options": self.options}

    def title(self) -> str:
        """For example ``incomplete-gaussian, n_components=1, covariance=full``."""
        return ", ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])
