"""The documentation keeps up with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pictures

import emframe
from emframe.host import Hooks
from emframe.testing import CHECKS

DOCS = Path(__file__).parent.parent / "docs"


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table on a page whose header line starts with these words."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |"))
    table = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_the_table_of_hooks_is_the_hosts() -> None:
    specified = {name for name in vars(Hooks) if name.startswith("emframe_")}
    assert {name.strip("`") for name, _ in rows("plugins.md", "hook")} == specified


def test_the_table_of_checks_is_the_kits() -> None:
    assert rows("plugins.md", "check") == [[f"`{c.name}`", c.summary] for c in CHECKS]


def test_the_reference_has_every_public_name() -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. (?:auto|py:)\w+:: (?:\w+\.)*(\w+)", text, flags=re.MULTILINE)
    assert sorted(described) == sorted(set(emframe.__all__) - {"__version__"})


def test_the_table_of_spaces_has_them_all() -> None:
    spaces = {
        name
        for name in emframe.__all__
        if isinstance(getattr(emframe, name), type)
        and issubclass(getattr(emframe, name), emframe.Space)
    }
    assert {name.strip("`") for name, _ in rows("plugins.md", "space")} == spaces - {"Space"}


def test_the_pictures_are_drawn_by_their_script(tmp_path: Path) -> None:
    pictures.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"_static/([\w.]+)\)", page)}
    # A page that tells the command which measures and draws has its picture from that.
    told = {
        name for page in pages for name in re.findall(r"^python .*_static/([\w.]+)$", page, re.M)
    }
    assert drawn == shown - told
    assert drawn == {path.name for path in (DOCS / "_static").iterdir()} - told
    for path in tmp_path.iterdir():
        assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")
