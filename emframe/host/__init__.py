"""The plugin host: families, models and what else has a hook come from other distributions.

A plugin is a module, an object or a class without arguments, named in the entry-point group
``emframe``, that implements a hook:

    from emframe import FamilyEntry, hookimpl

    @hookimpl
    def emframe_families():
        return [FamilyEntry("rayleigh", Rayleigh, "Rayleigh densities", "Rayleigh (1880)")]

Plugins load when they are first asked for, one by one.  One that fails is warned of once, listed
with its error, and harms no other.  The host knows no plugin by name, the built-in ones included.
"""

from emframe.host.hooks import (
    API,
    GROUP,
    AccelerationEntry,
    FamilyEntry,
    Hooks,
    LatentEntry,
    ModelEntry,
    SourceEntry,
    hookimpl,
    hookspec,
)
from emframe.host.installed import (
    acceleration,
    accelerations,
    families,
    family,
    family_of,
    latent,
    latents,
    model,
    models,
    name_of,
    plugins,
    registry,
    sources,
)
from emframe.host.loading import HOME, PluginReport, PluginWarning, Registry, load

__all__ = [
    "API",
    "GROUP",
    "HOME",
    "AccelerationEntry",
    "FamilyEntry",
    "Hooks",
    "LatentEntry",
    "ModelEntry",
    "PluginReport",
    "PluginWarning",
    "Registry",
    "SourceEntry",
    "acceleration",
    "accelerations",
    "families",
    "family",
    "family_of",
    "hookimpl",
    "hookspec",
    "latent",
    "latents",
    "load",
    "model",
    "models",
    "name_of",
    "plugins",
    "registry",
    "sources",
]
