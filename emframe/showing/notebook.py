"""Fits as HTML, for notebooks: tables without style sheets, so that they look like the page's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from emframe.fitting.result import Fit
from emframe.parameters import leaves
from emframe.selecting.selection import Selection
from emframe.showing.report import rows_cells, selection_cells, told_n, told_rows, verdict
from emframe.showing.tidy import items, like, told


def html(fit: Fit) -> str:
    """The summary of a fit as HTML: criteria, parameters, and the verdict."""
    facts = {
        "rows": told_rows(fit).removesuffix(" rows"),
        "parameters": str(fit.n_parameters),
        "log-likelihood": f"{fit.log_likelihood:.4f}",
        "AIC": f"{fit.aic:.2f}",
        "BIC": f"{fit.bic:.2f}",
        "ICL": f"{fit.icl:.2f}",
        **({"n": told_n(fit).strip().removeprefix("n = ")} if told_n(fit) else {}),
    }
    parts = [
        f"<p><b>{escape(fit.model.title())}</b></p>",
        _table(list(facts), [list(facts.values())]),
    ]
    for leaf in leaves(like(fit.params, told(fit.params))):
        value = np.atleast_1d(leaf.value)
        name = escape(leaf.path.removeprefix("components."))
        name += " (shared by all components)" if leaf.declared.shared else ""
        parts.append(f"<p>{name}</p>")
        names = fit.component_columns.shown(leaf.path)
        named = leaf.declared.shape[-1:] == ("d",) and value.shape[-1:] == (len(names),)
        heads = (
            list(names) if named else [str(i) for i in range(value.shape[-1] if value.ndim else 1)]
        )
        if value.ndim < 2:
            parts.append(_table(heads, [_cells(value)]))
            continue
        blocks = value[:1] if leaf.declared.shared else value
        beside = [[column] for column in items(leaf, fit.component_columns)]
        rows = [
            [
                ("" if leaf.declared.shared else str(k)) if i == 0 else "",
                *(beside[i] if beside else []),
                *_cells(row, fit.levels.get(beside[i][0], ()) if beside else ()),
            ]
            for k, block in enumerate(blocks)
            for i, row in enumerate(np.atleast_2d(block))
        ]
        parts.append(_table(["", *([""] if beside else []), *heads], rows))
    weight = "" if fit.converged and not fit.spurious else ' style="font-weight: bold"'
    parts.append(f"<p{weight}>{escape(verdict(fit))}</p>")
    return "<div>" + "".join(parts) + "</div>"


def selection_html(selection: Selection) -> str:
    """The table of a selection as HTML; the chosen model is starred."""
    header, body = selection_cells(selection)
    return _table(list(header), [list(row) for row in body])


def rows_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a table, each a dict of the same names, as HTML."""
    return _table([name.replace("_", " ") for name in rows[0]], rows_cells(rows))


def _cells(values: Iterable[float], names: Sequence[str] = ()) -> list[str]:
    told = [f"{value:.6g}" for value in values]
    return [f"{name} {one}" for name, one in zip(names, told, strict=False)] if names else told


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
