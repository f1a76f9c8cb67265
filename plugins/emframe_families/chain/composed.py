"""Any law of z times any family, by their names: what a plugin's latent is used through.

    emframe.model("composed", latent="chain", family="poisson", n=2)

One known case: with the latent "one-hot" it is the mixture of the family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emframe import Family, Mixture
from emframe.host import latent as named_latent
from emframe.host import name_of
from emframe.host.recipes import describe
from emframe.latents import Latent
from emframe.models import ComponentModel, ComponentPrior, Covered, composed


@dataclass(frozen=True, init=False)
class Composed(ComponentModel):
    """A law of z, which a plugin may bring, times a family.

    Parameters
    ----------
    latent : name of a plugin's law of z.
    family : name of a plugin, a `Family`, a model, or a list of them, as for `emframe.Mixture`.
    n : K, how many components z chooses from; for a list of families a list of group sizes.
    law : settings of the latent, by name.
    **settings : of the family, when it is given by name.
    """

    law: Latent
    family: Family
    settings: tuple[tuple[str, Any], ...] = ()  # of the latent
    pseudo: ComponentPrior | None = field(default=None, repr=False, compare=False)
    covered: Covered | None = field(default=None, repr=False, compare=False)

    name = "composed"

    def __init__(
        self,
        latent: str,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n: int | Sequence[int] | None = None,
        law: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        resolved, k = composed(family, n, settings, "n")
        options = dict(law or {})
        made = named_latent(latent, k, **options)
        if not isinstance(made, Latent) or made.n != k:
            raise TypeError(
                f"the plugin that brings {latent!r} made {made!r}; expected an emframe.latents."
                f"Latent among {k} components."
            )
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "law", made)
        object.__setattr__(self, "settings", (("latent", latent), *options.items()))

    @property
    def latent(self) -> Latent:
        return self.law

    @property
    def options(self) -> dict[str, Any]:
        """The settings, from which ``emframe.model(name, **options)`` makes the model again."""
        (_, latent), *law = self.settings
        family = name_of(self.family)
        own = {} if self.family.maker else family["options"]
        return {
            "latent": latent,
            "family": family["name"],
            "n": self.law.n,
            "law": dict(law),
            **own,
        }

    def ingredients(self) -> dict[str, Any]:
        (_, latent), *law = self.settings
        return {"latent": latent, "family": self.family, "n": self.law.n, "law": dict(law)}

    def describe(self) -> dict[str, Any]:
        options = self.options
        if self.family.maker:
            options["family"] = describe(self.family)
        return {"model": self.name, "options": options}

    def title(self) -> str:
        """For example ``chain of poisson, K = 2``."""
        return f"{self.settings[0][1]} of {self.family.name}, K = {self.law.n}"
