"""Parameters as frames, summaries and HTML: the fit's own numbers, each once, under its name."""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import emframe
from emframe.parameters import n_free


class Cells(HTMLParser):
    """The text of all cells, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in {"td", "th"}:
            self.cells[-1] += data


def fitted(covariance="full"):
    data = emframe.dataset("faithful")
    model = emframe.Mixture("gaussian", n_components=2, covariance=covariance)
    return emframe.fit(model, data, rng=0, n_starts=2), data


@pytest.mark.parametrize("covariance", ["full", "diag", "spherical", "tied"])
def test_a_frame_has_each_number_once(covariance):
    fit, data = fitted(covariance)
    frame = fit.to_frame()
    assert len(frame) == n_free(fit.params) + 1  # of the weights one is not free
    for _, row in frame.iterrows():
        array = getattr(
            fit.params if row.parameter == "weights" else fit.params.components, row.parameter
        )
        k = 0 if row.isna().component else row.component
        places = [row[name] for name in ("column", "column_2") if isinstance(row[name], str)]
        index = (k, *(data.columns.index(place) for place in places))
        assert row.estimate == array[index]
    shared = frame[frame.parameter == "covariances"].component.isna()
    assert shared.all() == (covariance == "tied")


def test_a_frame_holds_standard_errors_where_they_are_given():
    fit, data = fitted()
    errors = fit.standard_errors(data)
    frame = fit.to_frame(errors, level=0.9)
    assert list(frame.columns[-4:]) == ["estimate", "standard_error", "lower", "upper"]
    table = errors.confint(0.9).table
    assert frame.lower.tolist() == [row["lower"] for row in table]
    assert frame.standard_error.tolist() == [row["standard_error"] for row in table]


def test_the_summary_sets_standard_errors_under_the_parameters():
    fit, data = fitted()
    errors = fit.standard_errors(data)
    lines = fit.summary(errors).splitlines()
    at = lines.index("weights") + 1
    assert [float(cell) for cell in lines[at].split()] == pytest.approx(fit.params.weights, 1e-5)
    below = [float(cell.strip("()")) for cell in lines[at + 1].split()]
    assert below == pytest.approx(errors.params.weights, rel=1e-2)
    ends = [lines[at].rindex(cell) + len(cell) for cell in lines[at].split()]
    assert [lines[at + 1][end] for end in ends] == [")", ")"]  # just beyond the last digits
    assert "standard errors (observed)" in fit.summary(errors)
    assert "(" not in "".join(str(fit).splitlines()[6:12])
    assert fit.summary() == str(fit)


@pytest.mark.parametrize("covariance", ["full", "tied"])
def test_html_is_well_formed_and_holds_the_numbers(covariance):
    fit, data = fitted(covariance)
    cells = Cells(fit._repr_html_()).cells
    for name in data.columns:
        assert name in cells
    numbers = [f"{value:.6g}" for value in fit.params.components.means.ravel()]
    assert set(numbers) <= set(cells)
    assert f"{fit.bic:.2f}" in cells


def test_html_escapes_the_names_of_columns():
    rng = np.random.default_rng(0)
    table = pytest.importorskip("pandas").DataFrame({"<b>a</b>": rng.normal(size=30)})
    fit = emframe.fit(emframe.Mixture("gaussian"), table, n_starts=1)
    text = fit._repr_html_()
    assert "<b>a</b>" not in text
    assert "<b>a</b>" in Cells(text).cells


def test_without_pandas_the_extra_is_named(monkeypatch):
    fit, _ = fitted()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"emframe\[dataframe\]"):
        fit.to_frame()
