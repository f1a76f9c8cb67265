"""Pictures: each shows the fit's own numbers, on the Axes it was given, with any family."""

from __future__ import annotations

import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.stats import chi2

import emframe
from emframe.parameters import leaves
from emframe.plotting import KINDS
from emframe.plotting.outlines import ellipse
from emframe.plotting.plane import SHARES
from emframe.plotting.scene import scene
from emframe.plotting.style import DARK, LIGHT, hues, is_dark


def axes(**style):
    with mpl.rc_context(style):
        return Figure(figsize=(5, 4), layout="constrained").subplots()


ANSWERS = np.random.default_rng(0).integers(0, [2, 4, 3, 4, 2], (200, 5)).astype(float)


def fitted(name, k, columns=None, **options):
    if name == "answers":
        model = emframe.Mixture("categorical", n_components=k)
        return emframe.fit(model, ANSWERS, rng=0, n_starts=1), ANSWERS, None
    data = emframe.dataset(name)
    X = data.X if columns is None else data.X[:, columns]
    names = {"faithful": "gaussian", "iris": "gaussian"}
    family = names.get(name) or ("bernoulli" if name == "carcinoma" else "poisson")
    model = emframe.Mixture(family, n_components=k, **options)
    return emframe.fit(model, X, weights=data.weights, rng=0, n_starts=3), X, data.weights


def test_states_of_a_chain_are_stacked_step_by_step():
    rng = np.random.default_rng(0)
    x = rng.poisson(np.repeat([2.0, 20.0, 2.0], 10))
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    one = emframe.fit(model, x, rng=0, n_starts=1)
    canvas = axes()
    one.plot(x, "states", ax=canvas)
    lower = canvas.collections[0].get_paths()[0].vertices
    resp = one.predict_proba(x)[:, 0]
    assert {(float(i), round(p, 9)) for i, p in enumerate(resp)} <= {
        (a, round(b, 9)) for a, b in lower.tolist()
    }
    runs = emframe.Sequences(x, [10, 20])
    canvas = axes()
    one.plot(runs, "states", ax=canvas)
    last = canvas.collections[0].get_paths()[0].vertices
    mean = one.predict_proba(runs)[[0, 10], 0].mean()
    assert np.isclose(last[last[:, 0] == 0, 1], mean).any()
    rows, X, _ = fitted("faithful", 2)
    with pytest.raises(ValueError, match="states over time are those of chains"):
        rows.plot(X, "states", ax=axes())


CASES = {
    "one column": (("faithful", 2, [1]), "density"),
    "counts": (("earthquakes", 2), "density"),
    "weighted counts": (("death_notices", 2), "density"),
    "two columns": (("faithful", 2), "plane"),
    "four columns": (("iris", 3), "pairs"),
    "items": (("carcinoma", 2), "profile"),
    "answers": (("answers", 2), "profile"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("with_data", [True, False])
def test_the_kind_suits_the_columns(case, with_data):
    arguments, kind = CASES[case]
    fit, X, weights = fitted(*arguments)
    by_default, by_name = axes(), axes()
    rows = {"X": X, "weights": weights} if with_data else {}
    assert fit.plot(**rows, ax=by_default) is by_default
    fit.plot(**rows, kind=kind, ax=by_name)
    for one in (by_default, by_name):
        one.figure.canvas.draw()
    first, second = (
        len(one.lines) + len(one.child_axes) + len(one.patches) for one in (by_default, by_name)
    )
    assert first == second > 0


def labelled(ax, start):
    return [line for line in ax.lines if str(line.get_label()).startswith(start)]


def test_a_density_is_that_of_the_fit_and_bars_are_those_of_the_data():
    fit, X, weights = fitted("death_notices", 2)
    ax = fit.plot(X, ax=axes(), weights=weights)
    (whole,) = labelled(ax, "all")
    grid, height = whole.get_data()
    assert height == pytest.approx(np.exp(fit.score_samples(grid)))
    parts = [line.get_ydata() for line in labelled(ax, "component")]
    assert np.sum(parts, axis=0) == pytest.approx(height)
    bars = [patch.get_height() for patch in ax.patches]
    assert bars == pytest.approx(weights / weights.sum())
    assert [label.split(", ")[1] for label in map(str, (p.get_label() for p in ax.lines[:2]))] == [
        f"{share:.0%}" for share in fit.params.weights
    ]


def test_a_histogram_has_the_area_of_the_density():
    fit, X, _ = fitted("faithful", 2, [1])
    ax = fit.plot(X, ax=axes())
    assert sum(p.get_width() * p.get_height() for p in ax.patches) == pytest.approx(1.0)
    (whole,) = labelled(ax, "all")
    assert np.trapezoid(*whole.get_data()[::-1]) == pytest.approx(1.0, abs=0.05)


def test_regions_hold_their_share_and_are_ellipses_for_a_gaussian():
    fit, X, _ = fitted("faithful", 1)
    shown = scene(fit, X)
    mean = fit.params.components.means[0]
    precision = np.linalg.inv(fit.params.components.covariances[0])
    peak = fit.score_samples(mean[None])[0]
    for share in SHARES:
        assert peak - shown.level(0, share) == pytest.approx(chi2.ppf(share, 2) / 2, rel=0.05)
    ax = fit.plot(X, ax=axes())
    (contours,) = ax.collections[1:]
    for path, share in zip(contours.get_paths(), sorted(SHARES, reverse=True), strict=True):
        away = path.vertices - mean
        distance = np.einsum("ij,jk,ik->i", away, precision, away)
        assert distance == pytest.approx(np.full(len(away), chi2.ppf(share, 2)), rel=0.06)


def test_a_concentration_ellipse_holds_its_share_of_a_normal():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2)) @ [[2.0, 1.0], [0.0, 0.5]] + [5.0, -3.0]
    edge = ellipse(x, 0.9)
    precision = np.linalg.inv(np.cov(x.T))
    distance = np.einsum("ij,jk,ik->i", edge - x.mean(axis=0), precision, edge - x.mean(axis=0))
    assert distance == pytest.approx(np.full(len(edge), chi2.ppf(0.9, 2)))


def test_rows_are_in_the_colours_of_their_responsibilities():
    fit, X, _ = fitted("faithful", 2)
    ax = fit.plot(X, ax=axes())
    palette = np.array([to_rgb(colour) for colour in hues(ax, 2)])
    resp = fit.predict_proba(X)
    shown = np.concatenate([c.get_facecolors()[:, :3] for c in ax.collections[:2]])
    expected = np.concatenate([(resp @ palette)[fit.predict(X) == k] for k in (0, 1)])
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize(("family", "name"), [("carcinoma", "probs"), ("iris", "means")])
def test_a_profile_shows_the_parameter_and_its_intervals(family, name):
    fit, X, _ = fitted(family, 2)
    errors = fit.standard_errors(X)
    ax = fit.plot(X, "profile", ax=axes(), errors=errors)
    values = next(leaf.value for leaf in leaves(fit.params) if leaf.path.endswith(name))
    ends = errors.confint().lower.components
    lower = getattr(ends, name)
    if name == "means":
        values, lower = ((v - X.mean(axis=0)) / X.std(axis=0) for v in (values, lower))
    for k, line in enumerate(labelled(ax, "component")):
        assert line.get_ydata() == pytest.approx(values[k])
        drawn = [segment[0, 1] for segment in ax.collections[k].get_segments() if len(segment)]
        assert drawn == pytest.approx(lower[k][np.isfinite(lower[k])])
    assert [text.get_text() for text in ax.get_xticklabels()] == list(fit.columns)


def test_a_profile_of_several_answers_stacks_their_probabilities():
    fit, X, _ = fitted("answers", 2)
    ax = fit.plot(X, ax=axes())
    probs = fit.params.components.probs  # (K, d, m)
    heights = np.array([patch.get_height() for patch in ax.patches])
    assert heights == pytest.approx(np.moveaxis(probs, 2, 1).ravel())
    tops = [patch.get_y() + patch.get_height() for patch in ax.patches]
    assert tops == pytest.approx(np.moveaxis(probs.cumsum(axis=2), 2, 1).ravel())
    assert [text.get_text() for text in ax.get_xticklabels()] == list(fit.columns)
    with pytest.raises(ValueError, match="show no intervals; leave `errors` out"):
        fit.plot(X, ax=axes(), errors=fit.standard_errors(X))


def test_a_trace_shows_every_start():
    fit, *_ = fitted("iris", 3)
    ax = fit.plot(kind="trace", ax=axes())
    lengths = sorted(len(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) > 1)
    assert lengths == sorted(len(start.trace) for start in fit.starts if len(start.trace) > 1)
    assert fit.starts[fit.best].trace == tuple(fit.trace)
    assert ax.get_yscale() == "log"


def test_uncertainty_counts_every_row():
    fit, X, weights = fitted("death_notices", 2)
    ax = fit.plot(X, "uncertainty", ax=axes(), weights=weights)
    doubt = np.concatenate([line.get_ydata() for line in ax.lines])
    assert np.sort(doubt) == pytest.approx(np.sort(1 - fit.predict_proba(X).max(axis=1)))
    assert max(line.get_xdata().max() for line in ax.lines) == pytest.approx(1.0)


def test_a_selection_shows_its_criterion_and_rings_the_best():
    X = emframe.dataset("earthquakes").X
    found = emframe.select(("poisson", range(1, 4)), X, rng=0, n_starts=2)
    ax = found.plot(ax=axes())
    line, ring = ax.lines[0], ax.lines[-1]
    assert list(line.get_xdata()) == [1, 2, 3]
    assert list(line.get_ydata()) == [one.bic for one in found.fits]
    assert list(ring.get_ydata()) == [found.best.bic]
    assert ax.get_ylabel() == "BIC"


def test_models_of_several_kinds_are_lines_and_those_without_a_size_points():
    X = emframe.dataset("faithful")
    kinds = [("gaussian", {"covariance": kind}) for kind in ("full", "tied")]
    models = [emframe.Mixture(name, k, **options) for name, options in kinds for k in (2, 1)]
    ax = emframe.select(models, X, rng=0, n_starts=2).plot(ax=axes())
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["gaussian mixture, covariance=full", "gaussian mixture, covariance=tied"]
    assert [list(line.get_xdata()) for line in labelled(ax, "gaussian")] == [[1, 2], [1, 2]]
    tables = [emframe.model("gene-counting", table=name) for name in ("abo", "linkage")]
    few = emframe.select(tables, [0, 1, 1, 2, 3], n_starts=1, rng=0)
    ax = few.plot(ax=axes())
    assert [text.get_text() for text in ax.get_xticklabels()] == [m.title() for m in tables]


def test_a_size_is_called_what_the_model_counts():
    rows = np.random.default_rng(0).normal(size=(60, 5))
    factors = [emframe.model("factor-analysis", n_factors=q) for q in (1, 2)]
    both = [*factors, emframe.Mixture("gaussian", 1)]
    hidden = [emframe.model("hidden-markov", family="gaussian", n_states=k) for k in (1, 2)]
    for models, name in (
        (factors, "number of factors"),
        (hidden, "number of states"),
        (both, "number of factors or components"),
    ):
        ax = emframe.select(models, rows, n_starts=1, rng=0).plot(ax=axes())
        assert ax.get_xlabel() == name
        assert list(ax.lines[0].get_xdata()) == [1, 2]


def test_rows_of_runs_are_drawn_as_if_they_stood_alone():
    X = emframe.dataset("faithful").X
    runs = emframe.Sequences(X, np.ones(len(X), dtype=int))
    family, start = emframe.family("gaussian"), X[:, 0] > 3
    pairs = [(family, X), (emframe.Grouped(family), runs)]
    fits = [emframe.fit(emframe.Mixture(f, 2), x, start=start) for f, x in pairs]
    for fit, (_, x) in zip(fits, pairs, strict=True):
        assert fit.plot(x, ax=axes()).collections
    joints = [scene(fit, x).log_joint(X) for fit, (_, x) in zip(fits, pairs, strict=True)]
    assert joints[0] == pytest.approx(joints[1], rel=1e-6)


def test_runs_and_continuous_z_are_drawn_as_well():
    counts = emframe.dataset("earthquakes").X
    hidden = emframe.fit(
        emframe.model("hidden-markov", family="poisson", n_states=2), counts, rng=0, n_starts=1
    )
    ax = hidden.plot(counts, ax=axes())
    parts = [line.get_ydata() for line in labelled(ax, "component")]
    assert np.sum(parts) == pytest.approx(1.0, abs=0.02)
    shares = np.linalg.matrix_power(hidden.params.transitions, 200)[0]  # where the chain settles
    assert [part.sum() for part in parts] == pytest.approx(shares, abs=0.04)
    X = np.random.default_rng(0).normal(size=(80, 3))
    factors = emframe.fit(emframe.model("factor-analysis", n_factors=1), X, rng=0, n_starts=1)
    assert len(factors.plot(X, ax=axes()).child_axes) == 9
    with pytest.raises(ValueError, match="no labels to be sure of"):
        factors.plot(X, "uncertainty", ax=axes())


@pytest.mark.parametrize(
    ("kinds", "panels"), [(("gaussian", "poisson", "bernoulli"), 9), (("poisson", "bernoulli"), 0)]
)
def test_columns_of_different_kinds_are_drawn_in_pairs_or_a_plane(kinds, panels):
    rng = np.random.default_rng(0)
    X = rng.binomial(1, 0.5, (60, len(kinds))).astype(float)
    model = emframe.Mixture(emframe.Product(dict(enumerate(kinds))), 2)
    ax = emframe.fit(model, X, rng=0, n_starts=1, max_iter=5).plot(X, ax=axes())
    assert len(ax.child_axes) == panels


# ---- what components say nothing of, and what has no shape


def crossing(n=200, seed=0):
    """Runs of 4 rows that rise or fall with x, a 0/1 column and one of codes; (n, 5) and runs."""
    rng = np.random.default_rng(seed)
    z = np.repeat(rng.integers(0, 2, n // 4), 4)
    x = rng.uniform(0, 5, n)
    y = np.array([0.0, 6.0])[z] + np.array([1.0, -1.0])[z] * x + rng.normal(0, 0.3, n)
    yes = rng.random(n) < 1 / (1 + np.exp(np.array([3.0, -3.0])[z] - np.array([1, -1])[z] * x))
    sex, item = rng.integers(0, 2, n), rng.integers(0, 4, n)
    return np.column_stack([y, x, yes, sex, item]).astype(float), np.full(n // 4, 4)


def regression(response, *predictors, name="gaussian-regression"):
    return emframe.family(name, response=response, predictors=predictors)


@pytest.mark.parametrize("grouped", [False, True])
def test_each_component_of_a_regression_has_its_bands(grouped):
    X, lengths = crossing()
    rows = emframe.Sequences(X[:, :2], lengths) if grouped else X[:, :2]
    family = regression(0, 1)
    model = emframe.Mixture(emframe.Grouped(family) if grouped else family, 2)
    fit = emframe.fit(model, rows, rng=0, n_starts=4)
    ax = fit.plot(rows, ax=axes())
    bands = [one for one in ax.collections if hasattr(one, "levels")]
    own = fit.params.components
    assert len(bands) == 2
    for k, contours in enumerate(bands):
        away = [
            (y - own.intercept[k] - own.x1[k] * x) / own.sigma[k]
            for path in contours.get_paths()
            for x, y in path.vertices
        ]
        ends = [np.sqrt(chi2.ppf(share, 1)) for share in SHARES]  # of a normal, in deviations
        near = np.abs(np.abs(away)[:, None] - ends)
        assert near.min(axis=1).max() < 0.1
        assert (near.min(axis=0) < 0.05).all()


def test_a_chain_that_stays_in_its_last_state_shows_the_others_too():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(8, 1, (60, 2))])
    fit = emframe.fit(emframe.model("hidden-markov", family="gaussian"), X, rng=0, n_starts=2)
    assert (fit.params.transitions.max(axis=1) > 1 - 1e-9).any()
    shown = scene(fit, X)
    assert np.bincount(shown.labels) / len(shown.labels) == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.isfinite([shown.level(k, 0.9) for k in range(2)]).all()


def panel_lines(fit, X):
    """The lines in each panel of all pairs, by (row, column)."""
    d = len(fit.columns)
    panels = fit.plot(X, "pairs", ax=axes()).child_axes
    return {(i, j): panels[i * d + j].lines for i in range(d) for j in range(d)}


def test_nothing_is_outlined_that_has_no_shape():
    X, _ = crossing()
    parts = {(0, 1): regression(0, 1), 2: "bernoulli", 3: emframe.family("categorical", levels=4)}
    columns = X[:, [0, 1, 2, 4]]
    fit = emframe.fit(emframe.Mixture(emframe.Product(parts), 2), columns, rng=0, n_starts=2)
    shown = scene(fit, columns)
    assert shown.kinds == ("numbers", "given", "codes", "codes")
    lines = panel_lines(fit, columns)
    # A band along the covariate has two ends, and so many has each component.
    assert len(lines[0, 1]) == len(lines[1, 0]) == 2 * 2
    assert len(lines[2, 1]) == len(lines[1, 2]) == 2  # the share of a yes
    others = set(lines) - {(0, 1), (1, 0), (2, 1), (1, 2)}
    assert all(len(lines[place]) == 0 for place in others if place[0] != place[1])
    own, band = fit.params.components.x0_x1, lines[0, 1]
    for k in range(2):
        low, high = (line.get_ydata() for line in band[2 * k : 2 * k + 2])
        x = band[2 * k].get_xdata()
        middle = own.intercept[k] + own.x1[k] * x
        assert 0.5 * (low + high) == pytest.approx(middle, abs=0.15)


def test_covariates_have_no_components_and_no_ellipse_between_them():
    X, _ = crossing()
    fit = emframe.fit(emframe.Mixture(regression(0, 1, 2), 2), X[:, [0, 1, 3]], rng=0, n_starts=2)
    lines = panel_lines(fit, X[:, [0, 1, 3]])
    assert len(lines[1, 2]) == len(lines[2, 1]) == 0
    panels = fit.plot(X[:, [0, 1, 3]], "pairs", ax=axes()).child_axes
    assert [len(panels[4 * i].patches) for i in range(3)] == [3, 1, 1]


def test_a_yes_along_a_covariate_is_its_share():
    X, _ = crossing(2000)
    family = regression(0, 1, name="binomial-regression")
    fit = emframe.fit(emframe.Mixture(family, 1), X[:, [2, 1]], rng=0)
    ax = fit.plot(X[:, [2, 1]], ax=axes())
    assert not [one for one in ax.collections if hasattr(one, "levels")]
    x, share = ax.lines[0].get_data()
    eta = fit.params.components.intercept[0] + fit.params.components.x1[0] * x
    assert share == pytest.approx(1 / (1 + np.exp(-eta)), abs=0.05)
    assert list(ax.get_yticks()) == [0, 1]


def test_a_picture_that_is_named_as_a_remedy_can_be_drawn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8))
    fit = emframe.fit(emframe.Mixture(regression(0, *range(1, 8)), 2), X, rng=0, n_starts=2)
    assert scene(fit, X).possible == ("uncertainty", "trace")
    for kind in ("density", "plane", "pairs", "profile"):
        with pytest.raises(ValueError, match="use kind='uncertainty' or 'trace'"):
            fit.plot(X, kind, ax=axes())
    fit.plot(X, ax=axes())


@pytest.mark.parametrize(("paper", "palette"), [("white", LIGHT), ("#111111", DARK)])
def test_hues_stand_out_from_the_paper(paper, palette):
    """Contrast of 3 or more with the paper, as for graphics in WCAG 2.1, 1.4.11."""

    def luminance(colour):
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    ax = axes(**{"axes.facecolor": paper, "figure.facecolor": paper})
    assert is_dark(ax) == (paper != "white")
    assert hues(ax, len(palette)) == list(palette)
    for colour in palette:
        light, dark = sorted([luminance(colour), luminance(paper)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.0


def test_a_family_that_nobody_knew_is_drawn_too():
    fit, X, _ = fitted("faithful", 2, [1])

    class Laplace(emframe.Family):
        """Density exp(-|x - m|) / 2, enough of a family to be drawn."""

        name = "laplace"
        parameters = type(fit.params.components)

        def log_density(self, params, x):
            return -np.abs(x - params.means[:, 0]) - np.log(2)

        def accumulate(self, x, resp):
            raise NotImplementedError

        def expected(self, statistics, params):
            raise NotImplementedError

        def m_step(self, statistics, previous):
            raise NotImplementedError

        def sample(self, params, labels, rng):
            return rng.laplace(params.means[labels, 0])[:, None]

    other = replace(fit, model=emframe.Mixture(Laplace(), n_components=2))
    ax = other.plot(X, ax=axes())
    (whole,) = labelled(ax, "all")
    assert whole.get_ydata() == pytest.approx(np.exp(other.score_samples(whole.get_xdata())))


@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("one column", "pie", f"expected one of {', '.join(KINDS)}"),
        ("four columns", "density", "use kind='pairs', 'profile' or 'trace'"),
        ("four columns", "plane", "a plane has two columns"),
        ("one column", "uncertainty", "pass them"),
    ],
)
def test_what_cannot_be_drawn_is_told(case, kind, message):
    fit, *_ = fitted(*CASES[case][0])
    with pytest.raises(ValueError, match=message):
        fit.plot(kind=kind, ax=axes())


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    fit, X, _ = fitted("faithful", 1)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"emframe\[plot\]"):
        fit.plot(X)


def test_a_new_figure_is_made_where_none_is_given():
    from matplotlib import pyplot

    mpl.use("Agg")
    fit, X, _ = fitted("faithful", 1)
    ax = fit.plot(X)
    assert ax.figure is pyplot.gcf()
    pyplot.close(ax.figure)
