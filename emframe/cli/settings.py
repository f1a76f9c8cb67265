"""Kinds of values that options take, shared by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import reduce, wraps
from typing import Any

import click

import emframe
from emframe.cli.sheets import Spelling, TableReading
from emframe.families import Family
from emframe.fitting.plans import LEVELS


class Separator(click.ParamType):  # type: ignore[type-arg]  # a subscript fails in click 8.1
    """A character between cells; a tab by its name."""

    name = "separator"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        told = {"tab": "\t", "\\t": "\t"}.get(str(value), str(value))
        if len(told) != 1:
            self.fail(f"{value!r} is no character; pass one, or tab.", param, ctx)
        return told


_FILE = (
    click.option(
        "--header/--no-header",
        "has_header",
        default=None,
        help="Whether the first line names the columns.  [default: if it has no number]",
    ),
    click.option(
        "--sep",
        metavar="C",
        type=Separator(),
        help="What separates cells: , ; or tab.  [default: the one that the first line has]",
    ),
    click.option(
        "--decimal",
        type=click.Choice([".", ","]),
        default=".",
        show_default=True,
        help="What numbers have before their fraction.",
    ),
    click.option(
        "--since",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DAY",
        help="Read dates, such as 2024-03-31, as the number of days since this one.",
    ),
)


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how a file is written; the command gets them as ``reading``."""

    @wraps(command)
    def with_reading(*args: Any, **given: Any) -> None:
        day = given.pop("since")
        spelling = Spelling(given.pop("decimal"), None if day is None else day.date())
        told = TableReading(given.pop("has_header"), given.pop("sep"), spelling)
        command(*args, **given, reading=told)

    found: Callable[..., None] = together(*_FILE)(with_reading)
    return found


family_options = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the family, such as covariance=tied; may be repeated. Lists are JSON: "
    """'predictors=["x", "y"]'.""",
)

Decorator = Callable[[Any], Any]


class StartsOption(click.ParamType):  # type: ignore[type-arg]  # a subscript fails in click 8.1
    """A number of starts, or the level of a search until they agree."""

    name = "starts"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if value in LEVELS or isinstance(value, int):
            return value
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            levels = ", ".join(LEVELS)
            self.fail(f"{value!r} is no number above 0, and none of {levels}.", param, ctx)
        return number


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in their order on the help page."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def sizes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers of components from ``3``, ``1-6`` or ``1,2,5``, in order, each once."""
    found: set[int] = set()
    for part in value.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise click.BadParameter(f"{value!r} is none of 3, 1-6, 1,2,5.", ctx, param)
        last = int(high if dash else low)
        if last < int(low) or int(low) == 0:
            raise click.BadParameter(f"{value!r}: sizes count from 1 and upwards.", ctx, param)
        found |= set(range(int(low), last + 1))
    return tuple(sorted(found))


def words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The parts of ``a,b,c``, each once."""
    found = [part.strip() for part in (value or "").split(",")] if value is not None else []
    if "" in found or len(set(found)) < len(found):
        raise click.BadParameter(f"{value!r} has an empty part, or one twice.", ctx, param)
    return tuple(found)


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Family settings from ``key=value`` texts; values are JSON or ``inf`` if they can be, or text.

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
            found[key.strip()] = float("inf") if value.strip() == "inf" else value.strip()
    return found


def family_of(text: str, pairs: Iterable[str]) -> Family:
    """The family of that name, or the product that ``column=name,other+another=name`` spells.

    The settings `pairs` go to each part of a product that has them.  Raises ValueError for a text
    of another form, and for a setting that no part has.
    """
    options = settings(pairs)
    if ":" in text:
        raise ValueError(
            f"--family {text!r}; a column has its family after '=': {text.replace(':', '=')}."
        )
    if "=" not in text:
        return emframe.family(text, **options)
    parts: dict[str | tuple[str, ...], Family] = {}
    known: set[str] = set()
    for part in text.split(","):
        columns, equals, name = (piece.strip() for piece in part.partition("="))
        group = tuple(column.strip() for column in columns.split("+"))
        key = group if len(group) > 1 else columns
        if not equals or not all(group) or key in parts:
            raise ValueError(
                f"--family {text!r}; expected COLUMN=NAME for each column, such as "
                "'age=gaussian,visits=poisson', or FIRST+SECOND=NAME for a group."
            )
        entry = emframe.families().get(name)
        own = {k: v for k, v in options.items() if entry is not None and entry.takes(k)}
        parts[key], known = emframe.family(name, **own), known | set(own)
    if set(options) - known:
        raise ValueError(f"no family of {text!r} has a setting {min(set(options) - known)!r}.")
    return emframe.Product(parts)
