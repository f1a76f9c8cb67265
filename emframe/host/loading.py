"""Plugins load one by one: one that fails is listed with its error, and harms no other.

One known case: no entry points make an empty registry.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import pluggy

from emframe.host.hooks import (
    API,
    GROUP,
    AccelerationEntry,
    Entry,
    FamilyEntry,
    Hooks,
    LatentEntry,
    ModelEntry,
    SourceEntry,
)

HOME = "emframe"  # the distribution that this host belongs to
KINDS: dict[str, Any] = {
    "families": FamilyEntry,
    "models": ModelEntry,
    "accelerations": AccelerationEntry,
    "latents": LatentEntry,
    "sources": SourceEntry,
}


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
    latents: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    error: str = ""

    def __str__(self) -> str:
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f"{self.name!r} of {origin}"


class PluginWarning(UserWarning):
    """An installed plugin could not be used; everything else works.

    Examples
    --------
    >>> issubclass(emframe.PluginWarning, UserWarning)
    True
    """


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins bring, and a report on each."""

    families: Mapping[str, FamilyEntry]
    models: Mapping[str, ModelEntry]
    accelerations: Mapping[str, AccelerationEntry]
    latents: Mapping[str, LatentEntry]
    sources: Mapping[str, SourceEntry]
    plugins: tuple[PluginReport, ...]


@dataclass(frozen=True)
class _Plugin:
    """A plugin as it loaded: its report, and its entries."""

    report: PluginReport
    entries: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: dict.fromkeys(KINDS, ()))


def load(entry_points: Iterable[metadata.EntryPoint]) -> Registry:
    """Load plugins one by one; a broken one is reported and passed over.

    A name that several claim is an error of each and belongs to none, except that emframe's own
    distribution keeps its names: installing a plugin never changes what an old script means.
    """
    plugins = [_load_one(point) for point in entry_points]
    errors: list[list[str]] = [[p.report.error] if p.report.error else [] for p in plugins]
    given = {
        kind: _unclaimed([p.entries[kind] for p in plugins], plugins, errors) for kind in KINDS
    }
    reports = tuple(
        dataclasses.replace(
            plugin.report,
            error="; ".join(wrong),
            **_names_kept(plugin, given),
        )
        for plugin, wrong in zip(plugins, errors, strict=True)
    )
    return Registry(**given, plugins=reports)


def _names_kept(plugin: _Plugin, given: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _kept(plugin.entries[kind], given[kind]) for kind in KINDS}


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
        entries = {
            kind: _entries(hooks.get(f"emframe_{kind}"), entry) for kind, entry in KINDS.items()
        }
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        said = " ".join(str(error).split())
        return _Plugin(dataclasses.replace(report, error=f"{type(error).__name__}: {said}"))
    report = dataclasses.replace(report, hooks=tuple(hooks))
    return _Plugin(report, entries)


def _hooks(plugin: object) -> dict[str, Any]:
    """What each hook of one plugin returned.

    A pluggy manager of its own for each plugin tells whose answer is whose, and keeps a
    misspelt or ill-signed hook from stopping the rest.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    *most, last = (f"emframe_{kind}" for kind in KINDS)
    known = f"the hooks are {', '.join(most)} and {last}"
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
