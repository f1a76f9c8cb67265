"""The forms of a Gaussian pass against one another: what the cost model is read off.

    python tests/benchmarks/forms.py [--structure full] [--columns 2 8 32] [--components 2 8]

Prints nanoseconds a row of one pass, serial, by each form, beside what the model of
`emframe_families.gaussian.kernels` says of it, which leaves the softmax out: all need that, and it
pulls measured ratios towards 1.  The last column says how much slower the model's choice is than
the fastest form.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from cases import Case
from emframe_families.gaussian.direct import Direct
from emframe_families.gaussian.expanded import Frame
from emframe_families.gaussian.kernels import FORMS, direct_cost

import emframe
from emframe.engines import Serial, one_blas_thread
from emframe.models.model_pass import ModelPass

# Numbers that a pass of the direct form works out: a tenth of a second or so.
NUMBERS = 2e8


def forms(case: Case) -> dict[str, Callable[[], object]]:
    """One pass over the rows of a case by each form."""
    model = emframe.Mixture(case.family, n_components=case.k, covariance=case.structure)
    rows = model.rows(case.x)
    params = model.start(case.start, rows, np.random.default_rng(0))
    family, survey = model.family, model.survey(rows)
    whiten, _ = params.components.whitening
    constant = np.zeros(case.k)
    frame = Frame.of(survey.statistics)
    means = params.components.means
    kernels = {
        form.name: form.make(means, whiten, constant, frame, survey.statistics)
        for form in FORMS[case.structure]
    }
    kernels["direct"] = Direct(means, whiten, constant)
    engine = Serial()

    def one(kernel: object) -> Callable[[], object]:
        way = ModelPass(emframe.latents.OneHot(len(params.weights)), family, params, kernel)  # type: ignore[arg-type]
        return lambda: engine.sum(way.block, rows.blocks(way.rows(case.d)))

    return {name: one(kernel) for name, kernel in kernels.items()}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--structure", default="full", choices=sorted(FORMS))
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--components", type=int, nargs="+", default=[2, 5, 10, 20, 40])
    parser.add_argument("--turns", type=int, default=4)
    options = parser.parse_args()
    diagonal = options.structure == "diag"
    costs = {form.name: form.cost for form in FORMS[options.structure]}
    costs["direct"] = lambda k, d: direct_cost(k, d, diagonal)
    heads = "".join(f" {name}, ns | the model's |" for name in costs)
    print(f"| columns | K |{heads} chosen over fastest |")
    print("| ---: | ---: |" + " ---: | ---: |" * len(costs) + " ---: |")
    for d in options.columns:
        for k in options.components:
            n = int(np.clip(NUMBERS / (k * d * (50 + d)), 4_000, 100_000))
            case = Case("gaussian", options.structure, n, d, k, "scikit-learn")
            with one_blas_thread():
                ways = forms(case)
                turns = [{name: seconds(way) for name, way in ways.items()}
                         for _ in range(options.turns)]  # fmt: skip
            found = {name: 1e9 * min(turn[name] for turn in turns) / n for name in ways}
            chosen = min(costs, key=lambda name: costs[name](k, d))
            told = "".join(f" {found[name]:.0f} | {costs[name](k, d):.0f} |" for name in costs)
            lost = found[chosen] / min(found.values())
            print(f"| {d} | {k} |{told} {lost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
