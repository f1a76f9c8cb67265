"""Lines of our own that are spoilt one at a time: each turns a test red that names the promise.

The tests themselves pass with the code as it is; that is said by their own runs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from mutation import SPOILT, VARIABLE, spoil

from emframe.engines import cores

HERE = Path(__file__).parent
FAILED = 1  # pytest's exit status where tests ran, and some failed
Done = subprocess.CompletedProcess[str]


def judged(name: str) -> Done:
    """The run of the test that has to fail, in a process of its own."""
    options = ["-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "mutation"]
    command = [sys.executable, "-m", "pytest", *options, str(HERE / SPOILT[name].test)]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        cwd=HERE.parent,
        env=os.environ
        | {VARIABLE: name, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future[Done]]]:
    with ThreadPoolExecutor(cores()) as pool:
        yield {name: pool.submit(judged, name) for name in SPOILT}


@pytest.mark.parametrize("name", SPOILT)
def test_the_spoilt_line_is_there(name: str) -> None:
    spec = importlib.util.find_spec(SPOILT[name].module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert spoil(name, source) != source


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_line_turns_a_test_red(name: str, runs: dict[str, Future[Done]]) -> None:
    done = runs[name].result()
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert "failed" in done.stdout.splitlines()[-1]
