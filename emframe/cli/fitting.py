"""``emframe fit``: one model or several to a table, the choice among them, and the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import click
import numpy as np

import emframe
from emframe.cli import pictures, screen, sheets
from emframe.cli.models import entry_of, in_runs, models_of
from emframe.cli.settings import (
    data_options,
    family_of,
    family_options,
    output_options,
    run_options,
    sizes,
)
from emframe.data import Table
from emframe.models import Model
from emframe.parameters import nested, to_mapping
from emframe.report import selection_cells, summary, verdict


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
@click.option("--runs", metavar="COLUMN", help="Rows of one run are alike in it, as one subject's.")
@click.option("--covariance", metavar="KIND", help="Short for --option covariance=KIND.")
@family_options
@data_options
@run_options
@output_options
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
    covariance: str | None,
    options: tuple[str, ...],
    columns: str | None,
    weights: str | None,
    has_header: bool | None,
    save: str | None,
    errors: str | None,
    plot: str | None,
    as_json: bool,
    **run: Any,
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
    emframe fit people.csv --family age=gaussian,visits=poisson --components 1-3
    emframe fit my.csv --family gaussian --components 3 --prior weak --save my.fit
    emframe fit large.parquet --family gaussian --components 8 --starts 4 --threads 2
    emframe fit faithful --components 2 --json | jq .best.parameters.weights
    emframe fit earthquakes --model hidden-markov --components 2-4
    emframe fit visits.csv --model hidden-markov --family poisson --runs patient
    emframe fit iris --model factor-analysis --components 1
    emframe fit gaps.csv --model incomplete-gaussian --components 1-3

    The exit status is 0 also where a fit did not converge (read the last line), 1 where the
    model is degenerate, 2 for misuse or unusable data, 130 after Ctrl-C, which shows the best so
    far.
    """
    outputs = Outputs(save, plot, as_json, errors)
    outputs.require()
    sheet = sheets.read(data, has_header)
    pairs = [*options, *([f"covariance={covariance}"] if covariance is not None else [])]
    given = ctx.get_parameter_source("components") is not click.core.ParameterSource.DEFAULT
    if model is not None:
        own = family or (sheet.family if entry_of(model).takes("family") else None)
        made = models_of(model, own, components if given else None, pairs)
        rows: Any = table(sheet, columns, weights, leave_out=runs)
        if runs is not None:
            rows, run["weights"] = in_runs(sheet, rows, runs)
        choose(ctx, made, sheet.origin, rows, run, outputs)
        return
    if runs is not None:
        raise click.UsageError("--runs goes with --model: to a mixture every row is its own.", ctx)
    name = family or sheet.family
    if name is None:
        known = ", ".join(sorted(emframe.families()))
        raise click.UsageError(f"--family is needed for a file; known: {known}.", ctx)
    parts = family_of(name, pairs)
    mixtures = [emframe.Mixture(parts, n_components=k) for k in components]
    choose(ctx, mixtures, sheet.origin, table(sheet, columns, weights), run, outputs)


@dataclass(frozen=True)
class Outputs:
    """Where the result goes."""

    save: str | None
    plot: str | None
    as_json: bool
    errors: str | None = None

    def require(self) -> None:
        """Refuse what cannot be written before the work rather than after."""
        _writable("--save", self.save)
        _writable("--plot", self.plot)
        if self.plot is not None:
            pictures.require(self.plot)


def choose(
    ctx: click.Context,
    models: Sequence[Model],
    origin: str,
    data: Table,
    run: dict[str, Any],
    outputs: Outputs,
    *,
    several_kinds: bool = False,
) -> None:
    """Fit the models, show the choice among them, and end with the status of the best.

    `run` are arguments of `emframe.select`. Models of several kinds are told by their titles, the
    best first; those of one kind by K, in its order.
    """
    criterion, wish = run.pop("criterion"), run.pop("progress")
    progress = "auto" if wish is None else wish
    interrupted = False
    try:
        chosen = emframe.select(models, data, criterion=criterion, progress=progress, **run)
    except emframe.Interrupted as stop:
        chosen, interrupted = emframe.Selection((stop.fit,), criterion), True
    if several_kinds:
        chosen = ranked(chosen)
    errors = None
    if outputs.errors is not None and not interrupted:
        errors = chosen.best.standard_errors(data, method=outputs.errors, rng=run["rng"])
    if outputs.as_json:
        click.echo(json.dumps(document(chosen, origin, errors), indent=1, allow_nan=False))
    else:
        _show(chosen, interrupted, several_kinds, errors)
    if outputs.save is not None:
        chosen.best.save(outputs.save)
    if outputs.plot is not None:
        pictures.draw(chosen, data, outputs.plot)
    if not outputs.as_json:
        for done, path in (("Saved as", outputs.save), ("Drawn in", outputs.plot)):
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


def table(
    sheet: sheets.Sheet, columns: str | None, weights: str | None, leave_out: str | None = None
) -> Table:
    """The columns of a sheet that are data, with those that are weights as weights."""
    weighing = sheet.find(weights) if weights is not None else []
    aside = [*weighing, *(sheet.find(leave_out) if leave_out is not None else [])]
    if len(weighing) > 1:
        raise ValueError(f"--weights {weights!r} names several columns; pass one.")
    taken = (
        sheet.find(columns)
        if columns is not None
        else [j for j in range(len(sheet.names)) if j not in aside]
    )
    return Table(
        sheet.numbers(taken),
        tuple(sheet.names[j] for j in taken),
        sheet.numbers(weighing)[:, 0] if weighing else sheet.weights,
    )


def _writable(option: str, path: str | None) -> None:
    """Refuse a file that cannot be written before the work rather than after."""
    if path is not None and (Path(path).is_dir() or not Path(path).absolute().parent.is_dir()):
        raise ValueError(f"{option} {path}: it is a directory, or its directory does not exist.")
