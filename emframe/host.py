"""The plugin host: families and models come from other distributions, through pluggy.

A plugin is a module or object named in the entry-point group ``emframe`` that implements a hook:

    from emframe import FamilyEntry, hookimpl

    @hookimpl
    def emframe_families():
        return [FamilyEntry("rayleigh", Rayleigh, "Rayleigh densities", "Rayleigh (1880)")]

Plugins load when they are first asked for, one by one.  One that fails is warned of once, listed
with its error, and harms no other.  The host knows no plugin by name, the built-in ones included.
"""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

import pluggy

GROUP = "emframe"
API = 1

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class FamilyEntry:
    """A family as its plugin announces it."""

    name: str
    factory: Callable[..., Any]  # factory(**options) -> Family
    summary: str
    reference: str = ""
    api: int = API


@dataclass(frozen=True)
class ModelEntry:
    """A whole latent-variable model as its plugin announces it."""

    name: str
    factory: Callable[..., Any]  # factory(**options) -> Model
    summary: str
    reference: str = ""
    api: int = API


Entry = TypeVar("Entry", FamilyEntry, ModelEntry)


class Hooks:
    """The hook specifications: all that a plugin may implement."""

    @hookspec
    def emframe_families(self) -> Iterable[FamilyEntry]:  # type: ignore[empty-body]
        """Return the families that this plugin brings."""

    @hookspec
    def emframe_models(self) -> Iterable[ModelEntry]:  # type: ignore[empty-body]
        """Return the latent models, other than mixtures of a family, that this plugin brings."""


@dataclass(frozen=True)
class PluginReport:
    """One entry point: what it brought, or why it could not."""

    name: str  # of the entry point
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    error: str = ""


class PluginWarning(UserWarning):
    """An installed plugin could not be used; everything else works."""


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins bring, and a report on each."""

    families: Mapping[str, FamilyEntry]
    models: Mapping[str, ModelEntry]
    plugins: tuple[PluginReport, ...]


def load(entry_points: Iterable[metadata.EntryPoint]) -> Registry:
    """Load plugins one by one; a broken one is reported and passed over.

    A name that two plugins claim belongs to neither: both are reported.
    """
    loaded = [_load_one(point) for point in entry_points]
    names = [*(entry.name for _, entries in loaded for entry in entries)]
    reports, families, models = [], {}, {}
    for report, entries in loaded:
        for entry in entries:
            if names.count(entry.name) > 1:
                owners = sorted(
                    f"{other.distribution} ({other.name})"
                    for other, theirs in loaded
                    for one in theirs
                    if one.name == entry.name
                )
                clash = f"the name {entry.name!r} is claimed by {' and '.join(owners)}"
                report = dataclasses.replace(report, error=clash)
            elif isinstance(entry, FamilyEntry):
                families[entry.name] = entry
            else:
                models[entry.name] = entry
        reports.append(report)
    return Registry(families, models, tuple(reports))


def _load_one(point: metadata.EntryPoint) -> tuple[PluginReport, list[FamilyEntry | ModelEntry]]:
    dist = point.dist
    report = PluginReport(
        point.name,
        dist.name if dist is not None else "unknown",
        dist.version if dist is not None else "",
    )
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    # Whatever a stranger's module raises while it loads must not reach the other plugins.
    try:
        plugin = point.load()
        manager.register(plugin, name=point.name)
        unknown = [name for name in vars(type(plugin)) | _public(plugin) if _misspelt(plugin, name)]
        if unknown:
            known = ", ".join(_hook_names())
            raise TypeError(f"no such hook: {', '.join(unknown)}; the hooks are {known}")
        hooks = tuple(caller.name for caller in manager.get_hookcallers(plugin) or ())
        if not hooks:
            raise TypeError(f"it implements no hook; the hooks are {', '.join(_hook_names())}")
        families = _entries(manager.hook.emframe_families(), FamilyEntry)
        models = _entries(manager.hook.emframe_models(), ModelEntry)
    except Exception as error:
        return dataclasses.replace(report, error=f"{type(error).__name__}: {error}"), []
    report = dataclasses.replace(
        report,
        hooks=hooks,
        families=tuple(entry.name for entry in families),
        models=tuple(entry.name for entry in models),
    )
    return report, [*families, *models]


def _hook_names() -> list[str]:
    return [name for name in vars(Hooks) if name.startswith("emframe_")]


def _public(plugin: Any) -> dict[str, Any]:
    return getattr(plugin, "__dict__", {})


def _misspelt(plugin: Any, name: str) -> bool:
    """A function marked as a hook under a name that is no hook's."""
    marked = getattr(getattr(plugin, name, None), f"{GROUP}_impl", None)
    return marked is not None and name not in _hook_names()


def _entries(answers: Iterable[Iterable[Entry]], kind: type[Entry]) -> list[Entry]:
    entries = [entry for answer in answers for entry in answer]
    for entry in entries:
        if not isinstance(entry, kind):
            raise TypeError(f"a hook returned {entry!r}; expected {kind.__name__} objects")
        if entry.api != API:
            raise TypeError(
                f"{entry.name!r} is written for api {entry.api}; this emframe speaks api {API}"
            )
    return entries


_registry: Registry | None = None


def registry(*, reload: bool = False) -> Registry:
    """What is installed.  Read once per process; ``reload=True`` reads it again.

    Warns with `PluginWarning`, once, of each plugin that could not be used.
    """
    global _registry
    if _registry is None or reload:
        _registry = load(metadata.entry_points(group=GROUP))
        for report in _registry.plugins:
            if report.error:
                warnings.warn(
                    f"plugin {report.name!r} of {report.distribution} {report.version} cannot be "
                    f"used: {report.error}",
                    PluginWarning,
                    stacklevel=2,
                )
    return _registry


def families() -> dict[str, FamilyEntry]:
    """The families of all installed plugins, by name."""
    return dict(registry().families)


def models() -> dict[str, ModelEntry]:
    """The latent models of all installed plugins, by name."""
    return dict(registry().models)


def plugins() -> tuple[PluginReport, ...]:
    """A report on each installed plugin, broken ones included."""
    return registry().plugins


def family(name: str, **options: Any) -> Any:
    """Make the family of that name with the given settings.

    Raises
    ------
    ValueError : for an unknown name, with the known ones, near misses, and broken plugins that
        might have brought it.
    TypeError : for a setting the family does not have.
    """
    known = registry().families
    if name not in known:
        raise ValueError(_unknown(name, known))
    entry = known[name]
    try:
        return entry.factory(**options)
    except TypeError as error:
        fields = getattr(entry.factory, "__dataclass_fields__", {})
        if set(options) <= set(fields):
            raise
        takes = ", ".join(fields) if fields else "none"
        wrong = ", ".join(sorted(set(options) - set(fields)))
        raise TypeError(f"the family {name!r} has no setting {wrong}; it has: {takes}.") from error


def _unknown(name: str, known: Mapping[str, FamilyEntry]) -> str:
    text = f"no family is called {name!r}; known: {', '.join(sorted(known)) or 'none'}."
    near = difflib.get_close_matches(name, known, n=2)
    if near:
        text += f" Did you mean {' or '.join(map(repr, near))}?"
    broken = [report for report in registry().plugins if report.error]
    if broken:
        listed = "; ".join(f"{r.name} of {r.distribution}: {r.error}" for r in broken)
        text += f" Some plugins could not be used: {listed}."
    return text


def name_of(family: Any) -> dict[str, Any]:
    """``{"name": ..., "options": ...}`` from which `family` makes an equal one."""
    options = (
        {field.name: getattr(family, field.name) for field in dataclasses.fields(family)}
        if dataclasses.is_dataclass(family)
        else {}
    )
    return {"name": family.name or type(family).__name__, "options": options}
