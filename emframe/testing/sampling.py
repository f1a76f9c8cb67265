"""Checks of the sampler: its form, and that its rows follow the density.

The tests of fit are exact identities, so they hold in any number of columns, and the number of
draws is such that an error of a few percent in a scale stands out.  A statistic has to lie beyond
about 1e-10 in probability before it counts, and seeds are fixed: no verdict is a matter of luck.

- one column: the distribution function, or the frequencies of the values;
- any: E_f[ g/(f+g) ] = E_g[ f/(f+g) ] for any two components (Meng and Wong 1996, Statistica
  Sinica 6, 831), which ties rows to their labels and to the score;
- any: a Metropolis move that is symmetric leaves the mean of any function as it is; a move that
  exchanges a column between two rows shows whether columns depend on each other as they should.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from scipy.stats import chi2

from emframe.families import Outcome
from emframe.families.kernel import NoSampler
from emframe.numeric.quadrature import Grid, Line, grid, line
from emframe.parameters import Leaf, from_vector, leaves, rebuild, to_vector
from emframe.spaces import Array
from emframe.testing.cases import Case, inside, off_the_ends
from emframe.testing.given import along, drawn_at, held
from emframe.testing.outcome import Fault, Inapplicable
from emframe.testing.subject import Subject

DRAWS = 20_000  # for each of four components; twice that for one column, where they are cheap
RUNS = 500  # where each draw is a call
FEW = 100  # draws along a line, of which no distribution is judged
Z = 6.5  # standard errors
RARE = 1e-10
UNSEEN = -np.log(RARE)  # events expected this often are seen, but for a chance of RARE
SAMPLER = "sample, or log_density"


def draws(subject: Subject, case: Case) -> None:
    """Rows of the right form, reproducible from the generator, and from nothing else."""
    rng = case.rng()
    labels = rng.integers(case.k, size=400)
    before = _global_state()
    one = _sampled(subject, case, labels, case.seed)
    two = _sampled(subject, case, labels, case.seed)
    if _global_state() != before:
        raise Fault("sample to leave numpy's global state alone", "it moved", "sample")
    if not np.array_equal(one, two, equal_nan=True):
        raise Fault(
            "the same rows from two generators of the same seed",
            "different rows",
            "sample: draw from the rng it is given, and keep nothing between calls",
        )
    modelled = case.family.columns_modelled(case.d)[1]
    if len(np.unique(one[:, modelled], axis=0)) > 1 and np.array_equal(
        one, _sampled(subject, case, labels, case.seed + 1)
    ):
        raise Fault("other rows from another seed", "the same rows", "sample: use the rng given")
    outside = ~inside(case.family, off_the_ends(case.family, one))
    if outside.any():
        raise Fault(
            f"rows of the support: {case.family.support.words}",
            f"{one[outside.argmax()]} for component {labels[outside.argmax()]}",
            "sample, or the declared support",
        )
    for few in (np.zeros(0, dtype=np.intp), np.full(3, case.k - 1)):
        _sampled(subject, case, few, case.seed)


def _global_state() -> bytes:
    return pickle.dumps(np.random.get_state())  # noqa: NPY002 (it is what is checked)


def _sampled(subject: Subject, case: Case, labels: Any, seed: int) -> Array:
    """Rows (n, d) for the labels, or a `Fault` for their form."""
    drawn = np.asarray(subject.sample(case.params, labels, np.random.default_rng(seed)))
    n, d = len(labels), case.d
    if drawn.shape != (n, d) and not (d == 1 and drawn.shape == (n,)):
        raise Fault(
            f"sample of shape (n, d) = {(n, d)} for n = {n} labels", f"{drawn.shape}", "sample"
        )
    if drawn.dtype.kind not in "fiub":
        raise Fault("real numbers from sample", f"dtype {drawn.dtype}", "sample")
    return drawn.reshape(n, d).astype(float)


def sample(subject: Subject, case: Case) -> None:
    """The rows of each component follow its density."""
    found = subject.scheme.of_case(case.x)
    if found is not None:
        _follow_outcomes(subject, case, found)
        return
    in_runs = case.family.in_runs
    subject, case = held(subject, case)
    case = _with_neighbours(case)
    rng = case.rng()
    draws_each = RUNS if in_runs else DRAWS if case.d > 1 else 2 * DRAWS
    labels = rng.permutation(np.repeat(np.arange(case.k), draws_each))
    x = off_the_ends(case.family, _sampled(subject, case, labels, case.seed))
    assume(bool(inside(case.family, x).all()))  # told by the check of draws
    density = subject.log_density(case.params, x)
    own = density[np.arange(len(x)), labels]
    if np.isneginf(own).any():
        row = int(np.isneginf(own).argmax())
        raise Fault(
            "rows that are possible under their own component",
            f"{x[row]} for component {labels[row]} has density 0 there",
            "sample: it may ignore the labels; or log_density",
        )
    _bridge(density, labels)
    for k in range(2):
        mine = x[labels == k]
        _independent(mine, k)
        if not case.family.support.n_event_axes:
            _walk(subject, case, mine, k, rng)
            if case.d > 1:
                _exchange(subject, case, mine, k, rng)
    if case.d == 1:
        table = grid(
            case.family.support.present, lambda rows: subject.log_density(case.params, rows)
        )
        if table is not None and (np.abs(table.mass.sum(axis=0) - 1.0) < 1e-3).all():
            for k in range(2):
                mine = x[labels == k, 0]
                if case.family.support.discrete:
                    _frequencies(table, mine, k)
                else:
                    _distribution(line(case.family.support.present), table, mine, k)
                _moments(table, mine, k)


def _follow_outcomes(subject: Subject, case: Case, outcomes: Sequence[Outcome]) -> None:
    """Each outcome as often as its density says, and the values along a line as well."""
    row, labels = case.x[0], np.repeat([0, 1], DRAWS)
    try:
        x = drawn_at(case.family, row, case.params, labels, case.rng())
    except NoSampler as error:
        raise Inapplicable(str(error)) from error
    if x.shape != (len(labels), case.d):
        raise Fault(f"sample of {(len(labels), case.d)}", f"{x.shape}", "sample, or given")
    is_of = np.array([_belongs(one, x) for one in outcomes])
    lost = ~(is_of.sum(axis=0) == 1)
    if lost.any():
        raise Fault(
            f"draws that are one of the {len(outcomes)} outcomes in the place of {row}",
            f"{x[lost][0]}",
            "sample, given, or the outcomes",
        )
    which, tables = is_of.argmax(axis=0), [_table(subject, case, one) for one in outcomes]
    mass = np.array([one.mass.sum(axis=0) for one in tables])
    places = np.arange(len(outcomes), dtype=float)
    for k in range(2):
        _frequencies(Grid(places, places, mass), which[labels == k].astype(float), k)
        for j, (one, table) in enumerate(zip(outcomes, tables, strict=True)):
            mine = x[(which == j) & (labels == k)]
            if one.space is None or len(mine) < FEW:
                continue
            values = mine[:, one.columns[0]]
            if one.space.discrete:
                _frequencies(table, values, k)
            else:
                _distribution(line(one.space), table, values, k)


def _belongs(one: Outcome, x: Array) -> NDArray[np.bool_]:
    """Which rows are that outcome, (n,)."""
    if one.space is None:
        return _same(x, one.row)
    values = x[:, one.columns[0]]
    alike = _same(x, one.rows(values))
    return np.asarray(alike & np.asarray(one.space.contains(values[:, None]))[:, 0])


def _table(subject: Subject, case: Case, one: Outcome) -> Grid:
    """The mass of an outcome, along its line if it is one."""
    if one.space is None:
        mass = np.exp(subject.log_density(case.params, one.row[None]))
        return Grid(np.zeros(1), np.zeros(1), mass)
    part, moving = along(one, case)
    found = grid(one.space.present, partial(part.log_density, moving.params))
    assume(found is not None)
    assert found is not None
    return found


def _with_neighbours(case: Case) -> Case:
    """Components 0 and 1 of the case, and a near neighbour of each as components 2 and 3.

    Against a neighbour the bridge identity is a test of the score, which is the sharpest.
    """
    vector = to_vector(case.params)
    near = from_vector(case.params, vector + 0.2 * case.rng().choice([-1, 1], size=len(vector)))
    beside = {leaf.path: leaf.value for leaf in leaves(near)}

    def join(leaf: Leaf) -> Array:
        if leaf.declared.shared:
            return np.repeat(leaf.value[:1], 4, axis=0)
        if not leaf.declared.per_component:
            return leaf.value
        return np.concatenate([leaf.value[:2], beside[leaf.path][:2]])

    params = rebuild(case.params, join)
    return Case(case.family, params, case.x, np.ones((len(case.x), 4)), case.seed)


def _bridge(density: Array, labels: Any) -> None:
    for one, other in ((0, 2), (1, 3), (0, 1)):
        mine, theirs = density[labels == one], density[labels == other]
        here = expit(mine[:, other] - mine[:, one])
        there = expit(theirs[:, one] - theirs[:, other])
        spread = np.sqrt(here.var() / len(here) + there.var() / len(there))
        _judge(
            here.mean() - there.mean(),
            spread,
            f"rows labelled {one} and {other} to follow components {one} and {other}, by the "
            "bridge identity between their densities",
            UNSEEN / len(here),
        )


def _independent(x: Array, k: int) -> None:
    score = _scores(x)[:, 0]
    products = (score[1:] - score.mean()) * (score[:-1] - score.mean())
    _judge_mean(
        products,
        float(np.abs(score - score.mean()).max() ** 2),
        f"successive rows of component {k} to be independent",
    )


def _walk(subject: Subject, case: Case, x: Array, k: int, rng: np.random.Generator) -> None:
    moved = x.copy()
    if case.family.support.discrete:
        column = rng.integers(case.d, size=len(x))
        moved[np.arange(len(x)), column] += rng.choice([-1.0, 1.0], size=len(x))
    else:
        moved += 0.7 * x.std(axis=0) * rng.standard_normal(x.shape)
    here = subject.log_density(case.params, x)[:, k]
    held = inside(case.family, moved)
    there = np.full(len(x), -np.inf)
    if held.any():
        there[held] = subject.log_density(case.params, moved[held])[:, k]
    accept = np.exp(np.minimum(there - here, 0.0))
    before, after = _scores(x), _scores(moved, like=x)
    middle, width = np.median(here), here.std() + 1e-12
    level = np.clip((np.where(held, there, 0.0) - middle) / width, -3, 3) - np.clip(
        (here - middle) / width, -3, 3
    )
    changes = [after - before, after**2 - before**2, level[:, None]]
    for change in np.concatenate(changes, axis=1).T:
        _judge_mean(
            accept * change,
            float(np.abs(change).max()),
            f"the distribution of component {k} to be left as it is by a Metropolis move",
        )


def _exchange(subject: Subject, case: Case, x: Array, k: int, rng: np.random.Generator) -> None:
    half = len(x) // 2
    one, other = x[:half], x[half : 2 * half]
    first, second = rng.permutation(case.d)[:2]
    one_new, other_new = one.copy(), other.copy()
    one_new[:, second], other_new[:, second] = other[:, second], one[:, second]
    pairs = [subject.log_density(case.params, rows)[:, k] for rows in (one, other)]
    swapped = [subject.log_density(case.params, rows)[:, k] for rows in (one_new, other_new)]
    accept = np.exp(np.minimum(sum(swapped) - sum(pairs), 0.0))
    scores = _scores(x)
    apart = scores[:half] - scores[half : 2 * half]
    products = apart[:, first] * apart[:, second]
    _judge_mean(
        accept * products,
        float(np.abs(products).max()),
        f"columns {first} and {second} of component {k} to depend on each other as the density "
        "says",
    )


def _scores(x: Array, like: Array | None = None) -> Array:
    """Columns centred, scaled and clipped, so that means of them are normal."""
    like = x if like is None else like
    low, middle, high = np.quantile(like, [0.16, 0.5, 0.84], axis=0)
    scale = np.where(high > low, 0.5 * (high - low), 1.0)
    return np.clip((x - middle) / scale, -2.5, 2.5)


def _distribution(column: Line, table: Grid, x: Array, k: int) -> None:
    """Kolmogorov-Smirnov, and the mean and variance of normal scores."""
    mass = table.mass[:, k] / table.mass[:, k].sum()
    below = np.cumsum(mass) - 0.5 * mass
    reals = column.real(x)
    level = np.sort(np.interp(reals, table.t, below))
    n = len(level)
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - level).max(), (level - steps[:-1]).max())
    what = f"rows of component {k} to have the distribution function of its density"
    if 2.0 * np.exp(-2.0 * n * distance**2) < RARE:
        raise Fault(what, f"a Kolmogorov-Smirnov distance of {distance:.4f} in {n} rows", SAMPLER)
    normal = ndtri(np.clip(level, 1e-12, 1 - 1e-12))
    _judge(normal.mean(), 1.0 / np.sqrt(n), what)
    _judge(float((normal**2).mean()) - 1.0, np.sqrt(2.0 / n), what)


def _moments(table: Grid, x: Array, k: int) -> None:
    """Mean and variance of the clipped values, which weigh small shifts better than the above."""
    mass = table.mass[:, k] / table.mass[:, k].sum()
    score, wanted = _scores(x[:, None])[:, 0], _scores(table.x[:, None], like=x[:, None])[:, 0]
    for power, name in ((1, "mean"), (2, "mean square")):
        _judge_mean(
            score**power - mass @ wanted**power,
            2.5**power,
            f"the rows of component {k} to have the {name} of its density",
        )


def _frequencies(table: Grid, x: Array, k: int) -> None:
    """Pearson's chi-square, neighbouring values pooled to 25 expected rows or more."""
    n = len(x)
    place = np.clip(np.searchsorted(table.x, x), 0, len(table.x) - 1)
    seen = np.bincount(place, minlength=len(table.x)).astype(float)
    wanted = n * table.mass[:, k] / table.mass[:, k].sum()
    group = np.floor(np.cumsum(wanted) / 25.0 - 1e-9).astype(int)
    _, group = np.unique(group, return_inverse=True)
    seen, wanted = np.bincount(group, seen), np.bincount(group, wanted)
    usable = wanted > 5.0
    seen = np.append(seen[usable], seen[~usable].sum())
    wanted = np.append(wanted[usable], wanted[~usable].sum())
    statistic = float(((seen - wanted) ** 2 / np.maximum(wanted, 1.0)).sum())
    if chi2.sf(statistic, max(len(seen) - 1, 1)) < RARE:
        raise Fault(
            f"rows of component {k} to have the frequencies of its density",
            f"a chi-square of {statistic:.1f} on {len(seen) - 1} degrees of freedom in {n} rows",
            SAMPLER,
        )


def _judge(mean: float, error: float, expected: str, unseen: float = 0.0) -> None:
    """Raise where a mean that should be 0 lies too far from it.

    `unseen` is what events too rare to show in the sample could add to the mean.
    """
    if abs(mean) > Z * error + unseen + 1e-9:
        errors = abs(mean) / max(error, 1e-300)
        raise Fault(
            expected, f"a statistic of mean 0 that is {errors:.1f} standard errors off", SAMPLER
        )


def _judge_mean(terms: Array, bound: float, expected: str) -> None:
    """`_judge` the mean of independent terms that are at most `bound` in size."""
    n = len(terms)
    _judge(float(terms.mean()), float(terms.std()) / np.sqrt(n), expected, bound * UNSEEN / n)


def _same(x: Array, row: Array) -> NDArray[np.bool_]:
    """Which rows have the same values, what is missing included, (n,)."""
    return np.asarray(((x == row) | (np.isnan(x) & np.isnan(row))).all(axis=1))
