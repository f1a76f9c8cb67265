"""How a run ended.  Each end is a value with a remedy, never an exception and never a NaN."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """The end of a run; ``status.message`` says what it means and what to do about it.

    Examples
    --------
    >>> emframe.Status.CONVERGED.usable, emframe.Status.DEGENERATE.usable
    (True, False)
    """

    CONVERGED = "converged"
    MAX_ITERATIONS = "max_iterations"
    MAX_EXPECTATIONS = "max_expectations"
    MAX_SECONDS = "max_seconds"
    PARAMETER_CHANGE = "parameter_change"
    HELD_OUT = "held_out"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    ENGINE_FAILED = "engine_failed"
    STALLED = "stalled"
    SADDLE = "saddle"
    JOINED = "joined"
    LEFT = "left"
    DEGENERATE = "degenerate"
    SEPARATED = "separated"
    FAILED = "failed"
    E_STEP_BREACH = "e_step_breach"
    M_STEP_BREACH = "m_step_breach"

    @property
    def message(self) -> str:
        """What happened and the remedy, in a sentence or two."""
        return _MESSAGES[self]

    @property
    def usable(self) -> bool:
        """Whether the last parameters are those of a sound ascent, finished or not."""
        return self not in {
            Status.DEGENERATE,
            Status.SEPARATED,
            Status.FAILED,
            Status.E_STEP_BREACH,
            Status.M_STEP_BREACH,
        }

    @property
    def lacks_maximum(self) -> bool:
        """Whether the objective has no finite maximum where a run went."""
        return self in {Status.DEGENERATE, Status.SEPARATED}

    @property
    def is_optimum(self) -> bool:
        """Whether a run may have ended at a maximum: not where it is known that it did not."""
        return self.usable and self not in {Status.SADDLE, Status.LEFT}


_MESSAGES = {
    Status.CONVERGED: "The estimated remaining gain of the objective is below tol.",
    Status.MAX_ITERATIONS: (
        "The cap on iterations came before convergence. Raise max_iter, or go on from here with "
        "start=fit.params."
    ),
    Status.MAX_EXPECTATIONS: (
        "The cap on E-steps came before convergence. Raise it, or go on from here with "
        "start=fit.params."
    ),
    Status.MAX_SECONDS: (
        "The time allowed ran out before convergence. Allow more, or go on from here with "
        "start=fit.params."
    ),
    Status.PARAMETER_CHANGE: (
        "The parameters moved by less than asked in the last step, which says nothing of how far "
        "the maximum is. For a statement about that, stop by tol alone."
    ),
    Status.HELD_OUT: (
        "The log-likelihood of the rows kept aside began to fall. These parameters are no maximum "
        "of the likelihood, and standard errors mean nothing at them."
    ),
    Status.STOPPED: "A callback asked to stop.",
    Status.INTERRUPTED: "Interrupted from the keyboard; these are the best parameters so far.",
    Status.ENGINE_FAILED: (
        "These are the best parameters so far. Mend the engine, or what the rows are read from, "
        "and go on from here with start=fit.params."
    ),
    Status.STALLED: (
        "Rounding error hides whether the objective still rises: tol is finer than the arithmetic "
        "on this data can resolve. Rescale or recentre the columns, or raise tol."
    ),
    Status.SADDLE: (
        "EM stands still here, but it is no maximum: a nudge led higher. Go on from there with "
        "more n_starts, or make the model smaller."
    ),
    Status.JOINED: (
        "It came so near an optimum that another start had reached that it was taken to end there."
    ),
    Status.LEFT: (
        "It was left before its end, for it could not have reached the best optimum found. Run it "
        "to its end with n_starts as a number."
    ),
    Status.DEGENERATE: (
        "A component degenerated, where the likelihood has no finite maximum. Leave out columns "
        "that are constant or follow from others, or make the model smaller."
    ),
    Status.SEPARATED: (
        "The likelihood rises for ever as log odds grow, though never above a bound, so that no "
        "finite parameters are its maximum."
    ),
    Status.FAILED: (
        "The model raised an exception. Where that is no accident of a single start, run the "
        "conformance kit on it (emframe.testing.check_family)."
    ),
    Status.E_STEP_BREACH: (
        "The E-step contradicts itself: the posterior, the log-likelihood and Q do not belong "
        "together. Run the conformance kit on the model (emframe.testing.check_family)."
    ),
    Status.M_STEP_BREACH: (
        "The M-step lowered Q, which it declared not to do. Run the conformance kit on the model "
        "(emframe.testing.check_family)."
    ),
}
