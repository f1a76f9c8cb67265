"""Where the output goes: rich tables in a terminal, plain aligned text in a pipe.

The plain form has no colour codes, cuts nothing off and does not depend on the terminal's width.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from emframe.showing.report import aligned

if TYPE_CHECKING:
    from rich.console import Console

FOLDED = 16  # a column of words may become as narrow as this, on several lines


def table(
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    *,
    text_columns: Container[int],
    styles: Mapping[int, str] | None = None,
) -> None:
    """Show a table; `text_columns` are set to the left, the rest are numbers, set to the right.

    `styles` are of rows, for terminals; what makes a row special is to be told by its text too.
    """
    console = _terminal()
    if console is None:
        click.echo(aligned(header, body, text_columns=text_columns))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    least = [
        min(width, FOLDED) if j in text_columns else width
        for j, width in enumerate(max(map(len, cells)) for cells in zip(header, *body, strict=True))
    ]
    # Where a terminal is narrower it breaks the lines itself; a number that is cut would mislead.
    console.width = max(console.width, sum(least) + 2 * len(least))
    for j, name in enumerate(header):
        is_text = j in text_columns
        shown.add_column(
            Text(name),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
            min_width=least[j],
        )
    for i, row in enumerate(body):
        shown.add_row(*map(Text, row), style=(styles or {}).get(i))
    console.print(shown)


def say(text: str = "", *, style: str = "") -> None:
    """Show text; the style is for terminals alone."""
    console = _terminal()
    if console is None:
        click.echo(text)
        return
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True)


def _terminal() -> Console | None:
    """A console where stdout is a terminal (or the environment says so to rich), or None."""
    if not (sys.stdout.isatty() or {"FORCE_COLOR", "TTY_COMPATIBLE"} & set(os.environ)):
        return None  # without the time that importing rich takes
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else None
