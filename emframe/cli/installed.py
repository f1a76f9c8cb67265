"""``emframe datasets``, ``plugins`` and ``check``: what is there, and whether it keeps its word."""

from __future__ import annotations

import click

import emframe
from emframe.cli import screen
from emframe.cli.settings import family_options, settings


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
            ", ".join((*one.families, *one.models, *one.accelerations)) or "-",
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
@family_options
@click.pass_context
def check(ctx: click.Context, name: str, options: tuple[str, ...]) -> None:
    """Run the conformance kit on the family NAME.

    The exit status is 1 if a check fails.

    \b
    emframe check poisson
    emframe check gaussian --option covariance=tied

    Needs the extra: pip install 'emframe[testing]'
    """
    family = emframe.family(name, **settings(options))
    from emframe.testing import check_family

    results = check_family(family)
    body = [(one.name, one.status, " ".join(one.reason.split())) for one in results]
    failed = {i: "bold red" for i, one in enumerate(results) if one.status == "failed"}
    screen.table(("check", "status", "reason"), body, text_columns=range(3), styles=failed)
    screen.say()
    screen.say(
        f"{len(results)} checks, {len(failed)} failed.", style="bold red" if failed else "green"
    )
    ctx.exit(1 if failed else 0)
