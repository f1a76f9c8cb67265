"""How a family was made, as JSON, and made again from that.

    {"name": "gaussian", "options": {"covariance": "tied"}}           a plugin's family
    {"made_by": "from_scipy", "options": {"dist": "gamma", ...}}      one put together in place

A function is told by its import path.  Making a family again executes no code and imports nothing:
plugins are looked up by name, and of functions those alone are used that the caller hands over.
Whoever writes a file would else choose what the program calls.

One known case: ``restore(describe(family)) == family`` for a family of settings.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from emframe.families import Elsewhere, Family, Gaps
from emframe.host import families
from emframe.host import family as named_family
from emframe.numeric import from_logpdf, from_scipy
from emframe.parameters import Declared, parameter
from emframe.spaces import Space

# What makes families out of parts, by name.  A module that brings another adds it here.
MAKERS: dict[str, Callable[..., Family]] = {
    "elsewhere": Elsewhere,
    "from_logpdf": from_logpdf,
    "gaps": Gaps,
    "from_scipy": from_scipy,
}

SPACES: dict[str, type[Space]] = {
    name: kind
    for name, kind in vars(sys.modules["emframe.spaces"]).items()
    if isinstance(kind, type) and issubclass(kind, Space)
}


def describe(value: Any) -> Any:
    """A family, or a part of one, as JSON.

    Raises ValueError for a part that has no name to be found by again, such as a lambda.
    """
    if isinstance(value, Family):
        return _family(value)
    if isinstance(value, Space):
        if SPACES.get(type(value).__name__) is not type(value):
            raise ValueError(f"{value!r} is no space of emframe, and a file cannot hold its code.")
        return {"space": type(value).__name__, "options": describe(_plain(vars(value)))}
    if isinstance(value, Declared):
        axes = list(value.shape)
        return {"parameter": describe(value.space), "shape": axes}
    if callable(value):
        return {"function": _path(value)}
    if isinstance(value, Mapping):
        return {"mapping": [[key, describe(one)] for key, one in value.items()]}
    if isinstance(value, (list, tuple)):
        return [describe(one) for one in value]
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return {"number": repr(value)}
    return value


class NotHere(ValueError):
    """What a file names has to be handed over by the caller: it is no fault of the file's."""


def restore(told: Any, given: Family | None = None, allow: Sequence[Any] = ()) -> Any:
    """What `describe` told; `given` stands for the family that it describes.

    `allow` holds the functions that may be named, or modules all of whose functions may be.

    Raises ValueError where a plugin is not installed or a function not allowed.
    """
    if given is not None and told == describe(given):
        return given

    def again(part: Any) -> Any:
        return restore(part, given, allow)

    if isinstance(told, list):
        return [again(one) for one in told]
    if not isinstance(told, dict):
        return told
    if "mapping" in told:
        return {key: again(one) for key, one in told["mapping"]}
    if "number" in told:
        return float(told["number"])
    if "function" in told:
        return _allowed(told["function"], allow)
    if "space" in told:
        return _known("space", told["space"], SPACES)(**again(told["options"]))
    if "parameter" in told:
        return parameter(again(told["parameter"]), tuple(told["shape"]))
    options = {key: again(one) for key, one in told["options"].items()}
    if "made_by" in told:
        return _known("made_by", told["made_by"], MAKERS)(**options)
    if told["name"] in families():
        return named_family(told["name"], **options)
    raise NotHere(
        f"the family {told['name']!r} is no installed plugin; pass the object: "
        "emframe.load(path, family=...)"
    )


def _known(what: str, name: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"`{what}` is {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def _family(family: Family) -> dict[str, Any]:
    if family.maker and _is_a_plugins(family):
        return {"name": family.name, "options": {}}
    parts = {key: describe(one) for key, one in family.ingredients().items()}
    name = family.name or type(family).__name__
    if not family.maker:
        return {"name": name, "options": parts}
    return {"made_by": family.maker, "name": name, "options": parts}


def _is_a_plugins(family: Family) -> bool:
    """Whether a plugin makes the very same family under its name, without settings."""
    if family.name not in families():
        return False
    try:
        return named_family(family.name) == family
    except TypeError:  # it needs settings, so it is another
        return False


def _plain(held: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if not key.startswith("_")}


def _path(function: Any) -> str:
    """``module:name`` of a function at the top of a module."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if module and name and _found(module, name) is function:
        return f"{module}:{name}"
    what = "a lambda" if "<lambda>" in name else f"{name or function!r}"
    raise ValueError(
        f"{what} has no import path to be found by again; define the function with def at the top "
        "of a module, and make the family from that."
    )


def _allowed(path: Any, allow: Sequence[Any]) -> Any:
    """The function of this path, where the caller handed it over, or its module."""
    for one in allow:
        if isinstance(one, ModuleType):
            module, _, name = str(path).partition(":")
            found = _found(module, name)
            if module == one.__name__ and getattr(found, "__module__", None) == module:
                return found  # its own, not what it imported
        elif callable(one) and f"{one.__module__}:{one.__qualname__}" == path:
            return one
    module, _, name = str(path).partition(":")
    raise NotHere(
        f"the family was made from the function {path}, and a file does not choose what is "
        f"called: allow it, emframe.load(path, allow=[{module}.{name}]), or pass the object, "
        "family=..."
    )


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if callable(found) and not dataclasses.is_dataclass(found) else None
