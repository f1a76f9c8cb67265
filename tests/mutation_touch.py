"""Which test runs which function of ours: a plugin for pytest, and the map that it makes.

    python -m pytest -p mutation_touch --touched FILE tests/test_core.py

A test that passed is one line of FILE: its name, its seconds, and the functions that it ran in this
process, as ``module:scope``.  Only calls are traced, so that it costs little.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from mutation_sample import modules


class Touched:
    """Traces the calls of each test, from its fixtures to its end."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.paths = {str(path): module for module, path in modules().items()}
        self.seen: set[CodeType] = set()
        self.passed: dict[str, float] = {}

    def trace(self, frame: FrameType, event: str, argument: Any) -> None:
        self.seen.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.seen.clear()
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            if item.nodeid in self.passed:
                self.write(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed[report.nodeid] = report.duration
        elif report.nodeid in self.passed:
            self.passed[report.nodeid] += report.duration

    def write(self, test: str) -> None:
        own = {
            f"{self.paths[code.co_filename]}:{scope(code)}"
            for code in self.seen
            if code.co_filename in self.paths
        }
        line = {"test": test, "seconds": round(self.passed[test], 3), "functions": sorted(own)}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def scope(code: CodeType) -> str:
    """The function that a code object is, or is in: comprehensions and lambdas count as theirs."""
    parts = code.co_qualname.split(".")
    return ".".join(part for part in parts if not part.startswith("<"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--touched", help="a file to write to, a line for each test that passed")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--touched")
    if file:
        config.pluginmanager.register(Touched(Path(file)), "touched")
