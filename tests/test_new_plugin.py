"""``emframe new-plugin`` writes a distribution that installs, passes its tests and fits at once."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import emframe
from emframe import host
from emframe.cli import app, skeleton
from emframe.host.recipes import describe
from emframe.testing import check_family

RAYLEIGH = Path(__file__).parent.parent / "plugins" / "emframe-rayleigh"


def written(folder: Path, *args: str) -> Path:
    done = CliRunner().invoke(app, ["new-plugin", *args, "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    return Path(done.output.splitlines()[0]).parent


def installed(home: Path) -> dict[str, Any]:
    """Put next to the module what an installer writes from its pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((home / "pyproject.toml").read_text())["project"]
    info = home / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    points = "\n".join(f"{a} = {b}" for a, b in project["entry-points"]["emframe"].items())
    (info / "entry_points.txt").write_text(f"[emframe]\n{points}\n")
    return project


@pytest.mark.parametrize("lane", skeleton.LANES)
def test_a_new_plugin_works_at_once(
    lane: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"fresh_{lane}"
    home = written(tmp_path, name, "--lane", lane)
    project = installed(home)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(host.installed, "_installed", host.installed._Installed())
    importlib.invalidate_caches()
    (report,) = (one for one in emframe.plugins() if one.distribution == project["name"])
    assert (report.version, report.families, report.error) == ("0.1.0", (name,), "")

    fit = emframe.fit(emframe.Mixture(name), [1.0, 2.0, 6.0], rng=0)
    assert fit.params.components.scale == pytest.approx([3.0])
    # A plugin's family is found by its name, whatever it was made from.
    fit.save(tmp_path / "a.fit")
    assert describe(fit.model.family) == {"name": name, "options": {}}
    assert emframe.load(tmp_path / "a.fit").model.family.name == name
    results = check_family(emframe.family(name), max_examples=3)
    assert {one.status for one in results} == {"passed"}

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_its"]
    run = subprocess.run(
        command,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(home), "PATH": ""},
    )
    assert run.returncode == 0, run.stdout
    sys.modules.pop(f"emframe_{name}", None)


def test_the_plugin_of_this_repository_looks_as_if_made_that_way(tmp_path: Path) -> None:
    home = written(tmp_path, "made-up")

    def layout(folder: Path, name: str) -> list[str]:
        files = (path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        kept = [one for one in files if one.endswith((".py", ".md", ".toml"))]
        return sorted(one.replace(name, "NAME") for one in kept)

    assert layout(home, "made_up") == layout(RAYLEIGH, "rayleigh")
    new, old = (
        tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (home, RAYLEIGH)
    )
    assert new["build-system"] == old["build-system"]
    assert new["tool"].keys() == old["tool"].keys()
    assert new["project"]["dependencies"] == old["project"]["dependencies"]
    assert new["project"].keys() <= old["project"].keys()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("poisson",), "the family 'poisson' is there already"),
        (("1st",), "cannot name a module"),
        (("class",), "cannot name a module"),
        (("twice",), "emframe-twice is there already"),
    ],
)
def test_what_cannot_be_written_is_refused(
    args: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "emframe-twice" / "tests").mkdir(parents=True)
    done = CliRunner().invoke(app, ["new-plugin", *args, "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
