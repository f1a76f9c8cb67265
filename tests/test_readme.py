"""What the README shows is what happens."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import SYBIL, fenced

README = Path(__file__).parent.parent / "README.md"
# Numbers may differ this much from machine to machine: the criteria's own rounding, and the last
# digits of a fit that has converged to 1e-8 nats in its likelihood, not in its responsibilities.
SAME = 0.02


def test_its_python_blocks_run_and_print_what_they_show() -> None:
    examples = list(SYBIL.parse(README).examples())
    assert len(examples) >= 5
    for example in examples:
        example.evaluate()


def test_two_blocks_of_commands_are_all_the_setup() -> None:
    use, develop = fenced(README, "bash")
    for block in (use, develop):
        assert block.splitlines()[0] == "python3 -m venv .venv"
        assert all(line.startswith(".venv/bin/") for line in block.splitlines()[1:])
    assert develop.splitlines()[-1].endswith("pytest")


def test_the_first_block_prints_what_is_shown_below_it() -> None:
    program, *arguments = shlex.split(fenced(README, "bash")[0].splitlines()[-1])
    assert program == ".venv/bin/emframe"
    command = [sys.executable, "-m", "emframe", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (shown,) = fenced(README, "console")
    table, _, ending = shown.partition("\n...\n")
    assert len(table.splitlines()) > 10
    for line, printed in zip(table.splitlines(), done.stdout.splitlines(), strict=False):
        assert list(map(cell, printed.split())) == list(map(cell, line.split()))
    assert ending.rstrip(". \n") in done.stdout


def cell(word: str) -> object:
    """A word as it is compared: decimals as near as `SAME`, all else to the letter."""
    try:
        return pytest.approx(float(word), abs=SAME) if "." in word else word
    except ValueError:
        return word
