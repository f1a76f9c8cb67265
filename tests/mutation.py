"""Our own code, wrong on purpose: one line of one module is spoilt as it loads, and a test is run.

    python tests/mutation.py FOLDER "a dropped weight" ...

`SPOILT` lists what is spoilt, and the test that has to say so.  What others wrote is imported once,
and each mutant is a fork that imports emframe for itself; what its test prints goes to a file in
FOLDER, and pytest's exit status to the last line of it.  See test_mutation.py; and
mutation_survey.py for lines that a script chose.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
OPTIONS = ["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
# What the tests import of others, slowly.
OTHERS = (
    "_pytest.assertion.rewrite", "hypothesis", "mpmath", "narwhals", "numpy", "pandas", "pluggy",
    "scipy.linalg", "scipy.optimize", "scipy.special", "scipy.stats", "threadpoolctl",
)  # fmt: skip


class Spoilt(NamedTuple):
    """One wrong line."""

    module: str
    original: str  # stands in the module exactly once
    mutated: str
    test: str  # that has to fail


SPOILT = {
    "a ridge that pulls one component": Spoilt(
        "emframe.latents.ridge",
        "between = 2.0 * (np.eye(k - 1) - 1.0 / k)",
        "between = 2.0 * np.eye(k - 1)",
        "test_ridge.py::test_the_maximum_is_that_of_the_posterior",
    ),
    "a gate's row terms without their weights": Spoilt(
        "emframe.latents.odds",
        "np.multiply(w, own, out=weighted)",
        "np.copyto(weighted, w)",
        "test_gates.py::test_value_slope_and_curvature_are_those_of_the_rows",
    ),
    "an assignment's errors by columns": Spoilt(
        "emframe.relating.first_step",
        "weighted.T @ assigned / weighted.sum(axis=0)[:, None]",
        "weighted.T @ assigned / assigned.sum(axis=0)[None, :]",
        "test_relating.py::test_ml_is_the_maximum_of_its_likelihood",
    ),
    "groups that change places": Spoilt(
        "emframe.composing.multi_group",
        "hot = np.eye(self._size)[self._groups(x)]",
        "hot = np.eye(self._size)[::-1][self._groups(x)]",
        "test_multi_group.py::test_with_nothing_equal_it_is_a_fit_of_each_group",
    ),
    "variances as E[x^2] - mu^2": Spoilt(
        "emframe_families.gaussian.family",
        "return Scatter(counts, means, scatter, counts)",
        "raw = np.einsum('nk,ni,nj->kij', resp, x, x); "
        "return Scatter(counts, means, raw - counts[:, None, None] * means[:, :, None] * "
        "means[:, None, :], counts)",
        "test_trust.py::test_an_offset_changes_nothing[1e8-full]",
    ),
    "a log-likelihood one step stale": Spoilt(
        "emframe.fitting.estimate",
        "log_likelihood=done.step.expectation.loglik,",
        "log_likelihood=done.trace[-2:][0],",
        "test_trust.py::test_the_log_likelihood_is_that_of_the_parameters_returned[3-poisson]",
    ),
    "converged if any start was": Spoilt(
        "emframe.fitting.estimate",
        "status=status,",
        "status=max((one.start.status for one in attempts), key=lambda s: s.value == 'converged'),",
        "test_trust.py::test_the_status_is_that_of_the_start_returned",
    ),
    "the best start is the last": Spoilt(
        "emframe.fitting.estimate",
        "best = highest(with_point)",
        "best = with_point[-1]",
        "test_trust.py::test_the_status_is_that_of_the_start_returned",
    ),
    "a component twice at full weight": Spoilt(
        "emframe.latents.one_hot",
        'return {"weights": twice.weights / times}',
        'return {"weights": twice.weights}',
        "test_growing.py::test_every_row_has_the_same_density_there",
    ),
    "a larger model ends below": Spoilt(
        "emframe.fitting.plans",
        "best.start.objective < self.reached",
        "best.start.objective > self.reached",
        "test_growing.py::test_where_no_way_leads_as_high_the_smaller_model_itself_does",
    ),
    "a dropped weight": Spoilt(
        "emframe.latents.softmax",
        "np.divide(weights, total, out=share)",
        "np.divide(1.0, total, out=share)",
        "test_trust.py::test_weight_two_is_a_row_twice[gaussian full]",
    ),
    "rows of weight zero kept": Spoilt(
        "emframe.data.gate",
        "mask = rows.weights > 0",
        "mask = rows.weights >= 0",
        "test_trust.py::test_weight_zero_is_a_row_removed_whatever_it_holds[poisson]",
    ),
    "weights of one unit told in another": Spoilt(
        "emframe.fitting.estimate",
        "log_likelihood=unit * fit.log_likelihood,",
        "log_likelihood=fit.log_likelihood,",
        "test_trust.py::test_weights_may_have_any_size[1e-300-poisson]",
    ),
    "an entropy of the wrong sign": Spoilt(
        "emframe.models.model_pass",
        "total.loglik + found.row_terms,\n            total.entropy",
        "total.loglik + found.row_terms,\n            -total.entropy",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "a prior left out of Q": Spoilt(
        "emframe.models.expectation",
        "prior = 0.0 if self.prior is None else self.prior.log_density(params)",
        "prior = 0.0",
        "test_fit.py::test_a_prior_of_ones_own",
    ),
    "a prior once for each row block": Spoilt(
        "emframe.fitting.task",
        "q = one.finish(total)",
        "parts = [one.finish(one.block(b, Workspace())) for b in rows.blocks(one.rows(d))]; "
        "q = reduce(add, [p + prior if prior is not None and i else p "
        "for i, p in enumerate(parts)])",
        "test_trust.py::test_a_prior_counts_once_whatever_the_blocks",
    ),
    "blocks dropped": Spoilt(
        "emframe.engines.threads",
        "self._total = part if self._added == 0 else self._total + part",
        "self._total = part",
        "test_engines.py::test_the_sum_is_taken_in_the_order_of_the_blocks",
    ),
    "blocks added as they come": Spoilt(
        "emframe.engines.threads",
        "            self._waiting[index] = part\n            if index != self._added:\n",
        "            self._waiting[self._added] = part\n            if False:\n",
        "test_engines.py::test_the_sum_is_taken_in_the_order_of_the_blocks",
    ),
    "the tally not looked at": Spoilt(
        "emframe.engines.audited",
        "if not found.seen.is_of(given[0]):",
        "if False:",
        "test_own_engines.py::test_rows_that_are_kept_are_right_or_told",
    ),
    "a tally without weights": Spoilt(
        "emframe.engines.tally",
        "_mixed(numbers + _mixed(each))",
        "_mixed(numbers)",
        "test_own_engines.py::test_rows_that_are_kept_are_right_or_told",
    ),
    "the best point lost with the engine": Spoilt(
        "emframe.core.loop",
        "except (KeyboardInterrupt, PassFailed) as stop:",
        "except KeyboardInterrupt as stop:",
        "test_own_engines.py::test_a_failure_keeps_the_best_point[raises-3]",
    ),
    "an engine asked again after Ctrl-C": Spoilt(
        "emframe.fitting.task",
        "return Serial() if isinstance(self.engine, Audited) else self.engine",
        "return self.engine",
        "test_own_engines.py::test_an_engine_that_was_interrupted_is_not_asked_again[a start-2]",
    ),
    "work to be done taken for values": Spoilt(
        "emframe.data.elsewhere",
        "return graph() is not None",
        "return False",
        "test_gate.py::test_what_is_not_in_memory_is_refused_before_it_is_read[a graph-fit]",
    ),
    "a trace of bests": Spoilt(
        "emframe.core.loop",
        "trace.append(step.objective)",
        "trace.append(max([step.objective, *trace]) + len(trace) * 1e-3)",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "a fall that is accepted": Spoilt(
        "emframe.core.loop",
        "if steps and contract.ascends and step.objective < steps[-1].objective:",
        "if False:",
        "test_core.py::test_how_a_run_ends",
    ),
    "convergence at one small step": Spoilt(
        "emframe.core.stopping",
        "here.remaining <= tol and (here.is_bound or before.remaining <= tol)",
        "here.remaining <= tol",
        "test_stopping.py::test_one_small_estimate_is_not_convergence",
    ),
    "a parameter too many": Spoilt(
        "emframe.spaces.simplex",
        "return prod(shape[:-1]) * (shape[-1] - 1)",
        "return prod(shape)",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "AIC with its penalty turned round": Spoilt(
        "emframe.fitting.result",
        "+ 2.0 * self.n_parameters",
        "- 2.0 * self.n_parameters",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "BIC by the number of parameters": Spoilt(
        "emframe.fitting.result",
        "self.n_parameters * log(self.n_units)",
        "self.n_parameters * log(self.n_parameters)",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "draws that ignore the weights": Spoilt(
        "emframe.latents.one_hot",
        "rng.choice(self.n, size=n, p=params.weights)",
        "rng.choice(self.n, size=n)",
        "test_trust.py::test_draws_follow_the_weights",
    ),
    "the least probable component": Spoilt(
        "emframe.fitting.result",
        "np.asarray(self.predict_proba(X)).argmax(axis=1)",
        "np.asarray(self.predict_proba(X)).argmin(axis=1)",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "parameters saved in short": Spoilt(
        "emframe.files.saving",
        "name, array in to_mapping(fit.params).items()",
        "name, array in ((n, a.astype('f4')) for n, a in to_mapping(fit.params).items())",
        "test_fit.py::test_every_fit_answers[poisson]",
    ),
    "a checkpoint one step stale": Spoilt(
        "emframe.files.checkpoints",
        "self.now = Midway(tuple(steps), self.state, trace, gains)",
        "self.now = Midway(tuple(steps[:1]), self.state, trace, gains)",
        "test_checkpoints.py::test_a_fit_that_goes_on_ends_at_the_same_bits",
    ),
    "a degenerate end preferred": Spoilt(
        "emframe.fitting.search",
        "return one.status.usable, not one.spurious, one.objective",
        "return True, not one.spurious, one.objective",
        "test_search.py::test_a_degenerate_end_is_below_every_sound_one",
    ),
    "infinities let in": Spoilt(
        "emframe.data.demands",
        "lambda _, x: there(x, supports)",
        "lambda _, x: ~np.isnan(x)",
        "test_gate.py",
    ),
    "a row counted from one": Spoilt(
        "emframe.data.demands",
        "number = first + row if rows.kept is None",
        "number = first + row + 1 if rows.kept is None",
        "test_gate.py",
    ),
    "pickled arrays read": Spoilt(
        "emframe.files.archives",
        "if dtype.kind != \"f\" or fortran:",
        "if dtype.kind == 'O': stream.seek(0); return np.load(stream, allow_pickle=True)\n"
        "        if dtype.kind != \"f\" or fortran:",
        "test_files.py",
    ),
    "a selection that takes artefacts": Spoilt(
        "emframe.selecting.selection",
        "return not one.status.usable, bool(one.spurious), bool(loose), value",
        "return not one.status.usable, bool(loose), value",
        "test_search.py::test_a_selection_takes_no_artefact_while_there_is_another",
    ),
    "a bootstrap of rows without their weights": Spoilt(
        "emframe.inference.resampling",
        "stream.multinomial(round(size), rows.weights / size)",
        "stream.multinomial(len(x), np.full(len(x), 1 / len(x)))",
        "test_inference.py::test_a_bootstrap_draws_rows_as_often_as_their_weights_say",
    ),
    "a deviation of replicates by their number": Spoilt(
        "emframe.inference.standard_errors",
        "np.sqrt(len(values) - 1)",
        "np.sqrt(len(values))",
        "test_inference.py::test_a_standard_error_of_replicates_has_one_degree_of_freedom_less"
        "[bootstrap]",
    ),
    "a Dirichlet density without its constant": Spoilt(
        "emframe_families.items.categorical",
        "constant = constant - gammaln(1.0 + inside.sum(axis=1))",
        "pass",
        "test_categorical.py::test_the_weak_prior_is_a_product_of_dirichlet_densities[3]",
    ),
    "an unanswered item that is forgotten": Spoilt(
        "emframe_families.items.categorical",
        "return self.parameters(shares(self._items(statistics.totals), previous.probs))",
        "return self.from_mean(statistics.totals)",
        "test_categorical.py::test_an_item_that_a_component_never_answers_keeps_its_probabilities"
        "[3]",
    ),
    "a missing answer that is any": Spoilt(
        "emframe_families.items.categorical",
        "given = x[:, :, None] == np.arange(self._inside(x.shape[1]).shape[1])",
        "given = x[:, :, None] == np.arange(self._inside(x.shape[1]).shape[1]); "
        "given = np.where(np.isnan(x)[:, :, None], 1.0 / given.shape[2], given)",
        "test_categorical.py::test_a_missing_answer_is_summed_over[categorical]",
    ),
    "what is missing by the likeliest component": Spoilt(
        "emframe.families.base",
        'told = np.einsum("nk,nkm->nm", shares[group.rows], means)',
        "told = means[np.arange(len(means)), shares[group.rows].argmax(axis=1)]",
        "test_models.py::test_what_is_missing_has_the_mean_over_all_components",
    ),
    "a normal tail wherever Q falls towards it": Spoilt(
        "emframe_families.student.tail",
        "ends = (slope <= 0) & (normal >= before)",
        "ends = slope <= 0",
        "test_student.py::test_degrees_of_freedom_do_not_leave_a_heavy_tail_for_a_lower_normal_one"
        "[False]",
    ),
    "means without the factors' means": Spoilt(
        'emframe_families.factors.factor_analysis',
        'means = mean[:d] - loadings @ mean[d:]',
        'means = mean[:d]',
        'test_models.py::test_the_m_step_of_factors_is_a_maximum_from_means_that_are_off[columns]',
    ),
    "a Newton step that is never halved": Spoilt(
        "emframe_families.regressions.counts",
        "next((pair for pair in tried if pair[1] > 0.0), (0.0, 0.0))",
        "next(tried)",
        "test_regression.py::test_a_newton_step_that_is_too_long_is_halved",
    ),
    "own rows without their weights": Spoilt(
        "emframe_families.gaussian.triangles",
        "own_moments(u.T[np.nonzero(own)[1]], resp, own)",
        "own_moments(u.T[np.nonzero(own)[1]], np.ones_like(resp), own)",
        "test_engines.py::test_sums_over_own_rows_are_those_over_all",
    ),
    "axes that go up": Spoilt(
        "emframe_families.gaussian.axes",
        "if is_last or reached < here:",
        "if True:",
        "test_structures.py::test_axes_end_at_a_minimum_below_where_they_began",
    ),
    "axes without the criterion's curvature": Spoilt(
        'emframe_families.gaussian.axes',
        'return np.asarray(second + second.T + 0.5 * (bent + bent.T))',
        'return np.asarray(second + second.T)',
        'test_structures.py::test_axes_have_the_slopes_and_curvatures_of_what_they_minimise',
    ),
    "predictors nearly alike taken for one": Spoilt(
        "emframe_families.regressions.base",
        "COLLINEAR = 1e-11",
        "COLLINEAR = 1e-4",
        "test_regression.py::test_predictors_that_are_nearly_alike_are_told_apart",
    ),
}  # fmt: skip


def spoil(name: str, source: str) -> str:
    """The source of the module with its line spoilt; ValueError where that is not there, once."""
    one = SPOILT[name]
    if source.count(one.original) != 1:
        raise ValueError(
            f"{one.module} holds the line of the mutant {name!r} {source.count(one.original)} "
            f"times, not once; write it anew: {one.original!r}"
        )
    return source.replace(one.original, one.mutated)


class _Loader(SourceFileLoader):
    mutant: str

    def get_code(self, fullname: str) -> CodeType:  # past the cache of compiled files
        path = self.get_filename(fullname)
        source = self.get_data(path).decode("utf-8")
        if "Workspace()" in SPOILT[self.mutant].mutated:
            source = source.replace(
                "from emframe.data import",
                "from functools import reduce\nfrom operator import add\n"
                "from emframe.engines import Workspace\nfrom emframe.data import",
                1,
            )
        return compile(spoil(self.mutant, source), path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, mutant: str) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        if fullname != SPOILT[self.mutant].module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin)
        spec.loader.mutant = self.mutant
        return spec


def judge(name: str, report: Path) -> None:
    """Run the test that has to fail, in this process, which is spoilt for anything else."""
    with report.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.meta_path.insert(0, _Finder(name))
    status = pytest.main([*OPTIONS, str(HERE / SPOILT[name].test)])
    print(f"\n{int(status)}", flush=True)


def reports(folder: Path) -> dict[str, Path]:
    """Where the run of each mutant is told."""
    return {name: folder / f"{i}.txt" for i, name in enumerate(SPOILT)}


def main(folder: str, *names: str) -> None:
    """Judge these mutants, each in a fork, two at a time."""
    for module in OTHERS:
        import_module(module)
    assert not [name for name in sys.modules if name.partition(".")[0].startswith("emframe")]
    running: set[int] = set()
    for name in names:
        if len(running) >= 2:
            running.discard(os.wait()[0])
        child = os.fork()
        if child == 0:
            try:
                judge(name, reports(Path(folder))[name])
            finally:
                sys.stdout.flush()
                os._exit(0)
        running.add(child)
    while running:
        running.discard(os.wait()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
