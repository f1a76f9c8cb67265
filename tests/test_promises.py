"""docs/promises.md is true: its tests are there, and no promise of the README is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from mutation import SPOILT

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)


def defined(file: str) -> set[str]:
    """The tests at the top of a file, which is what pytest collects of it."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def words(text: str) -> str:
    return " ".join(text.replace("\n> ", "\n").split())


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_tests_on_the_page_are_there(file: str, test: str) -> None:
    assert test in defined(file)


def test_every_promise_of_the_readme_is_on_the_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (part,) = re.findall(r"## What is promised\n(.*?)\n## ", readme, flags=re.DOTALL)
    promises = [words(one) for one in re.split(r"^- ", part, flags=re.MULTILINE)[1:]]
    assert len(promises) >= 6
    page = words(PAGE)
    assert [one for one in promises if one not in page] == []


def test_every_section_names_tests() -> None:
    for section in PAGE.split("\n## ")[1:]:
        assert re.search(r"`test_\w+\.py::", section), section.splitlines()[0]


def test_what_spoilt_lines_are_judged_by_is_there() -> None:
    for one in SPOILT.values():
        file, _, test = one.test.partition("::")
        assert (ROOT / "tests" / file).exists()
        assert not test or test.split("[")[0] in defined(file)
