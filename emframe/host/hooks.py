"""What a plugin may implement, and the entries that its hooks return.

One known case: a plugin that brings one family returns one entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pluggy

from emframe.core import Coordinates, Method
from emframe.families.base import Family

GROUP = "emframe"  # of entry points
API = 1

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


def settings_of(factory: Any) -> inspect.Signature:
    """What a factory takes; also a class that, as it is made, chooses among others."""
    whole = inspect.signature(factory)
    if isinstance(factory, type) and "__new__" in vars(factory):
        own = inspect.signature(vars(factory)["__init__"])
        return own.replace(parameters=list(own.parameters.values())[1:])
    return whole


@dataclass(frozen=True)
class FamilyEntry:
    """A family as its plugin announces it.

    Examples
    --------
    >>> emframe.FamilyEntry("mine", lambda: emframe.Point(0.0), "Zeros").name
    'mine'
    """

    name: str
    factory: Callable[..., Family]  # factory(**options)
    summary: str
    reference: str = ""
    api: int = API
    # What it is called elsewhere: (where, name), such as ("scipy", "nbinom"); ("also", "negbin").
    synonyms: tuple[tuple[str, str], ...] = ()

    def takes(self, option: str) -> bool:
        """Whether the factory has a setting of this name."""
        return option in settings_of(self.factory).parameters


@dataclass(frozen=True)
class ModelEntry:
    """A whole latent-variable model as its plugin announces it.

    Examples
    --------
    >>> emframe.ModelEntry("mine", lambda: None, "A model").name
    'mine'
    """

    name: str
    factory: Callable[..., Any]  # factory(**options) -> Model
    summary: str
    reference: str = ""
    api: int = API
    size: str = ""  # the setting that says how large it is, such as "n_states"; none if empty

    def takes(self, option: str) -> bool:
        """Whether the factory has a setting of this name."""
        return option in settings_of(self.factory).parameters


@dataclass(frozen=True)
class AccelerationEntry:
    """A way to move from one Q to the next, as its plugin announces it.

    Examples
    --------
    >>> emframe.AccelerationEntry("mine", lambda coordinates: None, "Small steps").name
    'mine'
    """

    name: str
    factory: Callable[[Coordinates], Method]
    summary: str
    reference: str = ""
    api: int = API


@dataclass(frozen=True)
class LatentEntry:
    """A law of z, of which component a row is, as its plugin announces it.

    Examples
    --------
    >>> emframe.LatentEntry("mine", lambda n: None, "A law of z").name
    'mine'
    """

    name: str
    factory: Callable[..., Any]  # factory(n, **options) -> emframe.latents.Latent
    summary: str
    reference: str = ""
    api: int = API


@dataclass(frozen=True)
class SourceEntry:
    """A system whose data are rows in parts, as its plugin announces it.

    Examples
    --------
    >>> emframe.SourceEntry("mine", lambda X: None, "Data of a system of my own").name
    'mine'
    """

    name: str
    factory: Callable[[Any], Any]  # factory(X) -> `Parts`, or what it takes; None: not its data
    summary: str
    reference: str = ""
    api: int = API


Entry = TypeVar("Entry", FamilyEntry, ModelEntry, AccelerationEntry, LatentEntry, SourceEntry)


class Hooks:
    """The hook specifications: all that a plugin may implement."""

    @hookspec
    def emframe_families(self) -> Iterable[FamilyEntry]:  # type: ignore[empty-body]
        """Return the families that this plugin brings."""

    @hookspec
    def emframe_models(self) -> Iterable[ModelEntry]:  # type: ignore[empty-body]
        """Return the latent models, other than mixtures of a family, that this plugin brings."""

    @hookspec
    def emframe_accelerations(self) -> Iterable[AccelerationEntry]:  # type: ignore[empty-body]
        """Return the accelerations that this plugin brings, for ``fit(accelerate=NAME)``."""

    @hookspec
    def emframe_latents(self) -> Iterable[LatentEntry]:  # type: ignore[empty-body]
        """Return the laws of z that this plugin brings, for ``emframe.model("composed", ...)``."""

    @hookspec
    def emframe_sources(self) -> Iterable[SourceEntry]:  # type: ignore[empty-body]
        """Return the systems whose data this plugin lets `emframe.fit` take for its X."""
