"""What the distribution says of itself, and what is told where an extra is missing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import emframe
from emframe.messages.extras import extra, installed, missing

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# The module of a package, where it has another name.
MODULES = {"scikit-learn": "sklearn", "array-api-compat": "array_api_compat"}


def modules(name: str) -> set[str]:
    """The top-level modules that an extra installs."""
    packages = {re.split(r"[><=\[]", one)[0] for one in EXTRAS[name]}
    return {MODULES.get(package, package) for package in packages}


def calls() -> Iterator[tuple[str, list[str]]]:
    """Where ``extra("module", "name", "purpose")`` is called, and with what."""
    for path in sorted((ROOT / "emframe").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "extra":
                yield f"{path.name}:{node.lineno}", [ast.literal_eval(arg) for arg in node.args]


def test_every_extra_that_is_named_would_bring_what_is_missing() -> None:
    found = dict(calls())
    assert len(found) >= 5
    for place, (module, name, purpose) in found.items():
        assert name in EXTRAS, place
        assert module.split(".")[0] in modules(name), place
        assert purpose


def test_all_is_every_extra_for_users() -> None:
    (everything,) = EXTRAS["all"]
    listed = everything.removeprefix("emframe[").removesuffix("]").split(",")
    assert sorted(listed) == sorted(set(EXTRAS) - {"all", "dev", "jax"})  # jax is large


def test_the_page_on_extras_lists_them() -> None:
    page = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
    section = page.partition("## Install only what is needed")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)) == set(EXTRAS) - {"dev"}


def test_what_is_there_is_imported() -> None:
    assert extra("click", "cli", "the command line").__name__ == "click"
    assert installed("click")


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    assert not installed("click")
    assert not installed("no_such_package_anywhere")
    with pytest.raises(
        ModuleNotFoundError, match=r"^it needs click: pip install 'emframe\[cli\]'$"
    ):
        extra("click", "cli", "it")
    assert missing(["a", "b"], "cli", "it") == "it needs a and b: pip install 'emframe[cli]'"


@pytest.mark.parametrize(
    ("module", "package", "name"),
    [
        ("emframe.sklearn", "sklearn", "sklearn"),
        ("emframe.testing", "hypothesis", "testing"),
    ],
)
def test_a_module_without_its_extra(module: str, package: str, name: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last == (f"ModuleNotFoundError: {module} needs {package}: pip install 'emframe[{name}]'")


def test_nothing_optional_is_imported_with_emframe() -> None:
    optional = set().union(*(modules(name) for name in EXTRAS if name not in ("all", "dev")))
    code = f"import sys, emframe; print(*({optional!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_most_fits_do_not_need_is_not_imported_with_emframe() -> None:
    """These two take longer to import than all the rest."""
    code = "import sys, emframe; print(*({'scipy.stats', 'scipy.optimize'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_types_are_shipped() -> None:
    assert (ROOT / "emframe" / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_the_version_is_the_same_wherever_it_stands() -> None:
    readme, citation, recipe = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("README.md", "CITATION.cff", ".ci/recipe.yaml")
    )
    assert re.findall(r"version = \{([^}]+)\}", readme) == [emframe.__version__]
    assert re.findall(r"^version: (\S+)", citation, flags=re.MULTILINE) == [emframe.__version__]
    assert re.findall(r'^  version: "(\S+)"', recipe, flags=re.MULTILINE) == [emframe.__version__]


def test_the_recipe_asks_for_what_the_wheel_does() -> None:
    recipe = (ROOT / ".ci" / "recipe.yaml").read_text(encoding="utf-8")
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    wanted = [*PROJECT["dependencies"], *EXTRAS["cli"], "python" + PROJECT["requires-python"]]
    assert {one.strip(" -").replace(" ", "") for one in run.splitlines()} == set(wanted)


def test_each_python_that_is_named_is_tried() -> None:
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r'"(3\.\d+)"', workflow.partition("python: [")[2].partition("]")[0]) == named


def test_importing_is_light() -> None:
    """What a plain fit does without is not loaded by the import."""
    heavy = ("scipy.stats", "scipy.optimize", "matplotlib", "rich", "pandas", "sklearn", "click")
    code = f"import sys, emframe; print([one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_command_line_needs_no_kit() -> None:
    """Nor pandas, nor what draws: who installs ``emframe[cli]`` has none of them."""
    absent = ("hypothesis", "pandas", "matplotlib", "sklearn")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}));"
        "import emframe.cli, emframe.showing.report, emframe.plotting, emframe.selecting"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
