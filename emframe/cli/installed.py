"""``emframe datasets``, ``plugins`` and ``check``: what is there, and whether it keeps its word."""

from __future__ import annotations

from typing import Any

import click

import emframe
from emframe.cli import screen, sheets
from emframe.cli.models import entry_of, models_of
from emframe.cli.settings import family_options, settings
from emframe.host import models


@click.command()
def datasets() -> None:
    """List the data sets that are shipped.

    \b
    emframe datasets
    emframe fit carcinoma --components 1-3
    """
    body = []
    for name in emframe.datasets():
        data = emframe.dataset(name)
        n, d = data.X.shape
        whole = "" if data.weights is None else f" for {data.weights.sum():g}"
        body.append((name, f"{n}{whole}", str(d), data.family, data.about))
    screen.table(("name", "rows", "columns", "family", "about"), body, text_columns=(0, 1, 3, 4))


@click.command()
def plugins() -> None:
    """List the installed plugins and what each brings.

    A plugin that could not be loaded is listed with its error.

    \b
    emframe plugins
    pip install emframe-rayleigh && emframe plugins
    """
    reports = emframe.plugins()
    body = [
        (
            one.name,
            f"{one.distribution} {one.version}",
            ", ".join(one.hooks) or "-",
            ", ".join((*one.families, *one.models, *one.latents, *one.accelerations, *one.sources))
            or "-",
            "error" if one.error else "ok",
        )
        for one in reports
    ]
    styles = {i: "bold red" for i, one in enumerate(reports) if one.error}
    header = ("name", "version", "hooks", "brings", "state")
    screen.table(header, body, text_columns=range(5), styles=styles)
    for one in reports:
        if one.error:
            screen.say(f"{one}: {one.error}", style="bold red")


@click.command()
@click.argument("name")
@click.argument("data", required=False)
@click.option("--family", metavar="NAME", help="Of a model that takes one.")
@family_options
@click.pass_context
def check(
    ctx: click.Context, name: str, data: str | None, family: str | None, options: tuple[str, ...]
) -> None:
    """Run the conformance kit on the family NAME.

    The exit status is 1 if a check fails.

    A model that is no mixture is checked on DATA, the name of a shipped data set or a file.

    \b
    emframe check poisson
    emframe check gaussian --option covariance=tied
    emframe check factor-analysis iris
    emframe check hidden-markov earthquakes --family poisson --option n_states=3

    Needs the extra: pip install 'emframe[testing]'
    """
    if name in models() and name not in emframe.families():
        results = _of_model(name, data, family, options)
    else:
        made = emframe.family(name, **settings(options))
        if data is not None or family is not None:
            raise click.UsageError(f"{name} is a family: it makes its own examples.", ctx)
        results = emframe.testing.check_family(made)
    body = [(one.name, one.status) for one in results]
    failed = {i: "bold red" for i, one in enumerate(results) if one.status == "failed"}
    screen.table(("check", "status"), body, text_columns=range(2), styles=failed)
    for one in results:
        if one.reason:
            screen.say()
            screen.say(f"{one.name}: {one.status}", style="bold")
            screen.say("\n".join(f"  {line}" for line in one.reason.splitlines()))
    screen.say()
    screen.say(
        f"{len(results)} checks, {len(failed)} failed.", style="bold red" if failed else "green"
    )
    ctx.exit(1 if failed else 0)


def _of_model(
    name: str, data: str | None, family: str | None, options: tuple[str, ...]
) -> list[Any]:
    """The checks of a model, on the rows of a data set or file."""
    if data is None:
        raise ValueError(f"{name} is a model, and is checked on data: emframe check {name} DATA.")
    sheet = sheets.read(data)
    own = family or (sheet.family if entry_of(name).takes("family") else None)
    (model,) = models_of(name, own, None, options)
    found: list[Any] = emframe.testing.check_model(model, sheet.numbers(range(len(sheet.names))))
    return found
