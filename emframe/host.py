"""The plugin host: families, models and accelerations come from other distributions, by pluggy.

A plugin is a module, an object or a class without arguments, named in the entry-point group
``emframe``, that implements a hook:

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
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

import pluggy

from emframe.core import Coordinates, Method
from emframe.families.base import Family

GROUP = "emframe"  # of entry points
HOME = "emframe"  # the distribution that this host belongs to
API = 1

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class FamilyEntry:
    """A family as its plugin announces it."""

    name: str
    factory: Callable[..., Family]  # factory(**options)
    summary: str
    reference: str = ""
    api: int = API

    def takes(self, option: str) -> bool:
        """Whether the factory has a setting of this name."""
        return option in inspect.signature(self.factory).parameters


@dataclass(frozen=True)
class ModelEntry:
    """A whole latent-variable model as its plugin announces it."""

    name: str
    factory: Callable[..., Any]  # factory(**options) -> Model
    summary: str
    reference: str = ""
    api: int = API
    size: str = ""  # the setting that says how large it is, such as "n_states"; none if empty

    def takes(self, option: str) -> bool:
        """Whether the factory has a setting of this name."""
        return option in inspect.signature(self.factory).parameters


@dataclass(frozen=True)
class AccelerationEntry:
    """A way to move from one Q to the next, as its plugin announces it."""

    name: str
    factory: Callable[[Coordinates], Method]
    summary: str
    reference: str = ""
    api: int = API


Entry = TypeVar("Entry", FamilyEntry, ModelEntry, AccelerationEntry)


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


@dataclass(frozen=True)
class PluginReport:
    """One entry point: what it brings that can be used, and what is wrong with it."""

    name: str  # of the entry point
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    accelerations: tuple[str, ...] = ()
    error: str = ""

    def __str__(self) -> str:
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f"{self.name!r} of {origin}"


class PluginWarning(UserWarning):
    """An installed plugin could not be used; everything else works."""


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins bring, and a report on each."""

    families: Mapping[str, FamilyEntry]
    models: Mapping[str, ModelEntry]
    accelerations: Mapping[str, AccelerationEntry]
    plugins: tuple[PluginReport, ...]


@dataclass(frozen=True)
class _Plugin:
    """A plugin as it loaded: its report, and its entries."""

    report: PluginReport
    families: tuple[FamilyEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    accelerations: tuple[AccelerationEntry, ...] = ()


def load(entry_points: Iterable[metadata.EntryPoint]) -> Registry:
    """Load plugins one by one; a broken one is reported and passed over.

    A name that several claim is an error of each and belongs to none, except that emframe's own
    distribution keeps its names: installing a plugin never changes what an old script means.
    """
    plugins = [_load_one(point) for point in entry_points]
    errors: list[list[str]] = [[p.report.error] if p.report.error else [] for p in plugins]
    families = _unclaimed([p.families for p in plugins], plugins, errors)
    models = _unclaimed([p.models for p in plugins], plugins, errors)
    accelerations = _unclaimed([p.accelerations for p in plugins], plugins, errors)
    reports = tuple(
        dataclasses.replace(
            plugin.report,
            families=_kept(plugin.families, families),
            models=_kept(plugin.models, models),
            accelerations=_kept(plugin.accelerations, accelerations),
            error="; ".join(wrong),
        )
        for plugin, wrong in zip(plugins, errors, strict=True)
    )
    return Registry(families, models, accelerations, reports)


def _kept(offered: Sequence[Entry], given: Mapping[str, Entry]) -> tuple[str, ...]:
    """The names of the entries that a plugin was left with."""
    return tuple(entry.name for entry in offered if given.get(entry.name) is entry)


def _unclaimed(
    offered: Sequence[Sequence[Entry]], plugins: Sequence[_Plugin], errors: list[list[str]]
) -> dict[str, Entry]:
    """Entries of one kind by name; clashes are added to the errors of the plugins concerned."""
    claims: dict[str, list[tuple[int, Entry]]] = {}
    for index, entries in enumerate(offered):
        for entry in entries:
            claims.setdefault(entry.name, []).append((index, entry))
    given = {}
    for name, claimants in claims.items():
        own = [claim for claim in claimants if plugins[claim[0]].report.distribution == HOME]
        owner = own[0] if len(own) == 1 else claimants[0] if len(claimants) == 1 else None
        if owner is not None:
            given[name] = owner[1]
        if len(claimants) > 1:
            who = " and ".join(sorted(str(plugins[index].report) for index, _ in claimants))
            kept = f"; {HOME} keeps it" if owner is not None else ""
            for index in {index for index, _ in claimants if owner is None or index != owner[0]}:
                errors[index].append(f"the name {name!r} is claimed by {who}{kept}")
    return given


def _load_one(point: metadata.EntryPoint) -> _Plugin:
    report = PluginReport(point.name, "an unknown distribution", "")
    # Whatever a stranger's module raises while it loads, SystemExit included, must not reach the
    # other plugins.  Only the user's Ctrl-C passes.
    try:
        if point.dist is not None:
            report = PluginReport(point.name, point.dist.name, point.dist.version)
        plugin = point.load()
        hooks = _hooks(plugin() if inspect.isclass(plugin) else plugin)
        families = _entries(hooks.get("emframe_families"), FamilyEntry)
        models = _entries(hooks.get("emframe_models"), ModelEntry)
        accelerations = _entries(hooks.get("emframe_accelerations"), AccelerationEntry)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        said = " ".join(str(error).split())
        return _Plugin(dataclasses.replace(report, error=f"{type(error).__name__}: {said}"))
    report = dataclasses.replace(report, hooks=tuple(hooks))
    return _Plugin(report, families, models, accelerations)


def _hooks(plugin: object) -> dict[str, Any]:
    """What each hook of one plugin returned.

    A pluggy manager of its own for each plugin tells whose answer is whose, and keeps a
    misspelt or ill-signed hook from stopping the rest.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    known = "the hooks are emframe_families, emframe_models and emframe_accelerations"
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise TypeError(f"{error}; {known}") from error
    answers = {
        caller.name: caller() for caller in manager.get_hookcallers(plugin) or () if caller.spec
    }
    if not answers:
        raise TypeError(f"it implements no hook; {known}, each marked with @emframe.hookimpl")
    for name, answer in answers.items():
        if len(answer) != 1:  # pluggy drops None
            raise TypeError(f"{name}() returned None; expected a list of entries")
    return {name: answer[0] for name, answer in answers.items()}


def _entries(answer: Any, kind: type[Entry]) -> tuple[Entry, ...]:
    """The entries that a hook returned, checked; none where the plugin lacks the hook."""
    if answer is None:
        return ()
    if isinstance(answer, (str, Mapping)) or not isinstance(answer, Iterable):
        raise TypeError(f"a hook returned {answer!r}; expected a list of {kind.__name__} objects")
    entries = tuple(answer)
    for entry in entries:
        if not isinstance(entry, kind):
            raise TypeError(f"a hook returned {entry!r}; expected {kind.__name__} objects")
        if entry.api != API:
            raise TypeError(
                f"{entry.name!r} is written for api {entry.api}; this emframe speaks api {API}"
            )
        if not isinstance(entry.name, str) or not entry.name or not callable(entry.factory):
            raise TypeError(f"{entry!r} needs a name and a callable factory")
    names = [entry.name for entry in entries]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"it brings {', '.join(map(repr, sorted(twice)))} more than once")
    return entries


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
    """The families of all installed plugins, by name."""
    return dict(registry().families)


def models() -> dict[str, ModelEntry]:
    """The latent models of all installed plugins, by name."""
    return dict(registry().models)


def accelerations() -> dict[str, AccelerationEntry]:
    """The accelerations of all installed plugins, by name."""
    return dict(registry().accelerations)


def plugins() -> tuple[PluginReport, ...]:
    """A report on each installed plugin, broken ones included."""
    return registry().plugins


def family(name: str, **options: Any) -> Family:
    """Make the family of that name with the given settings.

    Raises
    ------
    ValueError : for an unknown name, with the known ones, near misses, and broken plugins that
        might have brought it.
    TypeError : for a setting the family does not have, or needs and was not given; and where a
        plugin's factory makes something else than a `Family`.
    """
    made = _make("family", name, registry().families, options)
    if not isinstance(made, Family):
        raise TypeError(f"the plugin that brings {name!r} made {made!r}, which is no Family.")
    return _named(made, name)


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
    known: Mapping[str, FamilyEntry] | Mapping[str, ModelEntry],
    options: Mapping[str, Any],
) -> Any:
    """What the factory of that name makes of the options."""
    if name not in known:
        raise ValueError(_unknown(kind, name, known))
    factory = known[name].factory
    settings = inspect.signature(factory)
    try:
        settings.bind(**options)
    except TypeError as error:
        bare = (one.replace(annotation=one.empty) for one in settings.parameters.values())
        takes = ", ".join(map(str, bare)) or "none"
        raise TypeError(f"the {kind} {name!r}: {error}; its settings: {takes}.") from None
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
    text = f"no {kind} is called {name!r}; known: {', '.join(sorted(known)) or 'none'}."
    near = difflib.get_close_matches(name.lower(), known, n=2)
    if near:
        text += f" Did you mean {' or '.join(map(repr, near))}?"
    broken = [f"{report}: {report.error}" for report in registry().plugins if report.error]
    if broken:
        text += f" Some plugins could not be used: {'; '.join(broken)}."
    return text


def name_of(family: Any) -> dict[str, Any]:
    """``{"name": ..., "options": ...}`` from which `family` makes an equal one."""
    return {"name": family.name or type(family).__name__, "options": family.ingredients()}
