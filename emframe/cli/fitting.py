"""``emframe fit``: one model or several to a table, the choice among them, and the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import click
import numpy as np

import emframe
from emframe.cli import pictures, screen, sheets
from emframe.cli.job import Job, family_names, job
from emframe.cli.models import entry_of, in_runs, models_of
from emframe.cli.settings import family_of, settings, sizes
from emframe.data.formulas import is_formula
from emframe.engines import cores
from emframe.families import Family
from emframe.models import Model
from emframe.parameters import nested, to_mapping
from emframe.showing.report import selection_cells, summary, verdict

SMALL = 1 << 16  # cells of a table, below which a pass is no work for threads


@click.command()
@click.argument("data")
@click.option(
    "--family",
    metavar="NAME",
    help="See: emframe plugins. COLUMN=NAME,COLUMN=NAME gives columns families of their own.  "
    "[default: the data set's]",
)
@click.option(
    "--model",
    metavar="NAME",
    help="A model that is no mixture, such as hidden-markov. See: emframe plugins.",
)
@click.option(
    "--components",
    callback=sizes,
    default="1-6",
    show_default=True,
    metavar="K",
    help="One size or several, to choose from: 3, 1-6, 1,2,5. With --model its states or factors.",
)
@click.option(
    "--runs",
    "--group",
    "runs",
    metavar="COLUMN",
    help="Rows of one run, as of one person, are alike in it.",
)
@click.option(
    "--weights-on",
    metavar="A,B",
    help="Columns, or a formula, on which the mixing weights depend; words are categories.",
)
@click.option(
    "--labels", metavar="COLUMN", help="Components that are known, from 0; empty or -1 elsewhere."
)
@click.option("--covariance", metavar="KIND", help="Short for --option covariance=KIND.")
@click.option(
    "--formula",
    metavar="'Y ~ X'",
    help="A response and what it is given; --family is then its family.  [default: gaussian]",
)
@click.option("--random", metavar="'~ X'", help="Terms of --formula that vary by --group.")
@click.option("--common", metavar="'~ X'", help="Terms that are alike in all components.")
@click.option("--zeros", type=click.Choice(["inflated", "hurdle"]), help="Zeros of their own.")
@job
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    data: str,
    *,
    family: str | None,
    model: str | None,
    components: tuple[int, ...],
    runs: str | None,
    weights_on: str | None,
    labels: str | None,
    covariance: str | None,
    formula: str | None,
    random: str | None,
    common: str | None,
    zeros: str | None,
    job: Job,
) -> None:
    """Fit mixtures to DATA, choose among them, and show the choice.

    DATA is the name of a shipped data set (see: emframe datasets), a CSV or Parquet file, or - for
    standard input. A shipped data set brings its family and its weights along.

    \b
    emframe fit faithful --components 1-6 --plot faithful.png
    emframe fit faithful --components 2 --errors sandwich
    emframe fit iris --covariance tied --columns petal_length,petal_width
    emframe fit death_notices --components 2
    emframe fit counts.csv --family poisson --columns 1,2 --weights days
    emframe fit answers.csv --family bernoulli --components 2 --weights-on age,sex
    emframe fit people.csv --family age=gaussian,visits=poisson --components 1-3
    emframe fit my.csv --family gaussian --components 3 --prior weak --save my.fit
    emframe fit large.parquet --family gaussian --components 8 --starts 4 --threads 2
    emframe fit 'rows/*.parquet' --family gaussian --components 8 --dask
    emframe fit faithful --components 2 --json | jq .best.parameters.weights
    emframe fit earthquakes --model hidden-markov --components 2-4
    emframe fit visits.csv --model hidden-markov --family poisson --runs patient
    emframe fit visits.csv --formula 'pain ~ time * sex' --random '~ time' --group patient
    emframe fit visits.csv --formula 'pain ~ day' --group patient --since 2024-01-01
    emframe fit accidents.csv --formula 'n ~ age' --family poisson --zeros inflated
    emframe fit iris --model factor-analysis --components 1
    emframe fit gaps.csv --model incomplete-gaussian --components 1-3

    The exit status is 0 also where a fit did not converge (read the last line), 1 where the
    model is degenerate, 2 for misuse or unusable data, 130 after Ctrl-C, which shows the best so
    far.
    """
    sheet = job.read(data)
    pairs = [*job.options, *([f"covariance={covariance}"] if covariance is not None else [])]
    terms = {"random": random, "common": common, "zeros": zeros}
    told = next((name for name, given in terms.items() if given is not None), None)
    if told is not None and formula is None:
        raise click.UsageError(f"--{told} goes with --formula.", ctx)
    if model is not None:
        if weights_on is not None or labels is not None or formula is not None:
            raise click.UsageError(
                "--weights-on, --labels and --formula go with mixtures, not --model.", ctx
            )
        given = ctx.get_parameter_source("components") is not click.core.ParameterSource.DEFAULT
        own = family or (sheet.family if entry_of(model).takes("family") else None)
        made = models_of(model, own, components if given else None, pairs)
        rows, weights = job.rows(sheet, made, runs)
        if runs is not None:
            rows, weights = in_runs(sheet, rows, weights, runs)
        choose(ctx, made, sheet, rows, weights, job)
        return
    gate = None
    if weights_on is not None and is_formula(weights_on):
        gate = emframe.Gate(weights_on)
    elif weights_on is not None:
        gate = emframe.Gate(*(sheet.names[j] for j in sheet.find(weights_on)))
    mixtures: list[Any]
    if formula is not None:
        own = family or "gaussian"
        options: dict[str, Any] = {"family": own, "group": runs, "weights": gate, **terms}
        options |= settings(pairs)
        mixtures = [emframe.formula(formula, n_components=k, **options) for k in components]
        runs = mixtures[0].legend.group
    else:
        parts = _family(ctx, sheet, family, pairs, runs)
        mixtures = [emframe.Mixture(parts, n_components=k, weights=gate) for k in components]
    rows, weights = job.rows(sheet, mixtures, labels, None if formula is not None else runs)
    if runs is not None:
        rows, weights = in_runs(sheet, rows, weights, runs)
    if labels is not None:
        rows = emframe.Labelled(rows, sheet.numbers(sheet.find(labels))[:, 0])
    choose(ctx, mixtures, sheet, rows, weights, job)


def _family(
    ctx: click.Context, sheet: sheets.Sheet, given: str | None, pairs: list[str], runs: str | None
) -> Family:
    """The family that is asked for; UsageError where it does not go with --runs."""
    (name,) = family_names(sheet, ctx, *([given] if given is not None else []))
    family = family_of(name, pairs)
    if runs is None and family.in_runs:
        raise click.UsageError(f"the rows of {name!r} are runs; say by --runs COLUMN whose.", ctx)
    if runs is not None and not family.in_runs:
        raise click.UsageError(
            "--runs goes with --model, with --formula, and with families whose rows are runs: to "
            f"{name!r} every row is its own.",
            ctx,
        )
    return family


def choose(
    ctx: click.Context,
    models: Sequence[Model],
    sheet: sheets.Sheet,
    data: Any,
    weights: Any,
    job: Job,
    *,
    several_kinds: bool = False,
) -> None:
    """Fit the models to data of a sheet, show the choice, and end with the status of the best.

    Models of several kinds are told by their titles, the best first; those of one kind by K, in
    its order.
    """
    run = {**job.run, "weights": weights}
    run["progress"] = "auto" if run["progress"] is None else run["progress"]
    if run["workers"] is None:  # where data are large, threads share each pass
        is_small = sheet.collection is None and len(sheet.cells) * len(sheet.names) < SMALL
        run["workers"] = cores() if is_small else 1
    interrupted = False
    try:
        with sheet.telling_lines():
            chosen = emframe.select(models, data, **run)
    except emframe.Interrupted as stop:
        best = stop.fit.counting(run["count"])
        chosen, interrupted = emframe.Selection((best,), run["criterion"]), True
    if several_kinds:
        chosen = ranked(chosen)
    errors = None
    if job.errors is not None and not interrupted:
        errors = chosen.best.standard_errors(
            data, weights=weights, method=job.errors, rng=run["rng"]
        )
    if job.as_json:
        click.echo(json.dumps(document(chosen, sheet.origin, errors), indent=1, allow_nan=False))
    else:
        _show(chosen, interrupted, several_kinds, errors)
    if job.save is not None:
        chosen.best.save(job.save)
    if job.plot is not None:
        rows = data.X if isinstance(data, emframe.Labelled) else data
        pictures.draw(chosen, rows, weights, job.plot)
    if not job.as_json:
        for done, path in (("Saved as", job.save), ("Drawn in", job.plot)):
            if path is not None:
                screen.say(f"{done} {path}.")
    if interrupted:
        ctx.exit(130)
    ctx.exit(0 if chosen.best.status.usable else 1)


def ranked(selection: emframe.Selection) -> emframe.Selection:
    """The same selection, the best first and then by the criterion."""
    best = selection.best

    def place(i: int) -> tuple[bool, float]:
        return selection.fits[i] is not best, selection.values[i]

    order = sorted(range(len(selection.fits)), key=place)
    return replace(
        selection,
        fits=tuple(selection.fits[i] for i in order),
        held_out=tuple(selection.held_out[i] for i in order if i < len(selection.held_out)),
    )


def document(
    selection: emframe.Selection, data: str, errors: emframe.StandardErrors | None = None
) -> dict[str, Any]:
    """A selection as what JSON can hold; a number that is not finite is null."""
    best = selection.best
    found: dict[str, Any] = _plain(
        {
            "emframe": emframe.__version__,
            "data": data,
            "criterion": selection.criterion,
            "models": [
                {**row, **one.model.describe(), "title": row["model"]}
                for row, one in zip(selection.table, selection.fits, strict=True)
            ],
            "best": {
                **best.model.describe(),
                "title": best.model.title(),
                "columns": best.columns,
                "n_rows": best.n_rows,
                "n_runs": best.n_runs,
                "n_units": best.n_units,
                "prior": best.prior,
                "n_parameters": best.n_parameters,
                "log_likelihood": best.log_likelihood,
                "objective": best.objective,
                "aic": best.aic,
                "bic": best.bic,
                "icl": best.icl,
                "converged": best.converged,
                "status": best.status,
                "message": best.message,
                "spurious": best.spurious,
                "n_iter": best.n_iter,
                "n_starts": len(best.starts),
                "n_found": best.n_found,
                "chance_missed": best.chance_missed,
                "parameters": nested(to_mapping(best.params)),
                **({} if errors is None else _errors(errors)),
            },
        }
    )
    return found


def _errors(errors: emframe.StandardErrors) -> dict[str, Any]:
    return {
        "standard_errors": nested(to_mapping(errors.params)),
        "standard_errors_method": errors.method,
        "standard_errors_message": errors.message,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, Enum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(
    selection: emframe.Selection,
    interrupted: bool,
    several_kinds: bool,
    errors: emframe.StandardErrors | None = None,
) -> None:
    best = selection.best
    if len(selection.fits) > 1:
        screen.say(f"{len(selection.fits)} models; * has the lowest {selection.criterion.upper()}.")
    (_, *header), body = selection_cells(selection)

    # Whole titles would not fit a terminal; of mixtures of one kind, K says which.
    by_size = not several_kinds and all(" = " in row[0] for row in body)

    def told(title: str) -> str:
        short = title.replace(" mixture, covariance=", " ").replace(" mixture", "")
        return title[:2] + title.rpartition(" = ")[2] if by_size else short

    head = "  K" if by_size else "  model"
    body = [(told(row[0]), *row[1:]) for row in body]
    styles = {i: "bold green" for i, row in enumerate(selection.table) if row["best"]}
    screen.table((head, *header), body, text_columns=(0, len(header)), styles=styles)
    screen.say()
    ending = verdict(best)
    screen.say(summary(best, errors).removesuffix(ending).rstrip())
    screen.say()
    sound = best.converged and not best.spurious
    screen.say(ending, style="green" if sound else "bold red")
    if interrupted:
        screen.say("Interrupted: this is the best fit so far.", style="bold red")
