"""Fits and selections in words: plain text, for `print` and for the command line."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.core import Status
from emframe.parameters import leaves
from emframe.spaces import Array

if TYPE_CHECKING:
    from emframe.result import Fit
    from emframe.selection import Selection


def summary(fit: Fit) -> str:
    """The model, its criteria, its parameters, and the verdict on convergence."""
    lines = [
        fit.model.title(),
        f"{fit.n_rows:g} rows, columns {', '.join(fit.columns)}",
        "",
        f"log-likelihood {fit.log_likelihood:.6f}   parameters {fit.n_parameters}",
        f"AIC {fit.aic:.3f}   BIC {fit.bic:.3f}   ICL {fit.icl:.3f}",
    ]
    if fit.prior is not None:
        lines.append(f"prior {fit.prior}: log prior {fit.log_prior:.6f}")
    lines += ["", *parameter_lines(fit.params, fit.columns), "", verdict(fit)]
    return "\n".join(lines)


def verdict(fit: Fit) -> str:
    """How the fit ended, how often its optimum was found, and whether to trust it."""
    parts = [f"{'Converged' if fit.converged else 'Not converged'}: {fit.message}"]
    if len(fit.starts) > 1:
        parts.append(replication(fit))
    degenerate = sum(s.status is Status.DEGENERATE for s in fit.starts)
    spurious = sum(bool(s.spurious) and s.status.usable for s in fit.starts)
    aside = [
        f"{count} {what}"
        for count, what in ((degenerate, "degenerate"), (spurious, "spurious"))
        if count
    ]
    if aside:
        parts.append(f"Set aside: {' and '.join(aside)}.")
    if fit.spurious:
        parts.append(
            f"This optimum looks spurious ({fit.spurious}). Use fewer components, a more "
            "restricted structure, or prior='weak'."
        )
    return " ".join(parts)


def replication(fit: Fit) -> str:
    """How often the best optimum was found: once is no evidence that there is none better."""
    n_moves = sum(one.parent is not None for one in fit.starts)
    regular = sum(one.is_regular for one in fit.optima)
    moves = f" and {n_moves} moves away from the best" if n_moves else ""
    times = fit.n_found
    found = {
        0: "by a move only; it is not replicated, and more n_starts may find a better one",
        1: "once; it is not replicated, and more n_starts may find a better one",
    }.get(times, f"{times} times")
    return (
        f"{len(fit.starts) - n_moves} starts{moves}, {fit.n_iter} E-steps; the best optimum was "
        f"found {found}, among {regular} distinct regular {'one' if regular == 1 else 'ones'}."
    )


def parameter_lines(params: Any, columns: tuple[str, ...]) -> list[str]:
    """Every parameter array under its name, one component to a line, columns under theirs."""
    lines: list[str] = []
    for leaf in leaves(params):
        title = leaf.path.removeprefix("components.")
        value = np.asarray(leaf.value)
        shared = leaf.declared.shared and value.ndim > 2
        named = leaf.declared.shape[-1:] == ("d",) and value.shape[-1] == len(columns)
        width = max([11, *(len(name) for name in columns)] if named else [11])
        title += " (shared by all components)" if shared else ""
        if value.ndim == 1:
            lines += [title, "  " + _numbers(value, width)]
            continue
        heads = "  ".join(name.rjust(width) for name in columns)
        lines += [title, f"     {heads}"] if named else [title]
        for k, block in enumerate(value[:1] if shared else value):
            first, *rest = [_numbers(row, width) for row in np.atleast_2d(block)]
            lines += [f"  {k}: {first}", *(f"     {row}" for row in rest)]
    return lines


def selection_table(selection: Selection) -> str:
    """The table of a selection as aligned text; the chosen model is starred."""
    return aligned(*selection_cells(selection), text_columns=(0, 6))


def selection_cells(selection: Selection) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table of a selection as text: the header, and a row for each model."""
    header = ("  model", "parameters", "log-likelihood", "AIC", "BIC", "ICL", "status")
    body: list[tuple[str, ...]] = [
        (
            ("* " if row["best"] else "  ") + row["model"],
            str(row["n_parameters"]),
            f"{row['log_likelihood']:.4f}",
            f"{row['aic']:.3f}",
            f"{row['bic']:.3f}",
            f"{row['icl']:.3f}",
            row["status"] + (", spurious" if row["spurious"] else ""),
        )
        for row in selection.table
    ]
    body += [("  " + model, "", "", "", "", "", "degenerate") for model, _ in selection.failures]
    return header, body


def aligned(
    header: Sequence[str], body: Sequence[Sequence[str]], *, text_columns: Container[int]
) -> str:
    """A table as plain text, as wide as its cells: text to the left, numbers to the right."""
    lines = [header, *body]
    widths = [max(len(row[j]) for row in lines) for j in range(len(header))]

    def pad(j: int, cell: str) -> str:
        return cell.ljust(widths[j]) if j in text_columns else cell.rjust(widths[j])

    return "\n".join("  ".join(pad(j, c) for j, c in enumerate(row)).rstrip() for row in lines)


def _numbers(values: Array, width: int) -> str:
    return "  ".join(f"{value:>{width}.6g}" for value in np.atleast_1d(values))
