"""What `fit` and `select` share: where rows come from, how to fit, and where the result goes.

    @click.command()
    @click.argument("data")
    @job
    @click.pass_context
    def fit(ctx, /, data, *, job): ...

One decorator puts the options on a command and hands them to it as one value.

One known case: a command with no options of its own and ``--seed 3`` gets ``job.run["rng"] == 3``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

import click

import emframe
from emframe.cli import pictures, sheets
from emframe.cli.settings import StartsOption, family_options, reading, together
from emframe.data import Table
from emframe.data.formulas import is_formula, names_in
from emframe.data.legend import Legend
from emframe.inference import METHODS
from emframe.models import ComponentModel, Model
from emframe.selecting.selection import CRITERIA

_OPTIONS = together(
    family_options,
    # Which rows and columns.
    click.option("--columns", metavar="A,B", help="Names, or numbers from 0.  [default: all]"),
    click.option("--weights", metavar="COLUMN", help="Frequencies: how often each row counts."),
    # How to fit, and what to choose by: the names are those of `emframe.select`.
    click.option(
        "--criterion",
        type=click.Choice(CRITERIA, case_sensitive=False),
        default="bic",
        show_default=True,
        help="What to choose by; the lowest wins. cv is cross-validated log-likelihood, times -2.",
    ),
    click.option(
        "--count",
        type=click.Choice(("rows", "runs")),
        help="The n of BIC and ICL.  [default: runs where the rows of one share a component]",
    ),
    click.option("--prior", metavar="NAME", help="'weak' for the family's weak prior."),
    click.option(
        "--starts",
        "n_starts",
        type=StartsOption(),
        default="default",
        show_default=True,
        metavar="N|LEVEL",
        help="Starts of each model: a number, or quick, default, thorough: until they agree.",
    ),
    click.option(
        "--seed", "rng", type=click.IntRange(min=0), default=0, show_default=True, metavar="N"
    ),
    click.option(
        "--tol",
        type=float,
        default=1e-8,
        show_default=True,
        metavar="NATS",
        help="Stop when less than this is still to gain.",
    ),
    click.option(
        "--max-iter",
        type=click.IntRange(min=0),
        default=10_000,
        show_default=True,
        metavar="N",
        help="Cap on the steps of each start.",
    ),
    click.option("--max-seconds", type=float, metavar="S", help="Cap on the time of each model."),
    click.option(
        "--threads",
        "engine",
        type=click.IntRange(min=1),
        metavar="N",
        help="The result is the same.  [default: as many as the work is worth]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes that share the models.  [default: one a core where data are small]",
    ),
    click.option(
        "--dask",
        is_flag=False,
        flag_value="",
        metavar="[ADDRESS]",
        help="DATA are Parquet files, as 'rows/*.parquet', and stay with workers of Dask: of the "
        "cluster with this scheduler, or of this machine.",
    ),
    click.option(
        "--progress/--no-progress",
        default=None,
        help="A line on stderr while it takes long.  [default: if that is a terminal]",
    ),
    # Where the result goes.
    click.option("--save", metavar="FILE", help="Keep the chosen fit, for predict and sample."),
    click.option(
        "--errors",
        type=click.Choice(METHODS),
        help="Show standard errors in brackets under the parameters.",
    ),
    click.option("--plot", metavar="FILE", help="Draw the fit and the choice: .png, .svg or .pdf."),
    click.option("--json", "as_json", is_flag=True, help="Write one JSON document, nothing else."),
)


@dataclass(frozen=True)
class Job:
    """The shared options as they were given."""

    options: tuple[str, ...]  # of the family, KEY=VALUE
    columns: str | None
    weights: str | None
    reading: sheets.TableReading
    save: str | None
    errors: str | None
    plot: str | None
    as_json: bool
    dask: str | None  # the address of a scheduler; empty for workers of this machine
    run: dict[str, Any]  # the rest: arguments of `emframe.select`

    def read(self, data: str) -> sheets.Sheet:
        """The sheet of DATA, after refusing results that could not be written at the end."""
        _writable("--save", self.save)
        _writable("--plot", self.plot)
        if self.plot is not None and self.dask is not None:
            raise click.UsageError("--plot draws rows, which --dask leaves with its workers.")
        if self.plot is not None:
            pictures.require(self.plot)
        if self.dask is not None:
            return sheets.on_dask(data, self.dask)
        return sheets.read(data, self.reading)

    def rows(
        self, sheet: sheets.Sheet, models: Sequence[Model], *leave_out: str | None
    ) -> tuple[Any, Any]:
        """The columns of a sheet that the models read, and the weights of its rows.

        Unless --columns says which, those that the models name, or all where one names none.  They
        are a data frame where a model reads words, or a formula, and a `Table` of numbers else; of
        rows on Dask its frame, and the name of the weights.
        """
        weighing, taken = self._taken(sheet, models, *leave_out)
        if sheet.collection is not None:
            if any(one is not None for one in leave_out):
                raise click.UsageError("--runs and --labels do not go with --dask.")
            names = [sheet.names[j] for j in (*taken, *weighing)]
            return sheet.collection[names], sheet.names[weighing[0]] if weighing else None
        weights = sheet.numbers(weighing)[:, 0] if weighing else sheet.weights
        return laid_out(sheet, models, taken), weights

    def _taken(
        self, sheet: sheets.Sheet, models: Sequence[Model], *leave_out: str | None
    ) -> tuple[list[int], list[int]]:
        """The columns of a sheet that are weights, and those that the models read."""
        weighing = sheet.find(self.weights) if self.weights is not None else []
        if any(map(sheet.holds_words, weighing)):
            raise ValueError(
                f"--weights {self.weights} has words ({sheet.cells[0][weighing[0]]!r}), and is how "
                "often each row counts; columns that mixing weights depend on are --weights-on."
            )
        aside = [*weighing, *(j for one in leave_out if one is not None for j in sheet.find(one))]
        if len(weighing) > 1:
            raise ValueError(f"--weights {self.weights!r} names several columns; pass one.")
        if self.columns is not None:
            beside = (sheet.find(name)[0] for model in models for name in gated_by(model))
            taken = list(dict.fromkeys([*sheet.find(self.columns), *beside]))
        else:
            named = named_columns(models)
            for name in sorted(named or ()):
                if name not in sheet.names:
                    raise ValueError(
                        f"{sheet.origin} has no column {name!r}; it has {', '.join(sheet.names)}."
                    )
                if sheet.names.index(name) in aside:
                    raise ValueError(
                        f"the column {name!r} is one of the model's; --weights, --runs and "
                        "--labels take columns that it does not read."
                    )
            taken = [
                j
                for j, name in enumerate(sheet.names)
                if j not in aside and (named is None or name in named)
            ]
        return weighing, taken


def laid_out(sheet: sheets.Sheet, models: Sequence[Model], taken: Sequence[int]) -> Any:
    """These columns of a sheet as the models read them: a frame of words, or a `Table`."""
    names = tuple(sheet.names[j] for j in taken)
    may_be = {name for model in models for name in _may_be_words(model, names)}
    words = {j for j in taken if sheet.names[j] in may_be and sheet.holds_words(j)}
    if words or any(formulas_of(model) for model in models):
        return sheet.frame(taken, words)
    return Table(sheet.numbers(taken, may_be), names, None)


def named_columns(models: Sequence[Model]) -> set[str] | None:
    """The columns that some of the models name; None where one reads all that there are."""
    found: set[str] = set()
    for model in models:
        names = named_by(model)
        if names is None:
            return None
        found.update(names)
    return found


def named_by(model: Model) -> tuple[str, ...] | None:
    """The columns of a file that a model names; None where its family reads all that there are."""
    legend = getattr(model, "legend", Legend())
    names = getattr(getattr(model, "family", None), "columns", None) or legend.columns
    if names is None:
        return None
    spelt = {label: name for name, labels in legend.spelt.items() for label in labels}
    group = () if legend.group is None else (legend.group,)
    return tuple(
        dict.fromkeys(
            source
            for name in (*names, *gated_by(model), *group)
            for source in _sources(spelt.get(name, name))
        )
    )


def gated_by(model: Model) -> tuple[str, ...]:
    """The columns of a file that the gate of a model reads."""
    gate = getattr(model, "weights", None)
    return tuple(map(str, gate.sources)) if isinstance(gate, emframe.Gate) else ()


def formulas_of(model: Model) -> bool:
    """Whether a model reads columns by a formula."""
    gate, legend = getattr(model, "weights", None), getattr(model, "legend", Legend())
    columns = getattr(getattr(model, "family", None), "columns", None) or ()
    gated = gate.columns if isinstance(gate, emframe.Gate) else ()
    return any(map(is_formula, (*columns, *gated, *legend.spelt)))


def _sources(name: str) -> tuple[str, ...]:
    return names_in(name) if is_formula(name) else (name,)


def _may_be_words(model: Model, taken: Sequence[str]) -> set[str]:
    """Those of some columns of a file in which a model takes words: outcomes, or given ones."""
    family = getattr(model, "family", None)
    if family is None or not isinstance(model, ComponentModel):
        return set()
    beside = set(gated_by(model))
    own = family.columns or model.legend.columns or [one for one in taken if one not in beside]
    places = (*family.kinds(len(own)), *family.covariates)
    spelt = {label: name for name, labels in model.legend.spelt.items() for label in labels}
    told = (one for j in places for one in _sources(spelt.get(own[j], own[j])))
    return {*told, *beside, *([model.legend.group] if model.legend.group else [])}


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options; it gets them as its argument ``job``."""
    own = set(signature(command).parameters)
    named = {one.name for one in fields(Job)} - {"run"}

    @wraps(command)
    def with_job(*args: Any, **given: Any) -> None:
        run = {name: value for name, value in given.items() if name not in own | named}
        shared = Job(**{name: given[name] for name in named}, run=run)
        command(*args, **{name: given[name] for name in own & set(given)}, job=shared)

    shared_command: Callable[..., None] = _OPTIONS(reading(with_job))
    return shared_command


def family_names(sheet: sheets.Sheet, ctx: click.Context, *given: str) -> tuple[str, ...]:
    """The families that were asked for, or the one that a shipped data set illustrates."""
    names = given or ((sheet.family,) if sheet.family is not None else ())
    if not names:
        known = ", ".join(sorted(emframe.families()))
        raise click.UsageError(f"--family is needed for a file; known: {known}.", ctx)
    return names


def _writable(option: str, path: str | None) -> None:
    """Refuse a file that cannot be written before the work rather than after."""
    if path is None:
        return
    file, folder = Path(path), Path(path).absolute().parent
    if file.is_dir() or not folder.is_dir():
        raise ValueError(f"{option} {path}: it is a directory, or its directory does not exist.")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise ValueError(f"{option} {path}: no permission to write there.")
