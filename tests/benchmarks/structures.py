"""All covariance structures against the best optima that mclust knows, by the default call.

    python tests/benchmarks/structures.py FOLDER [iris diabetes thyroid nclus]

FOLDER holds reference/gmm14_NAME.json, with a list of fits, and the data that they name.  The tests
have one case of each structure; these are all of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emframe

CASES = ("iris", "diabetes", "thyroid", "nclus")


def rows(folder: Path, data: dict[str, Any]) -> NDArray[np.float64]:
    """The columns of a case, (n, d)."""
    header, *lines = list(csv.reader((folder / data["file"]).read_text().splitlines()))
    places = [header.index(name) for name in data["columns"]]
    return np.array([[float(line[j]) for j in places] for line in lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*", default=CASES)
    options = parser.parse_args()
    missed = 0
    print(f"{'case':20}{'log-likelihood':>16}{'off by':>10}{'df':>5}{'E-steps':>9}{'seconds':>9}")
    for name in options.cases:
        case = json.loads((options.folder / f"reference/gmm14_{name}.json").read_text())
        X = rows(options.folder, case["data"])
        for known in case["fits"]:
            k, covariance = known["model"]["k"], known["model"]["covariance"]
            began = time.process_time()
            fit = emframe.fit(emframe.Mixture("gaussian", k, covariance=covariance), X, rng=0)
            took = time.process_time() - began
            off = fit.log_likelihood - known["loglik"]
            reached = abs(off) <= case["tolerances"]["loglik_abs"] and not fit.spurious
            sound = reached and fit.converged and fit.n_parameters == known["df"]
            missed += not sound
            print(
                f"{name + '/' + known['id']:20}{fit.log_likelihood:16.6f}{off:10.1e}"
                f"{fit.n_parameters:5}{fit.n_iter:9}{took:9.2f}{'' if sound else '  MISSED'}",
                flush=True,
            )
    print(f"{missed} missed")


if __name__ == "__main__":
    main()
