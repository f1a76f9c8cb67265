"""A latent times a family: the model in which each row is drawn from one of K components.

    p(x, z | theta) = p(z | alpha) prod_k f(x | theta_k) ^ z_k,        sum_k z_k = 1

Its Q is the sum of two, the latent's and the family's, and because log p(x, z) is linear in z, all
that the second needs of the posterior is its mean: the responsibility r_k of each component for a
row (Bishop 2006, eq. 9.40; McLachlan and Peel 2000, section 2.8).  What users call a mixture or a
hidden Markov model is this with a name, and a way to write it down.

One known case: with K = 1 every responsibility is 1 and Q is the log-likelihood of the family.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emframe.composing import Copies, constrained, fixed, ordered, tied
from emframe.core import Contract, Expectation
from emframe.data import PlacedRows, placed_rows, summed
from emframe.data.frames import is_frame
from emframe.data.labelled import Labelled, LaidOut, everything, members
from emframe.data.legend import Legend, read_off
from emframe.engines import Workspace, block_rows
from emframe.families import ConjugatePrior, Densities, Family, Pieces, Survey
from emframe.families.kernel import checked_density
from emframe.families.stack import weakest
from emframe.latents import RIDGE, Gate, Ridge
from emframe.messages.refusals import refuse_beyond
from emframe.messages.words import of_a_model
from emframe.models import starts
from emframe.models.base import Covered, covered
from emframe.models.component_starts import MOST_ROWS, ComponentStarts
from emframe.models.expectation import ComponentPrior, ModelExpectation, composed_problem
from emframe.models.model_pass import ModelPass
from emframe.models.reading import NOTHING, BesideColumns, as_sequences, read, reads_all
from emframe.parameters import frozen, near
from emframe.spaces import Array


class ComponentModel(ComponentStarts):
    """Base of models with components.  What is left to say is `family`, `latent`, and a name."""

    pseudo: ComponentPrior | None = None  # see `under`
    covered: Covered | None = None  # see `given`
    labelled: bool = False  # see `with_labels`
    legend: Legend = Legend()  # what the numbers of its rows stand for, where they were words

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """A JSON-able description from which the model can be made again."""

    @abstractmethod
    def title(self) -> str:
        """The model in a few words."""

    @property
    def parameters(self) -> type:
        """The parameter dataclass: the latent's fields, then ``components``."""
        return self.latent.parameters

    @property
    def dims(self) -> Mapping[str, int]:
        return {"K": self._k}

    @property
    def contract(self) -> Contract:
        return max(self.latent.contract, weakest([self.family]), key=list(Contract).index)

    @property
    def effort(self) -> float:
        return self.family.effort

    @property
    def priors(self) -> tuple[str, ...]:
        """The names that `prior` takes."""
        return self.family.priors + (RIDGE,) * bool(self._gates)

    @property
    def unit(self) -> str:
        """What has a z of its own: rows, or runs where the rows of a run share one."""
        return "runs" if self.family.in_runs else "rows"

    def choices(self) -> int:
        return self._k

    def fixed(self, **values: Any) -> Self:
        """The same model with parameters of its components held; see `emframe.fixed`."""
        return self._with(family=fixed(self.family, **values))

    def over(self, family: Family) -> Self:
        """The same model of another form of its family, one with the same parameters."""
        return self._with(family=family)

    def tied(self, *names: str) -> Self:
        """The same model with parameters that all components share; see `emframe.tied`."""
        return self._with(family=tied(self.family, *names))

    def ordered(self, *names: str) -> Self:
        """The same model with parameters in order of its components; see `emframe.ordered`."""
        return self._with(family=ordered(self.family, *names))

    def constrained(self, **equations: Any) -> Self:
        """The same model with equations between components; see `emframe.constrained`."""
        return self._with(family=constrained(self.family, **equations))

    def as_component(self) -> Family:
        """The family of which each component is such a model."""
        self._refuse_columns_inside()
        return Copies(self)

    def ingredients(self) -> dict[str, Any]:
        """What it was made from, by keyword."""
        own: Any = self
        return {one.name: getattr(self, one.name) for one in fields(own) if one.compare}

    def given(self, x: Any, weights: Array | None = None) -> Self:
        """The same model, with draws at covariates of rows x, by weights; see `Family.given`."""
        return self._with(covered=covered(self.family, x, weights, self.latent.beside))

    def __getattr__(self, name: str) -> Any:
        """Refuse the methods that models elsewhere have, with the way to have what they do."""
        if hasattr(type(self), name):  # it has one, which failed
            return object.__getattribute__(self, name)
        told = of_a_model(name)
        raise AttributeError(f"a {type(self).__name__} has no {name!r}.{told and f' {told}'}")

    # ---- data

    def _read_columns(
        self, family: Family, columns: Sequence[str] | str | None, group: str | None = None
    ) -> None:
        """Take note of the columns that its family reads, and of the one that tells of runs.

        Raises TypeError for what are no names, and ValueError for a family that names others.
        """
        if group is not None:
            if not isinstance(group, str):
                raise TypeError(f"`group` is {group!r}; pass the name of a column.")
            if group in (family.columns or ()):
                raise ValueError(
                    f"`group` is {group!r}, which says whose rows are of one run, and so is none "
                    f"of the columns of the family, {', '.join(family.columns or ())}; leave it "
                    "out of these, or make a copy of it under another name."
                )
            object.__setattr__(self, "legend", Legend(group=group))
        if columns is None:
            return
        given: Any = (columns,) if isinstance(columns, str) else columns
        if not isinstance(given, Iterable) or not all(isinstance(one, str) for one in given):
            raise TypeError(f"`columns` is {columns!r}; pass names of columns, ('x', 'y').")
        names = tuple(map(str, given))
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"`columns` is {list(names)}; name one column or more, each once.")
        if family.columns not in (None, names):
            raise ValueError(
                f"`columns` is {list(names)}, and {family.name!r} names its own, "
                f"{', '.join(family.columns or ())}; leave `columns` out."
            )
        object.__setattr__(self, "legend", Legend(names, group=group))

    def in_groups(self, X: Any) -> Any:
        """Rows as runs, where the model is of groups of rows and a column says which."""
        if isinstance(X, Labelled):
            return replace(X, X=self.legend.in_runs(X.X))
        return self.legend.in_runs(X)

    def _refuse_columns_inside(self) -> None:
        if self.legend != Legend():
            raise TypeError(
                "a component reads what the outer model hands it; name the columns in the outer "
                "model: emframe.Mixture(..., columns=...)."
            )

    def settled(self, X: Any, weights: Any = None) -> Self:
        """The same model with what its family leaves to the data read off them.

        `emframe.fit` does that by itself; see ``fit.model``.
        """
        told = self.legend.in_runs(X.X if isinstance(X, Labelled) else X)
        gates = {name: gate.settled(told) for name, gate in self._gates.items()}
        model = self._with(**gates) if gates != self._gates else self
        model = model.reading(told)
        if model.family.is_settled:
            return model
        rows = model.rows(X, weights)
        whole = model.survey(rows).statistics
        return model._with(family=model.family.settled(whole, model._columns(rows)))

    def reading(self, X: Any) -> Self:
        """The same model with the legend of the frames that X is, and its family spelt by it."""
        if not self.legend.is_empty:
            return self
        family = self.family
        beside = {str(one) for gate in self._gates.values() for one in gate.sources}
        columns = family.columns or self.legend.columns
        legend = read_off(X, columns, beside, family.covariates, family.kinds, self.legend)
        if legend.given is None:
            return self if legend == self.legend else self._with(legend=legend)
        return self._with(legend=legend, family=family.spelt(legend.spelt))

    @property
    def _gates(self) -> dict[str, Gate]:
        """Its settings that are gates, in the order in which their columns follow in a row."""
        return {k: one for k, one in self.ingredients().items() if isinstance(one, Gate)}

    def _columns(self, rows: Any) -> tuple[str, ...]:
        """The names of the columns that the family sees."""
        found: tuple[str, ...] = rows.columns[: self._width(rows)]
        return found

    @property
    def in_runs(self) -> bool:
        """Whether what is independent is a run of rows."""
        return self.latent.in_runs or self.family.in_runs

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Any:
        """Validate data, rows or runs of rows; see `emframe.data.as_rows`."""
        model = self.with_labels() if isinstance(X, Labelled) and not self.labelled else self
        found = placed_rows(partial(model.rows, columns=columns), X, weights)
        if found is not None:
            return found
        beside = BesideColumns(
            tuple(self._gates.values()), self.latent.n if self.labelled else None
        )
        if isinstance(X, LaidOut):
            beside, X = replace(beside, is_there=beside != NOTHING), X.x
        known = X if isinstance(X, Labelled) else None
        if known is not None:
            if not self.labelled:
                return self.with_labels().rows(X, weights, columns)
            X = known.X
        told, X = X, self.legend.of(X)
        if X is not told and is_frame(told):
            beside = replace(beside, told=told)
        if columns is None and self.legend.columns is not None:
            columns = (*self.legend.columns, *beside.labels)
        if self.in_runs:
            return as_sequences(X, self.family, weights, columns, beside, known)
        return read(X, self.family, weights, columns, beside, known)

    def with_labels(self) -> Self:
        """The same model for rows of which something may be known, see `emframe.Labelled`."""
        return self._with(labelled=True)

    def require(self, rows: Any) -> None:
        """Refuse fewer distinct rows than the components need."""
        k, word = self._k, self.latent.word
        if self.latent.in_runs:
            refuse_beyond(word, k, rows.n_single, "row")
        elif self.family.in_runs:
            refuse_beyond(word, k, len(rows), "run")
        else:
            refuse_beyond(word, k, len(rows), "row")
            refuse_beyond(word, k, rows.n_distinct(k), "distinct row")

    def condense(self, rows: Any) -> Any:
        """Distinct rows with their counts as weights, where the data are discrete and it pays."""
        return rows if self._is_real or self.in_runs else rows.distinct()

    def work(self, rows: Any) -> int:
        """Numbers of work space for a row, or a run of average length."""
        if not self.latent.in_runs:
            return self._k * (len(rows.columns) + 4) * 2
        return self._k * (len(rows.columns) + 12) * -(-rows.n_single // len(rows))

    def survey(self, rows: Any) -> Survey:
        """The family's statistics of all rows as one component."""
        try:
            whole = summed(rows, block_rows(self.work(rows)), self._surveyed)
        except Exception as error:
            error.add_note(f"in the sums of the family {self.family.name!r} over all rows")
            raise
        self.family.refuse(whole, self._columns(rows))
        n = rows.n_single if self.latent.in_runs else len(rows)
        return Survey(whole, n, beside=self.latent.survey(rows))

    def _surveyed(self, x: Any, weights: Array) -> Any:
        return self.family.whole(self.latent.seen(x), self.latent.each(x, weights))

    # ---- E

    def passes(self, params: Any, survey: Survey) -> Iterator[ModelPass]:
        """The E-step by each of the family's kernels in turn."""
        constants = self.latent.constants(params)
        for kernel in self.family.kernels(params.components, constants, survey):
            yield ModelPass(self.latent, self.family, params, kernel)

    def expect(self, params: Any, x: Any, weights: Array) -> ModelExpectation:
        """Q(. | params) of rows x (n, d) with frequency weights (n,)."""
        kernel = Densities(self.family, params.components, self.latent.constants(params))
        whole = ModelPass(self.latent, self.family, params, kernel)
        q = whole.finish(whole.block((x, weights), Workspace()))
        assert q is not None  # plain densities lose no digits
        return q

    def log_density(self, params: Any, x: Any) -> Array:
        """log f(x_i | theta_k) of each row that components see, (n, K).

        -inf for a component that a row is known not to come from.
        """
        seen, barred = self.latent.seen(x), self.latent.barred(x)
        density = checked_density(self.family, params.components, seen, self._k)
        return density if barred is None else density + barred.T

    def posterior(self, params: Any, x: Any) -> tuple[Array, Array]:
        """Log density of each row, or run, and the shares of components in rows, (n, K).

        One that is impossible under every component has -inf, and no shares (nan).
        """
        return self.latent.given(params, self.log_density(params, x), x)

    # ---- M

    def prior(self, prior: Any, survey: Survey) -> ComponentPrior | None:
        """The term that ``prior=`` adds to Q: a name in `priors`, a ConjugatePrior or a Ridge.

        A name that the family knows takes in the gates.
        """
        if prior is None:
            return None
        if isinstance(prior, str) and prior == RIDGE:
            prior = Ridge()
        elif isinstance(prior, str) and prior in self.family.priors and self._gates:
            prior = Ridge(components=prior)
        elif isinstance(prior, str) and self._gates:
            known = ", ".join(map(repr, self.priors))
            raise ValueError(f"`prior` is {prior!r}; a {self.title()} model knows: {known}.")
        inner = prior.components if isinstance(prior, Ridge) else prior
        if inner is not None and not isinstance(inner, ConjugatePrior):
            inner = self.family.conjugate_prior(inner, survey.statistics, self._k)
        if not isinstance(prior, Ridge):
            return ComponentPrior(self.family, inner)
        choice = self.latent.ridge(prior, survey.beside)
        return ComponentPrior(self.family, inner, self.latent, choice)

    # ---- parameters

    def start(self, start: Any, rows: Any, rng: np.random.Generator) -> Any:
        """Parameters from parameters, a mapping, responsibilities, labels, or a callable."""
        given = not callable(start)
        if not given:
            rows = rows.sample(MOST_ROWS, rng) if isinstance(rows, PlacedRows) else rows
            start = start(rows.x, rng)
        if isinstance(start, Mapping):
            try:
                start = self.build(start)
            except (TypeError, ValueError) as error:
                raise type(error)(f"`start`: {error}") from error
        if hasattr(start, "components"):
            start = near(start)
            wrong = self.problem(start, len(rows.columns))
            if wrong:
                raise ValueError(f"`start`: {wrong}.")
            return frozen(start)
        # The user counts the rows that were given; a callable those that it was shown.
        if not given:
            resp = starts.as_responsibilities(start, self._n_seen(rows), self._k)
        elif self.latent.in_runs:
            resp = starts.as_responsibilities(start, rows.n_rows_given, self._k)
            resp = rows.of_rows(resp)
        else:
            resp = starts.as_responsibilities(start, rows.n_given, self._k)[rows.numbers]
        return self.from_responsibilities(rows, resp)

    def problem(self, params: Any, d: int) -> str | None:
        """What is wrong with parameters of this model for data of d columns, or None."""
        kind, wanted = type(params), self.parameters
        if kind is not wanted and not issubclass(wanted, kind):
            return f"these are {kind.__name__}; expected {wanted.__name__}"
        dims = {"K": self._k, "d": d - self.latent.beside}
        found = composed_problem(self.family, params, dims)
        return found or self.latent.problem(params)

    def build(self, values: Mapping[str, Any]) -> Any:
        """Parameters from a mapping: the latent's fields, and the family's beside them or in
        ``components``."""
        own = self.latent.build(values)
        rest = {name: value for name, value in values.items() if name not in own}
        inner = rest["components"] if set(rest) == {"components"} else rest
        told = isinstance(inner, (Mapping, list))
        components = self.family.build(inner) if told else inner
        return frozen(self.parameters(**own, components=components))

    # ---- after the fit

    def irregularities(self, q: Expectation[Any]) -> Mapping[int, str]:
        """None but artefacts, which are judged at the rows."""
        return {}

    def undetermined(self, q: Any) -> str:
        """What the data say nothing of at the point of `q`, or would take over a boundary."""
        found = self.latent.undetermined(q.sums), self.family.boundary(q.at.components)
        return "; ".join(filter(None, found))

    def pieces(self, params: Any, x: Any) -> Pieces:
        """Its components, or what they are mixtures of, at rows x."""
        density = self.log_density(params, x)
        shares = self.latent.given(params, density, x)[1]
        if type(self.family).pieces is Family.pieces and self.latent.barred(x) is None:
            return self.family.pieces_of(params.components, density, shares)
        return self.family.pieces(params.components, self.latent.seen(x), shares)

    def imputed(self, params: Any, x: Any) -> Array:
        """E[x | what is seen of x] of the rows that components see, (n, d).

        Raises TypeError where the family has no missing values.
        """
        shares = self.posterior(params, x)[1]
        return self.family.imputed(params.components, self.latent.seen(x), shares)

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        q = self.latent.beside
        discrete, modelled = self.family.columns_modelled(d - q)
        return np.append(discrete, np.zeros(q, bool)), np.append(modelled, np.zeros(q, bool))

    def complete_log_likelihood(self, params: Any, x: Any, z: NDArray[Any]) -> float:
        """Sum over rows of log p(x, z | params), for one-hot z (n, K) or labels (n,)."""
        density = self.log_density(params, x)
        hot = starts.as_one_hot(z, len(density), self._k)
        return float(density[hot == 1].sum()) + self.latent.log_prob(params, x, hot)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[Any]]:
        """n rows and their labels: first z, then x from the component z picks.

        Of a chain, or of a `Grouped` family, they are one run.
        """
        if self.latent.beside:
            return self._sample_at_covariates(params, n, rng)
        labels = self.latent.sample(params, n, rng)
        if self.family.in_runs:
            labels[:] = labels[:1]
        family = self.family if self.covered is None else self.covered.lend(self.family, n, rng)
        rows = np.asarray(family.sample(params.components, labels, rng), dtype=float)
        return (rows[:, None] if rows.ndim == 1 else rows), labels

    def _sample_at_covariates(
        self, params: Any, n: int, rng: np.random.Generator
    ) -> tuple[Array, NDArray[Any]]:
        """The same at rows of `covered`, whose covariates come with what is drawn."""
        latent, family = self.latent, self.family
        x = None if self.covered is None else self.covered.drawn(n, rng)
        if x is not None and family.in_runs:
            x[:] = x[:1]
        labels = latent.sample(params, n, rng, x)
        if family.in_runs:
            labels[:] = labels[:1]
        if x is not None and family.covariates:
            family = family.given(latent.seen(x))
        rows = np.asarray(family.sample(params.components, labels, rng), dtype=float)
        parts = [rows[:, None] if rows.ndim == 1 else rows]
        if self.labelled:
            codes = everything(latent.n, n)
            if x is not None:  # as many rows are known as were, of those that were drawn
                told = members(latent.seen_beside(x)[:, 0], latent.n).sum(axis=0) == 1
                codes[told] = np.exp2(labels[told])
            parts.append(codes[:, None])
        if x is not None and latent.width:
            parts.append(x[:, -latent.width :])
        return np.concatenate(parts, axis=1), labels

    def as_columns(self, x: Array) -> Array:
        """Rows as `sample` draws them, with their columns where the user's rows have them.

        Covariates told by index go there; those told by name stay behind the family's columns.
        """
        latent = self.latent
        if not latent.beside:
            return x
        d, q = x.shape[1] - latent.beside, latent.width
        own, given = x[:, :d], x[:, x.shape[1] - q :]
        places = [int(j) for gate in self._gates.values() for j in gate.columns if not gate.named]
        if len(places) < q:
            return np.concatenate([own, given], axis=1)
        is_whole = self.family.width == d or reads_all(self.family)
        if places and is_whole and max(places) < d:
            return own  # the family reads all columns, those of the gate among them
        width = d + len(set(places))
        found = np.empty((len(x), width))
        found[:, places] = given
        found[:, [j for j in range(width) if j not in places]] = own
        return found

    def prior_proba(self, params: Any, x: Any) -> Array:
        """p(z) of each row, or run, that has a z of its own, before its values are seen, (n, K)."""
        return np.exp(self.latent.log_prior(params, x))
