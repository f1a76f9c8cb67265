"""Kinds of values that options take, shared by the commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

header = click.option(
    "--header/--no-header",
    "has_header",
    default=None,
    help="Whether the first line names the columns.  [default: if it has no number]",
)

family_options = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the family, such as covariance=tied; may be repeated.",
)


def sizes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers of components from ``3``, ``1-6`` or ``1,2,5``, in order, each once."""
    found: set[int] = set()
    for part in value.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise click.BadParameter(f"{value!r} is none of 3, 1-6, 1,2,5.", ctx, param)
        found |= set(range(int(low), int(high if dash else low) + 1))
    if not found or 0 in found:
        raise click.BadParameter(f"{value!r} has to name sizes from 1 up.", ctx, param)
    return tuple(sorted(found))


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Family settings from ``key=value`` texts; values are JSON where they can be, else text.

    Raises ValueError for a text of another form, or a key given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--option {pair!r}; expected KEY=VALUE, such as covariance=tied.")
        if key.strip() in found:
            raise ValueError(f"the setting {key.strip()!r} is given twice.")
        try:
            found[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            found[key.strip()] = value.strip()
    return found
