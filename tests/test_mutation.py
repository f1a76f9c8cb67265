"""Lines of our own that are spoilt one at a time: each turns a test red that names the promise.

The tests themselves pass with the code as it is; that is said by their own runs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutation import SPOILT, reports, spoil
from mutation_sample import HERE as ROOT
from mutation_sample import modules, mutants, sample

HERE = Path(__file__).parent
FAILED = "1"  # pytest's exit status where tests ran, and some failed


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runs of all mutants, each told in a file."""
    if not hasattr(os, "fork"):
        pytest.skip("each mutant is a fork of one process")
    folder = tmp_path_factory.mktemp("mutants")
    plain = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    subprocess.run(
        [sys.executable, str(HERE / "mutation.py"), str(folder), *SPOILT],
        cwd=HERE.parent,
        env=plain | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
    )
    return reports(folder)


@pytest.mark.parametrize("name", SPOILT)
def test_the_spoilt_line_is_there(name: str) -> None:
    spec = importlib.util.find_spec(SPOILT[name].module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert spoil(name, source) != source


@pytest.mark.deep
@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_line_turns_a_test_red(name: str, told: dict[str, Path]) -> None:
    *lines, status = told[name].read_text(encoding="utf-8").splitlines()
    assert status == FAILED, "\n".join([*lines, status])
    assert any("failed" in line for line in lines[-3:])


@pytest.mark.deep
def test_a_sample_of_lines_is_of_every_package_and_its_mutants_compile() -> None:
    """What `mutation_survey.py` runs by hand; only that it can is looked at here."""
    chosen = sample(150, 0)
    assert len({one.key for one in chosen}) == len(chosen) >= 120
    names = {name.partition(".")[0] for name in modules()}
    assert {one.module.partition(".")[0] for one in chosen} == names
    for one in chosen:
        source = (ROOT / one.path).read_text(encoding="utf-8")
        spoilt = one.spoil(source)
        compile(spoilt, one.path, "exec")
        assert spoilt.count("\n") <= source.count("\n")
        assert one.shown(source).startswith(one.original)
    assert sample(150, 0) == chosen
    assert {one.key for one in sample(150, 1)} != {one.key for one in chosen}


def test_what_a_script_changes_is_arithmetic_and_logic_alone() -> None:
    source = '''"""Twice 2."""
LEAST = 1e-9


def half(x: int = 4, *, axis: int = 0) -> float:
    """x < 0?"""
    if x < 0 and not axis:
        raise ValueError(f"{x + 1}")
    return x.sum(axis=1) / 2.0 - x[0]
'''
    path = ROOT / "tests" / "half.py"
    found = {(one.line, one.kind, one.new) for one in mutants("half", path, source)}
    assert found == {
        (2, "constant", "1e-05"),
        (5, "constant", "5"),
        (5, "constant", "1"),
        (7, "condition negated", "not (x < 0 and not axis)"),
        (7, "logic", "or"),
        (7, "comparison", "<="),
        (7, "comparison", ">"),
        (7, "constant", "1"),
        (7, "sign dropped", ""),
        (9, "operator", "+"),
        (9, "operator", "*"),
        (9, "term dropped", ""),
        (9, "constant", "4.0"),
    }
