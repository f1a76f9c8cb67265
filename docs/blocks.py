"""Code blocks that run: each ``python`` block in order, each ``text`` block as what it printed.

A ``text`` block is compared with the standard output of the ``python`` block above it; ``...``
stands for anything, as in a doctest.  The pages of the documentation and the README share this.
"""

from __future__ import annotations

import contextlib
import doctest
import io
from pathlib import Path

from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

_PRINTED = "__printed__"
_evaluate = PythonEvaluator()


def run(example: Example) -> None:
    """Run a block of Python and keep what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        _evaluate(example)
    example.namespace[_PRINTED] = out.getvalue()


def compare(example: Example) -> str | None:
    """What differs between a text block and what was printed, or None."""
    printed = example.namespace.pop(_PRINTED, None)
    if printed is None:
        return "a text block has to follow the python block that prints it"
    return difference(str(example.parsed), printed)


def difference(shown: str, printed: str) -> str | None:
    """Where a text shown to readers and the text printed differ; None where they agree."""
    shown, printed = _plain(shown), _plain(printed)
    if doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS):
        return None
    return f"shown:\n{shown}\nprinted:\n{printed}"


def fenced(path: Path, language: str) -> list[str]:
    """The sources of a page's fenced blocks in one language, in order."""
    document = Sybil([CodeBlockParser(language, lambda _: None)]).parse(path)
    return [str(example.parsed) for example in document.examples()]


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


SYBIL = Sybil([CodeBlockParser("python", run), CodeBlockParser("text", compare)], patterns=["*.md"])
