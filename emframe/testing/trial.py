"""One check on one family: examples by hypothesis, and the simplest that fails, in words."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, reject, settings
from hypothesis import seed as seeded
from hypothesis.errors import HypothesisException, UnsatisfiedAssumption

from emframe.core import Degenerate
from emframe.families import Family
from emframe.testing.cases import Case, cases
from emframe.testing.checks import Check
from emframe.testing.hygiene import declared
from emframe.testing.outcome import CheckResult, Fault, Inapplicable, told
from emframe.testing.scheme import Scheme
from emframe.testing.subject import Subject

SHRINKING = 60  # examples tried to make a failure simpler; a dear check has its share
REFUSALS = 0.5  # of the examples may be Degenerate


class _Enough(BaseException):
    """Ends the search; not an Exception, which hypothesis would take for a failure."""


class Trial:
    """Tries a check on examples, and keeps the simplest that fails."""

    def __init__(self, check: Check, scheme: Scheme) -> None:
        self.check = check
        self.scheme = scheme
        self.tried = self.usable = self.degenerate = self.after = 0
        self.refused = "the examples drawn could not be judged"
        self.simplest: Case | None = None
        self.reason = ""

    def __call__(self, case: Case) -> None:
        if self.simplest is not None:
            self.after += 1
            if self.after > self.check.share**2 * SHRINKING:
                raise _Enough
        self.tried += 1
        try:
            self.check.body(Subject(self.scheme.family, self.scheme, at=case.params), case)
        except Degenerate as error:
            self.degenerate += 1
            self.refused = f"Degenerate: {error}"
            reject()
        except (Inapplicable, UnsatisfiedAssumption):
            raise
        except Exception as error:
            if self.simplest is None or case.size <= self.simplest.size:
                self.simplest = case
                self.reason = str(error) if isinstance(error, Fault) else told(error)
            raise
        self.usable += 1

    def report(self) -> str:
        """Why the check failed, like a referee's report; empty where it passed."""
        what = self.check.summary
        if self.simplest is not None:
            example = str(self.simplest).replace("\n", "\n    ")
            return f"{what}\n{self.reason}\nExample:\n    {example}"
        if not self.usable or self.degenerate > REFUSALS * self.tried:
            return (
                f"{what}\nexpected most examples to have an answer;\nfound {self.usable} of "
                f"{self.tried}. The last without: {self.refused}.\nLook first at: m_step, where "
                "it raises Degenerate, or a density without a finite total; see `given` and "
                "`observed` of check_family."
            )
        return ""


def examine(
    check: Check,
    family: Family,
    columns: Sequence[int],
    max_examples: int,
    seed: int,
    scheme: Scheme | None = None,
) -> CheckResult:
    """Run one check; the same arguments give the same result."""
    wrong = declared(family)
    if wrong:
        if check.name == "declaration":
            return CheckResult(check.name, "failed", f"{check.summary}\nfound {wrong}.")
        return CheckResult(check.name, "skipped", "the declaration does not allow any example")
    scheme = Scheme.of(family) if scheme is None else scheme
    try:
        is_partial = scheme.is_partial(max(columns))
    except Fault as fault:
        return CheckResult(check.name, "failed", f"{check.summary}\n{fault}")
    scheme = scheme.with_terms(max(columns)) if is_partial else scheme
    family = scheme.family
    # What is given does not count where a density is looked at.
    plan = replace(check.plan, few=check.plan.few and not is_partial)
    if not plan.possible(columns):
        low, high = check.plan.columns
        return CheckResult(check.name, "skipped", f"it looks at {low} to {high} columns only")
    trial = Trial(check, scheme)

    def body(case: Case) -> None:
        trial(case)

    try:
        run = given(cases(family, columns, plan))(body)
        run = seeded(zlib.crc32(check.name.encode()) + seed)(
            settings(
                max_examples=max(3, round(check.share * max_examples)),
                deadline=None,
                database=None,
                derandomize=False,
                report_multiple_bugs=False,
                print_blob=False,
                verbosity=Verbosity.quiet,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )(run)
        )
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            run()
    except Inapplicable as why:
        return CheckResult(check.name, "skipped", str(why))
    except (_Enough, HypothesisException):
        pass  # the trial has kept what there is to tell
    except Exception:
        if trial.simplest is None:  # not raised by the check: the cases themselves failed
            raise
    reason = trial.report()
    return CheckResult(check.name, "failed" if reason else "passed", reason)
