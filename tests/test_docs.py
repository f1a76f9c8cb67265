"""The documentation keeps up with the code."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import families
import numpy as np
import pictures
import pytest
from mutants import MUTANTS

import emframe
from emframe.host import Hooks
from emframe.testing import CHECKS, MODEL_CHECKS

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


def test_the_hooks_are_told_as_they_are_specified() -> None:
    for name, told in rows("plugins.md", "hook"):
        summary = inspect.cleandoc(getattr(Hooks, name.strip("`")).__doc__).rstrip(".")
        words = set(re.findall(r"\w+", summary.removeprefix("Return ").lower()))
        missing = words - set(re.findall(r"\w+", told.lower())) - {"this", "plugin", "brings"}
        assert not missing - {"it"}, f"{name}: the page leaves out {missing}"


def test_the_table_of_mutants_is_that_of_the_tests() -> None:
    told = {
        name.strip("`"): set(re.findall(r"`(\w+)`", who))
        for name, who in rows("plugins.md", "rejected by")
    }
    wanted = {check.name: set[str]() for check in CHECKS}
    for mutant, names in MUTANTS.items():
        for name in names:
            wanted[name].add(mutant.__name__)
    assert told == wanted


def test_the_table_of_checks_of_models_is_the_kits() -> None:
    wanted = [[f"`{c.__name__}`", (c.__doc__ or "").splitlines()[0]] for c in MODEL_CHECKS]
    assert rows("plugins.md", "of a model") == wanted


def test_the_reference_has_every_public_name() -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. (?:auto|py:)\w+:: (?:\w+\.)*(\w+)", text, flags=re.MULTILINE)
    assert sorted(described) == sorted(set(emframe.__all__) - {"__version__"})


def test_the_gallery_of_families_is_what_its_script_writes() -> None:
    """Run ``python docs/families.py`` where it is not."""
    page = (DOCS / "families.md").read_text(encoding="utf-8")
    assert page == families.page()
    shown = re.findall(r"^### (.+)$", page, flags=re.MULTILINE)
    assert sorted(shown) == sorted(emframe.families())


@pytest.mark.parametrize("name", emframe.families())
def test_each_family_of_the_gallery_is_had_by_its_call(name: str) -> None:
    made = eval(families.call(name), {"emframe": emframe})
    assert isinstance(made, emframe.Mixture)
    assert made.family.name == name
    assert emframe.families()[name].reference


def test_what_is_made_of_families_is_had_as_the_gallery_says() -> None:
    calls = re.findall(r"\| `(emframe\..+)` \|", families.COMPOSED)
    assert len(calls) > 8
    for call in calls:
        eval(call, {"emframe": emframe, "np": np})


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
    assert drawn == {path.name for path in (DOCS / "_static").glob("*.svg")} - told
    for path in tmp_path.iterdir():
        assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_links_lead_somewhere() -> None:
    """Those inside the tree to files and headings; others are not followed, only their form."""
    for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link or link.startswith("mailto:"):
                assert re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", link), f"{page.name}: {link}"
                continue
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            made = target.suffix == ".html" and target.with_suffix(".md")
            found = made if made else target
            assert found.exists(), f"{page.name}: {link}"
            if heading:
                heads = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.M)
                slugs = {
                    re.sub(r"[^\w\s-]", "", one).strip().lower().replace(" ", "-") for one in heads
                }
                assert heading in slugs, f"{page.name}: {link}"


def test_every_page_is_in_the_table_of_contents() -> None:
    trees = (DOCS / "index.md").read_text(encoding="utf-8").split("```{toctree}")[1:]
    contents = [
        line for tree in trees for line in tree.partition("\n\n")[2].split("```")[0].split()
    ]
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert sorted(pages) == sorted(contents)
    for page in DOCS.glob("*.md"):
        assert page.read_text(encoding="utf-8").startswith("# "), f"{page.name} has no title"


def test_the_table_of_passes_is_of_the_bed() -> None:
    """The figures come from the benchmark; its problems and methods are those of the page."""
    bed = runpy.run_path(str(Path(__file__).parent / "benchmarks" / "convergence.py"))
    table = rows("convergence.md", "problem")
    assert [row[0] for row in table[:-1]] == [*bed["BED"], *bed["EASY"]]
    means = [float(cell) for cell in table[-1][2:5]]
    medians = np.array([[float(cell) for cell in row[2:5]] for row in table[: len(bed["BED"])]])
    assert means == pytest.approx(np.exp(np.log(medians).mean(axis=0)), rel=0.02)
    assert means[2] < means[0] / 8
