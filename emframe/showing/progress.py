"""Progress of a long fit: a line of what each `Step` says, through the callbacks that users have.

    emframe.fit(model, X, progress="auto")

`Meter` turns steps into words and knows no screen; a screen shows words and knows no steps.
Nothing is shown in the first second, so that a quick fit is silent.

One known case: a gain that shrinks tenfold each second, with 1e-6 to go to 1e-8, has 2 s to go.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from emframe.core import Step
from emframe.messages.extras import extra, installed

PATIENCE = 1.0  # seconds before anything is shown
Watcher = Callable[[Step[Any]], None]


class Screen(Protocol):
    """Where the line goes."""

    every: float  # seconds between two lines

    def show(self, text: str) -> None:
        """Replace what was shown."""

    def close(self) -> None:
        """Take the line away."""


@contextmanager
def watching(
    progress: bool | str, title: str, tol: float, n_starts: int | None
) -> Iterator[tuple[Watcher, ...]]:
    """The callbacks that show progress: one, or none where it is off.

    Parameters
    ----------
    progress : False for none; "auto" in terminals and notebooks; True also where stderr is a file
        or a pipe, as a line now and then.
    n_starts : how many starts there will be; None where that shows on the way.
    """
    if progress not in (True, False, "auto"):
        raise ValueError(f"`progress` is {progress!r}; pass True, False or 'auto'.")
    screen = screen_for(progress) if progress else None
    if screen is None:
        yield ()
        return
    try:
        yield (ProgressLine(screen, Meter(title, tol, n_starts)),)
    finally:
        screen.close()


@dataclass
class Meter:
    """What is known of a fit after each step, in words."""

    title: str
    tol: float
    n_starts: int | None
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    start_began: float = field(init=False)
    starts: int = 0  # begun so far
    best: float = -math.inf
    marks: list[tuple[float, float]] = field(default_factory=list)  # (time, log gain ahead)

    def __post_init__(self) -> None:
        self.began = self.start_began = self.clock()

    def see(self, step: Step[Any]) -> None:
        """Take in a step; one with index 0 begins a start."""
        now = self.clock()
        if step.index == 0:
            self.starts += 1
            self.start_began = now
            self.marks = []
        self.best = max(self.best, step.objective)
        if 0 < step.remaining < math.inf:
            self.marks = [*self.marks[-19:], (now, math.log(step.remaining))]

    def seconds_left(self) -> float | None:
        """Until this start has converged, and the others where their number is known.

        The gain ahead is taken to shrink at the rate of the last twenty steps.
        """
        if len(self.marks) < 2 or self.tol <= 0:
            return None
        (then, before), (now, after) = self.marks[0], self.marks[-1]
        if not (now > then and before > after):
            return None
        here = max(0.0, after - math.log(self.tol)) * (now - then) / (before - after)
        if self.n_starts is None:
            return here
        done, left = self.starts - 1, self.n_starts - self.starts
        each = (self.start_began - self.began) / done if done else now - self.start_began + here
        return here + left * each

    def words(self, step: Step[Any]) -> str:
        """The line for a step that was seen."""
        of = "" if self.n_starts is None else f" of {self.n_starts}"
        parts = [f"start {self.starts}{of}", f"step {step.index}"]
        best = f" (best {self.best:.8g})" if self.starts > 1 else ""
        parts.append(f"objective {step.objective:.8g}{best}")
        if 0 < step.remaining < math.inf:
            parts.append(f"{step.remaining:.1e} nats to gain")
        left = self.seconds_left()
        if left is not None:
            whole = "" if self.n_starts is not None else " for this start"
            parts.append(f"about {duration(left)}{whole}")
        return ", ".join([*parts, self.title])  # what a narrow terminal cuts off is known anyway


@dataclass
class ProgressLine:
    """The callback: shows the meter's words on a screen, now and then."""

    screen: Screen
    meter: Meter
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.meter.began + PATIENCE

    def __call__(self, step: Step[Any]) -> None:
        self.meter.see(step)
        now = self.meter.clock()
        if now >= self.due:
            self.screen.show(self.meter.words(step))
            self.due = now + self.screen.every


def duration(seconds: float) -> str:
    """A time span in one or two units.

    One known case: 3700 seconds are ``1 h 2 min``.
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# ---- screens


def screen_for(progress: bool | str) -> Screen | None:
    """A notebook's cell, a terminal's line or lines for a file; None where "auto" shows nothing."""
    if _in_notebook():
        return ProgressCell()
    if sys.stderr.isatty():
        if progress == "auto" and not installed("rich"):
            return None
        return Terminal()
    return Lines() if progress is True else None


class Terminal:
    """The last line of a terminal, on stderr; it leaves no trace.  Needs rich."""

    every = 0.1

    def __init__(self) -> None:
        extra("rich", "progress", "showing progress")
        self._live: Any = None

    def show(self, text: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = Console(stderr=True)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


class ProgressCell:
    """The output of a notebook's cell, replaced in place."""

    every = 0.25

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        ipython: Any = import_module("IPython.display")  # it is there: the cell is its own
        line = ipython.Pretty(text)
        if self._handle is None:
            self._handle = ipython.display(line, display_id=True)
        else:
            self._handle.update(line)

    def close(self) -> None:
        if self._handle is not None:
            self.show("")


class Lines:
    """Lines on stderr, for logs."""

    every = 10.0

    def show(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Lines stay."""


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this; a terminal's IPython is a terminal."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
