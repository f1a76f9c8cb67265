"""What is installed here, by name: read once, when it is first asked for.

One known case: ``family("poisson")`` is what the factory of that entry makes.
"""

from __future__ import annotations

import dataclasses
import difflib
import threading
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from emframe.core import Coordinates, Method
from emframe.data.sources import ask_for_sources
from emframe.families.base import Family
from emframe.host.hooks import (
    GROUP,
    AccelerationEntry,
    FamilyEntry,
    LatentEntry,
    ModelEntry,
    SourceEntry,
    settings_of,
)
from emframe.host.loading import PluginReport, PluginWarning, Registry, load
from emframe.host.ways import ways
from emframe.messages.words import meant

CLOSE = 0.7  # how alike a name has to be to be meant, of 1


class _Installed:
    """The registry of this process, read on first use."""

    def __init__(self) -> None:
        self._registry: Registry | None = None
        self._lock = threading.RLock()
        self._is_reading = False

    def read(self, *, again: bool) -> Registry:
        with self._lock:
            if self._registry is not None and not again:
                return self._registry
            if self._is_reading:
                raise RuntimeError(
                    "a plugin asked for the installed families while it was itself being loaded; "
                    "let it ask inside a function"
                )
            self._is_reading = True
            try:
                found = self._registry = load(metadata.entry_points(group=GROUP))
            finally:
                self._is_reading = False
        for report in found.plugins:
            if report.error:
                warnings.warn(f"plugin {report}: {report.error}", PluginWarning, stacklevel=4)
        return found


_installed = _Installed()


def registry(*, reload: bool = False) -> Registry:
    """What is installed.  Read once per process; ``reload=True`` reads it again.

    Warns with `PluginWarning`, once, of each plugin that has an error.
    """
    return _installed.read(again=reload)


def families() -> dict[str, FamilyEntry]:
    """The families of all installed plugins, by name.

    Examples
    --------
    >>> "gaussian" in emframe.families()
    True
    """
    return dict(registry().families)


def models() -> dict[str, ModelEntry]:
    """The latent models of all installed plugins, by name."""
    return dict(registry().models)


def accelerations() -> dict[str, AccelerationEntry]:
    """The accelerations of all installed plugins, by name."""
    return dict(registry().accelerations)


def latents() -> dict[str, LatentEntry]:
    """The laws of z of all installed plugins, by name."""
    return dict(registry().latents)


def sources() -> dict[str, SourceEntry]:
    """The systems of all installed plugins whose data lie in parts, by name."""
    return dict(registry().sources)


ask_for_sources(sources)  # data lie below the host, and may be another system's


def latent(name: str, n: int, **options: Any) -> Any:
    """Make the law of z of that name, among n components, with the given settings.

    Raises ValueError and TypeError as `family` does.
    """
    return _make("latent", name, registry().latents, {"n": n, **options})


def plugins() -> tuple[PluginReport, ...]:
    """A report on each installed plugin, broken ones included.

    Examples
    --------
    >>> any("gaussian" in one.families for one in emframe.plugins())
    True
    """
    return registry().plugins


def family(name: str, **options: Any) -> Family:
    """Make the family of that name with the given settings.

    Raises
    ------
    ValueError : for an unknown name, with the known ones, near misses, and broken plugins that
        might have brought it.
    TypeError : for a setting the family does not have, or needs and was not given; and where a
        plugin's factory makes something else than a `Family`.

    Examples
    --------
    >>> emframe.family("gaussian", covariance="diag").covariance
    'diag'
    """
    known = registry().families
    gaps = options.get("missing")
    if gaps is not None and name in known and not known[name].takes("missing"):
        # Any family takes gaps that can leave out the terms of what is not there.
        if gaps not in (True, False):
            raise TypeError(f"`missing` is {gaps!r}; pass True or False.")
        rest = {key: value for key, value in options.items() if key != "missing"}
        made = family(name, **rest)
        return made.with_gaps() if gaps else made
    made = _make("family", name, known, options)
    if not isinstance(made, Family):
        raise TypeError(f"the plugin that brings {name!r} made {made!r}, which is no Family.")
    return _named(made, name)


def family_of(given: Any, options: Mapping[str, Any]) -> Any:
    """The family of a name and its settings; what is no name as it is.

    ``missing=True`` asks an object for rows with gaps, as it does a name; other settings go with
    a name alone, and raise TypeError beside an object.
    """
    if isinstance(given, str):
        return family(given, **options)
    rest = {key: value for key, value in options.items() if key != "missing"}
    if rest:
        raise TypeError(
            f"options {', '.join(rest)} go with a family's name; this one is an object already."
        )
    gaps = options.get("missing", False)
    if gaps not in (True, False):
        raise TypeError(f"`missing` is {gaps!r}; pass True or False.")
    return given.with_gaps() if gaps and isinstance(given, Family) else given


def _named(made: Family, name: str) -> Family:
    """A family that was put together, such as from a log density, goes by its plugin's name.

    A saved fit then finds it by that name, and need not be told what it was put together from.
    """
    if made.maker and "name" in {field.name for field in dataclasses.fields(made)}:  # type: ignore[arg-type]
        return dataclasses.replace(made, name=name)  # type: ignore[type-var]
    return made


def model(name: str, **options: Any) -> Any:
    """Make the latent model of that name with the given settings, for `emframe.fit`.

    Raises ValueError and TypeError as `family` does.

    Examples
    --------
    >>> emframe.model("hidden-markov", family="poisson", n_states=2).n_states
    2
    """
    made = _make("model", name, registry().models, options)
    lacks = [verb for verb in ("rows", "expect", "starts") if not hasattr(made, verb)]
    if lacks:
        raise TypeError(
            f"the plugin that brings {name!r} made {made!r}, which is no model: it has no "
            f"{', '.join(lacks)}."
        )
    return made


def _make(
    kind: str,
    name: str,
    known: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """What the factory of that name makes of the options."""
    if name not in known:
        raise ValueError(_unknown(kind, name, known))
    factory = known[name].factory
    settings = settings_of(factory)
    try:
        settings.bind(**options)
    except TypeError as error:
        bare = (one.replace(annotation=one.empty) for one in settings.parameters.values())
        takes = ", ".join(map(str, bare)) or "none"
        unknown = [one for one in options if one not in settings.parameters]
        more = meant(unknown[0], [*settings.parameters, "n_components"]) if unknown else ""
        told = f"the {kind} {name!r}: {error}; its settings: {takes}. {more}".rstrip()
        raise TypeError(told) from None
    return factory(**options)


def acceleration(name: str) -> Callable[[Coordinates], Method]:
    """What makes the acceleration of that name; see `emframe.fit`.

    Raises ValueError for an unknown name, as `family` does.
    """
    known = registry().accelerations
    if name not in known:
        raise ValueError(_unknown("acceleration", name, known))
    return known[name].factory


def _unknown(kind: str, name: str, known: Mapping[str, Any]) -> str:
    text = f"no {kind} is called {name!r}."
    found = registry()
    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=CLOSE)
    told = list(ways(kind, name, found.families, found.models))
    if near and not told:
        told = [f"Did you mean {' or '.join(map(repr, near))}?"]
    text += "".join(f" {one}" for one in told)
    text += f" These are known: {', '.join(sorted(known)) or 'none'}."
    broken = [f"{report}: {report.error}" for report in found.plugins if report.error]
    if broken:
        text += f" Some plugins could not be used: {'; '.join(broken)}."
    return text


def name_of(family: Any) -> dict[str, Any]:
    """``{"name": ..., "options": ...}`` from which `family` makes an equal one."""
    return {"name": family.name or type(family).__name__, "options": family.ingredients()}
