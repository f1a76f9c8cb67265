"""Kinds of values that options take, shared by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import click

import emframe
from emframe.families import Family
from emframe.inference import METHODS
from emframe.selection import CRITERIA

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

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in their order on the help page."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


# Which rows and columns.
data_options = together(
    click.option("--columns", metavar="A,B", help="Names, or numbers from 0.  [default: all]"),
    click.option("--weights", metavar="COLUMN", help="Frequencies: how often each row counts."),
    header,
)

# How to fit, and what to choose by: the names are those of `emframe.select`.
run_options = together(
    click.option(
        "--criterion",
        type=click.Choice(CRITERIA),
        default="bic",
        show_default=True,
        help="What to choose by; the lowest wins.",
    ),
    click.option("--prior", metavar="NAME", help="'weak' for the family's weak prior."),
    click.option(
        "--starts",
        "n_starts",
        type=click.IntRange(min=1),
        help="Starts of each model.  [default: until the best was found many times]",
    ),
    click.option("--seed", "rng", type=click.IntRange(min=0), default=0, show_default=True),
    click.option("--tol", type=float, default=1e-8, show_default=True, help="Gain left, in nats."),
    click.option("--max-iter", type=click.IntRange(min=0), default=10_000, show_default=True),
    click.option("--max-seconds", type=float, help="Cap on the time of each model."),
    click.option(
        "--threads",
        "engine",
        type=click.IntRange(min=1),
        help="The result is the same.  [default: as many as the work is worth]",
    ),
    click.option(
        "--progress/--no-progress",
        default=None,
        help="A line on stderr while it takes long.  [default: if that is a terminal]",
    ),
)

# Where the result goes.
output_options = together(
    click.option("--save", metavar="FILE", help="Keep the chosen fit, for predict and sample."),
    click.option(
        "--errors",
        type=click.Choice(METHODS),
        help="Show standard errors in brackets under the parameters.",
    ),
    click.option("--plot", metavar="FILE", help="Draw the fit and the choice: .png, .svg or .pdf."),
    click.option("--json", "as_json", is_flag=True, help="Write one JSON document, nothing else."),
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


def words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The parts of ``a,b,c``, each once."""
    found = [part.strip() for part in (value or "").split(",")] if value is not None else []
    if "" in found or len(set(found)) < len(found):
        raise click.BadParameter(f"{value!r} has an empty part, or one twice.", ctx, param)
    return tuple(found)


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


def family_of(text: str, pairs: Iterable[str]) -> Family:
    """The family of that name, or the product that ``column=name,other+another=name`` spells.

    The settings `pairs` go to each part of a product that has them.  Raises ValueError for a text
    of another form, and for a setting that no part has.
    """
    options = settings(pairs)
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
