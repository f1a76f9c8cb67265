"""The arrows between the layers, and what the tree may hold.

Each module of emframe imports only from layers named for it here.  The arrows are read from the
source, so an import inside a function counts as well; one for the type checker alone does not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# layer -> the layers it may import from, besides itself
ARROWS = {
    "core": set[str](),
    "spaces": set[str](),
    "messages": set[str](),
    "parameters": {"messages", "spaces"},
    "engines": {"core", "messages"},
    "data": {"engines", "messages", "spaces"},
    "datasets": {"data", "spaces"},
    "families": {"core", "data", "engines", "parameters", "spaces"},
    "numeric": {"core", "families", "messages", "parameters", "spaces"},
    "host": {"core", "data", "families", "messages", "numeric", "parameters", "spaces"},
    "latents": {"core", "data", "engines", "families", "parameters", "spaces"},
    "composing": {
        "core",
        "data",
        "families",
        "host",
        "messages",
        "numeric",
        "parameters",
        "spaces",
    },
    "models": {
        "composing",
        "core",
        "data",
        "engines",
        "families",
        "host",
        "latents",
        "messages",
        "parameters",
        "spaces",
    },
    "testing": {
        "core",
        "data",
        "engines",
        "families",
        "host",
        "latents",
        "messages",
        "models",
        "numeric",
        "parameters",
        "spaces",
    },
}
# Above the models come the surfaces: they may import any layer, and none of the layers them.
LAYERS = set(ARROWS)
EXTRAS = {
    "pyarrow", "matplotlib", "click", "rich", "hypothesis", "pytest", "pandas", "polars",
    "narwhals", "sklearn", "IPython", "dask", "distributed", "array_api_compat", "torch",
}  # fmt: skip

TOP_LEVEL = {
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff",
    "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "emframe", "plugins",
    "tests", "docs",
}  # fmt: skip
MADE_BY_TOOLS = {"build", "dist"}  # as in .gitignore


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.module or ""
            if node.module == "emframe":  # `from emframe import data` names a layer
                yield from (f"emframe.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "emframe").parts[0].removesuffix(".py")


@pytest.mark.parametrize("name", sorted(ARROWS))
def test_a_layer_imports_only_what_is_below_it(name: str) -> None:
    files = [path for path in sources(ROOT / "emframe") if layer(path) == name]
    assert files, f"emframe has no layer {name}"
    allowed = ARROWS[name] | {name}
    for path in files:
        for module in imports(path):
            if module == "emframe":
                pytest.fail(f"{path.name} imports the whole package")
            if module.startswith("emframe."):
                assert module.split(".")[1] in allowed, f"{path.name} imports {module}"


def test_no_arrow_goes_in_a_circle() -> None:
    below = {name: set(targets) for name, targets in ARROWS.items()}
    while below:
        ground = {name for name, targets in below.items() if not targets & set(below)}
        assert ground, f"a circle among {sorted(below)}"
        below = {name: targets for name, targets in below.items() if name not in ground}


def test_the_host_knows_no_plugin() -> None:
    for path in sources(ROOT / "emframe"):
        named = [module for module in imports(path) if module.startswith("emframe_")]
        assert not named, f"{path.name} imports {named}"


def test_the_layers_need_no_extra() -> None:
    for path in sources(ROOT / "emframe"):
        if layer(path) in LAYERS - {"testing"}:
            extra = {module.split(".")[0] for module in imports(path)} & EXTRAS
            assert not extra, f"{path.name} imports {extra}"


def test_the_core_runs_on_numpy_and_the_standard_library() -> None:
    for path in sources(ROOT / "emframe" / "core"):
        other = {module.split(".")[0] for module in imports(path)} & {"scipy", "pluggy"}
        assert not other, f"{path.name} imports {other}"


def test_the_top_level_is_clean() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    extra = {name for name in found - TOP_LEVEL - MADE_BY_TOOLS if not name.endswith(".egg-info")}
    assert extra <= {"__pycache__"}


# Spelt in halves, so that this file does not hold them itself.
FORBIDDEN = [
    "/wo" + "rk/",
    "/tm" + "p/",
    "/ho" + "me/",
    "pypi" + ".org",
    "python" + "hosted",
    "registry." + "npmjs",
    "cran.r-" + "project",
]
TEXT = {".py", ".md", ".toml", ".csv", ".txt", ".cfg", ".yml", ".yaml", ""}


def tracked() -> Iterator[Path]:
    """The text files of the project: all that no tool has made."""
    for top in [*sorted(TOP_LEVEL), ".ci", ".gitignore"]:
        start = ROOT / top
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            parts = path.relative_to(ROOT).parts
            made = "_build" in parts or "__pycache__" in parts
            hidden = any(part.startswith(".") for part in parts[1:])
            if path.is_file() and path.suffix in TEXT and not made and not hidden:
                yield path


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_file_names_a_machine_or_a_registry(word: str) -> None:
    guilty = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word in line
    ]
    assert not guilty
