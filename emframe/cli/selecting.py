"""``emframe select``: families, structures and sizes beside each other."""

from __future__ import annotations

from typing import Any

import click

import emframe
from emframe.cli.fitting import choose
from emframe.cli.job import Job, family_names, job
from emframe.cli.settings import settings, sizes, words
from emframe.families import Family


@click.command()
@click.argument("data")
@click.option(
    "--family",
    "families",
    callback=words,
    metavar="A,B",
    help="One or several; see: emframe plugins.  [default: the data set's]",
)
@click.option(
    "--covariance",
    "structures",
    callback=words,
    metavar="A,B",
    help="Structures, for families with covariances; mclust's names too (EEV,VEV).  "
    "[default: full,diag,spherical,tied]",
)
@click.option(
    "--components",
    callback=sizes,
    default="1-6",
    show_default=True,
    metavar="K",
    help="Sizes: 1-6, 1,2,5.",
)
@job
@click.pass_context
def select(
    ctx: click.Context,
    /,
    data: str,
    *,
    families: tuple[str, ...],
    structures: tuple[str, ...],
    components: tuple[int, ...],
    job: Job,
) -> None:
    """Compare families, structures and sizes on DATA.

    DATA is what it is to fit. Every combination is fitted, and the table lists them all, the best
    first.

    \b
    emframe select faithful --components 1-4
    emframe select iris --covariance full,tied --components 1-5 --criterion icl
    emframe select counts.csv --family poisson --components 1-9 --save best.fit
    emframe select faithful --components 1-3 --json | jq .best.title

    The exit status is that of fit.
    """
    sheet = job.read(data)
    names = family_names(sheet, ctx, *families)
    made = [one for name in names for one in _variants(name, structures, settings(job.options))]
    models: list[Any] = [
        emframe.Mixture(family, n_components=k) for family in made for k in components
    ]
    rows, weights = job.rows(sheet, models)
    choose(ctx, models, sheet, rows, weights, job, several_kinds=True)


def _variants(name: str, structures: tuple[str, ...], options: dict[str, Any]) -> list[Family]:
    """The family once, or where it has covariances once with each structure."""
    entry = emframe.families().get(name)
    if entry is None or not entry.takes("covariance") or "covariance" in options:
        return [emframe.family(name, **options)]
    kinds = structures or ("full", "diag", "spherical", "tied")
    return [emframe.family(name, covariance=kind, **options) for kind in kinds]
