"""Fits and selections in words: plain text, for `print` and for the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from emframe.core import EDGE, Status
from emframe.data.names import as_names
from emframe.fitting.optima import Optimum, is_higher, is_same, optima
from emframe.fitting.result import Fit, Start
from emframe.inference import Intervals, StandardErrors
from emframe.messages.refusals import several
from emframe.models.remedies import remedies
from emframe.parameters import leaves
from emframe.selecting.selection import Selection
from emframe.showing.tidy import items, like, told
from emframe.spaces import Array


def summary(fit: Fit, errors: StandardErrors | None = None) -> str:
    """The model, its criteria, its parameters, and the verdict on convergence.

    Standard errors, where they are given, stand in brackets under what they belong to.
    """
    lines = [
        fit.model.title(),
        f"{told_rows(fit)}, columns {', '.join(dict.fromkeys(fit.columns))}",
        "",
        f"log-likelihood {fit.log_likelihood:.6f}   parameters {fit.n_parameters}",
        f"AIC {fit.aic:.3f}   BIC {fit.bic:.3f}   ICL {fit.icl:.3f}{told_n(fit)}",
    ]
    if fit.prior is not None:
        lines.append(f"prior {fit.prior}: log prior {fit.log_prior:.6f}")
    below = None if errors is None else errors.params
    lines += ["", *parameter_lines(fit.params, fit.component_columns, below), ""]
    if errors is not None:
        lines += [f"In brackets: standard errors ({errors.method}). {errors.message}".rstrip(), ""]
    lines.append(verdict(fit))
    return "\n".join(lines)


def told_rows(fit: Fit) -> str:
    """How many rows a fit was made from, and in how many runs."""
    runs = "" if np.isnan(fit.n_runs) else f" in {several(fit.n_runs, 'run')}"
    return several(fit.n_rows, "row") + runs


def told_n(fit: Fit) -> str:
    """The n of BIC and ICL, where it might be another than the number of rows."""
    if np.isnan(fit.n_runs) and fit.count is None:
        return ""
    unit = f" {fit.unit}" if fit.unit else ""
    return f"   n = {fit.n_units:.12g}{unit}"


def verdict(fit: Fit) -> str:
    """How the fit ended, how often its optimum was found, and whether to trust it."""
    parts = [f"{'Converged' if fit.converged else 'Not converged'}: {fit.message}"]
    parts.append(replication(fit))
    ended = Counter(one.status for one in fit.starts)
    spurious = sum(bool(s.spurious) and s.status.usable for s in fit.starts)
    aside = [
        f"{count} {what}"
        for count, what in (
            (ended[Status.DEGENERATE], "degenerate"),
            (ended[Status.SEPARATED], "separated"),
            (ended[Status.FAILED], "failed"),
            (spurious, "spurious"),
            (ended[Status.SADDLE], "at a saddle"),
            (ended[Status.LEFT], "left before the end"),
        )
        if count
    ]
    if aside:
        parts.append(f"Set aside: {' and '.join(aside)}.")
    parts += on_edges(fit)
    if ended[Status.FAILED]:
        first = next(s for s in fit.starts if s.status is Status.FAILED)
        parts.append(f"Start {first.index} failed by {first.message}")
    if fit.spurious:
        more = remedies(fit.model, fit.prior)
        parts.append(f"This optimum looks spurious ({fit.spurious}). {more}".rstrip())
    return " ".join(parts)


def on_edges(fit: Fit) -> list[str]:
    """That the objective is higher than here towards an edge where it has no maximum, if it is."""
    rising = [
        one.objective
        for one in fit.starts
        if (one.status is Status.SEPARATED or EDGE in one.message)
        and one.status.lacks_maximum
        and not one.sample
    ]
    higher = [value for value in rising if is_higher(value, fit.objective)]
    if not higher or not fit.status.usable:
        return []
    more = remedies(fit.model, fit.prior)
    return [
        f"{several(len(higher), 'start')} of {len(fit.starts)} rose above this optimum, to "
        f"{max(higher):.6g} at least, towards an edge where a coefficient {EDGE}: the objective "
        f"has no maximum there, and this is the highest that was found inside. {more}".rstrip()
    ]


def replication(fit: Fit) -> str:
    """How often the best optimum was found: once is no evidence that there is none better."""
    if len(fit.starts) == 1:
        given = fit.starts[0].kind == "given"
        why = fit.model.sole_start and f"; {fit.model.sole_start}"
        where = " that was given, and no other" if given else ""
        return f"1 start{where}, {fit.n_iter} E-steps{why}."
    there = [one for one in fit.starts if one.sample]
    here = [one for one in fit.starts if not one.sample]
    sampled = fit.found_on_sample
    if not there:
        among = fit.optima
        found = _times(among, fit.objective, any(one.grown for one in here))
        end = "the best optimum was found " + found
        return (
            f"{_begun(here)}, {fit.n_iter} E-steps; {end}, among {_distinct(among)}{_chance(fit)}."
        )
    size = there[0].sample
    first = [one for one in there if one.sample == size]
    polish = f"polished on all rows, {several(fit.n_iter, 'E-step')}"
    parts = [f"{_begun(first)} on a sample of {size:,} rows, {_e_steps(first)}"]
    looked = "a second look at rows of which it has too few"
    if sampled is None:
        parts.append(f"none led to the optimum of all rows; {_begun(here)} on these did")
    elif sampled.sample == size:
        among = optima(first)
        found = _times(among, sampled.objective)
        parts.append(f"the best was found {found}, among {_distinct(among)} there; {polish}")
        if len(first) < len(there):
            parts.append(f"{looked} found none better")
    else:
        parts.append(f"{looked} found a better one; {polish}")
    return "; ".join(parts) + f"{_chance(fit)}."


def _begun(starts: Sequence[Start]) -> str:
    """How many starts there were of each kind."""
    reseeded = sum(one.is_reseeded for one in starts)
    grown = sum(one.grown and not one.is_polish for one in starts)
    moves = sum(one.parent is not None and not (one.is_reseeded or one.is_polish) for one in starts)
    begun = [
        (sum(one.is_own and not one.is_reseeded for one in starts), "start", ""),
        (reseeded, "start", " that went on with a starved component elsewhere"),
        (grown, "start", " from the optimum of a smaller model"),
        (moves, "move", " away from the best"),
    ]
    *others, last = [several(n, what) + where for n, what, where in begun if n]
    return f"{', '.join(others)} and {last}" if others else last


def _e_steps(starts: Sequence[Start]) -> str:
    return several(sum(one.n_iter for one in starts), "E-step")


def _distinct(among: Sequence[Optimum]) -> str:
    regular = sum(one.is_regular for one in among)
    return f"{regular} distinct regular {'one' if regular == 1 else 'ones'}"


def _times(among: Sequence[Optimum], objective: float, grown: bool = False) -> str:
    """How often an optimum was found, and what that says."""
    at = [one for one in among if is_same(one.objective, objective)]
    times, by_moves = sum(one.times for one in at), sum(one.moves for one in at)
    moves = ("a move", "moves")
    single, plural = ("a start from another optimum", "starts from others") if grown else moves
    more = "and more n_starts may find a better one"
    if times > 1:
        return f"{times} times"
    if times == 1 and by_moves:
        return f"once by a start and {several(by_moves, 'time')} by {plural}"
    if times == 1:
        return f"once; it is not replicated, {more}"
    if by_moves > 1:
        return f"by {by_moves} {plural} and no start of its own, {more}"
    return f"by {single} only; it is not replicated, {more}"


def _chance(fit: Fit) -> str:
    """What one more start might find."""
    if not any(one.is_own for one in fit.starts):
        return ""
    percent = 100.0 * fit.chance_missed
    return f"; the chance that one more start would find a better one is below {percent:.0f} %"


def parameter_lines(params: Any, columns: tuple[str, ...], errors: Any = None) -> list[str]:
    """Every parameter array under its name, one component to a line, columns under theirs.

    `errors`, of the same form, go in brackets under the parameters.
    """
    lines: list[str] = []
    beneath = leaves(params if errors is None else errors)
    for leaf, under in zip(leaves(like(params, told(params))), beneath, strict=True):
        title = leaf.path.removeprefix("components.")
        value, error = np.asarray(leaf.value), np.asarray(under.value)
        shared = leaf.declared.shared and value.ndim > 2
        names = as_names(columns).shown(leaf.path)
        named = leaf.declared.shape[-1:] == ("d",) and value.shape[-1] == len(names)
        beside = items(leaf, columns)
        indent = max(map(len, beside), default=0)
        width = max([11, *(len(name) for name in names)] if named else [11])
        title += " (shared by all components)" if shared else ""

        def set_out(row: Array, row_error: Array, first: str, width: int = width) -> list[str]:
            told = [first + _numbers(row, width)]
            told += [" " * len(first) + _brackets(row_error, width)] if errors is not None else []
            return told

        if value.ndim < 2:
            lines += [title, *set_out(value, error, "  ")]
            continue
        heads = "  ".join(name.rjust(width) for name in names)
        lines += [title, f"     {heads}"] if named else [title]
        for k, block in enumerate(value[:1] if shared else value):
            flat = (np.reshape(one, (-1, value.shape[-1])) for one in (block, error[k]))
            pairs = zip(*flat, strict=True)
            for i, (row, row_error) in enumerate(pairs):
                first = f"  {k}: " if i == 0 else "     "
                item = beside[i % len(beside)] if beside else ""
                first += item.ljust(indent)
                levels = as_names(columns).levels.get(item, ())
                if levels:
                    lines += _shares(row, None if errors is None else row_error, first, levels)
                    continue
                lines += set_out(row, row_error, first)
    return lines


def _shares(row: Array, row_error: Array | None, first: str, levels: Sequence[str]) -> list[str]:
    """The probabilities of the values of a column, each after what it stands for."""
    width = max(len(name) for name in levels) + 9
    named = [f"{name} {value:.4g}" for name, value in zip(levels, row, strict=False)]
    lines = [first + "  " + "  ".join(one.rjust(width) for one in named)]
    if row_error is not None:
        shown = row_error[: len(levels)]
        told = ["(-)" if np.isnan(value) else f"({value:.3g})" for value in shown]
        lines.append(" " * len(first) + "  " + "  ".join(one.rjust(width + 1) for one in told))
    return lines


def selection_table(selection: Selection) -> str:
    """The table of a selection as aligned text; the chosen model is starred."""
    header, body = selection_cells(selection)
    table = aligned(header, body, text_columns=(0, len(header) - 1))
    said = told_n(selection.best).strip()
    return f"{table}\n\nBIC and ICL with {said}." if said else table


def selection_cells(selection: Selection) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table of a selection as text: the header, and a row for each model."""
    validated = selection.criterion == "cv"
    header: tuple[str, ...]
    header = ("  model", "parameters", "log-likelihood", "AIC", "BIC", "ICL", "status")
    if validated:
        header = (*header[:-1], "CV", header[-1])
    body: list[tuple[str, ...]] = [
        (
            ("* " if row["best"] else "  ") + row["model"],
            str(row["n_parameters"]),
            f"{row['log_likelihood']:.4f}",
            f"{row['aic']:.3f}",
            f"{row['bic']:.3f}",
            f"{row['icl']:.3f}",
            *([f"{row['cv']:.3f}"] if validated else []),
            row["status"]
            + (", spurious" if row["spurious"] else "")
            + (f", not determined: {row['undetermined']}" if row["undetermined"] else ""),
        )
        for row in selection.table
    ]
    blank = [""] * (len(header) - 2)
    body += [("  " + model, *blank, "degenerate") for model, _ in selection.failures]
    return header, body


def errors_table(errors: StandardErrors, intervals: Intervals | None = None) -> str:
    """Estimates and standard errors, with intervals where there are any, as aligned text."""
    header = ["parameter", "estimate", "std. error"]
    if intervals is not None:
        percent = f"{100 * intervals.level:g} %"
        header += [f"{percent} from", "to"]
    rows = errors.table if intervals is None else intervals.table
    digits = {"estimate": 5, "standard_error": 4, "lower": 5, "upper": 5}  # that mean something
    body = [
        [row["parameter"], *(f"{row[name]:.{n}g}" for name, n in digits.items() if name in row)]
        for row in rows
    ]
    text = aligned(header, body, text_columns=(0,))
    return f"{text}\n\n{errors.message}" if errors.message else text


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a table, each a dict of the same names, as aligned text; the first column is text."""
    body = rows_cells(rows)
    return aligned([name.replace("_", " ") for name in rows[0]], body, text_columns=(0,))


def rows_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of these rows as text."""
    return [[f"{v:.5g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]


def aligned(
    header: Sequence[str], body: Sequence[Sequence[str]], *, text_columns: Container[int]
) -> str:
    """A table as plain text, as wide as its cells: text to the left, numbers to the right."""
    lines = [header, *body]
    widths = [max(len(row[j]) for row in lines) for j in range(len(header))]

    def pad(j: int, cell: str) -> str:
        return cell.ljust(widths[j]) if j in text_columns else cell.rjust(widths[j])

    return "\n".join("  ".join(pad(j, c) for j, c in enumerate(row)).rstrip() for row in lines)


def _brackets(values: Array, width: int) -> str:
    """Numbers in brackets, their last digits under those of `_numbers`; a dash where none is."""
    told = ["(-)" if np.isnan(value) else f"({value:.3g})" for value in np.atleast_1d(values)]
    return " ".join(one.rjust(width + 1) for one in told)


def _numbers(values: Array, width: int) -> str:
    return "  ".join(f"{value:>{width}.6g}" for value in np.atleast_1d(values))
