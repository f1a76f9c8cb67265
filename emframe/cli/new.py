"""``emframe new-plugin``: a distribution of one's own, ready to install."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

import click

import emframe
from emframe.cli import skeleton


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--lane",
    type=click.Choice(list(skeleton.LANES)),
    default="exponential",
    show_default=True,
    help="What the family states: statistics, or its log density alone.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False), default=".", help="Where to put it.  [default: .]"
)
def new_plugin(name: str, lane: str, folder: str) -> None:
    """Write a plugin with the family NAME, and its tests.

    It is a distribution of its own, in the folder emframe-NAME.

    \b
    emframe new-plugin weibull
    pip install -e 'emframe-weibull[testing]'
    emframe check weibull && pytest emframe-weibull

    It is the exponential density under another name, so it works at once; then make it yours.
    """
    written = write(name, Path(folder), lane)
    home = written[0].parent
    for path in written:
        click.echo(str(path))
    click.echo(f"\npip install -e '{home}[testing]', then: emframe check {_names(name)['name']}")


def write(name: str, folder: Path, lane: str = "exponential") -> list[Path]:
    """Write the files of a plugin, and return their paths.

    Raises ValueError for a name that cannot be a module's or is taken, FileExistsError where the
    folder is there already.
    """
    names = _names(name)
    if names["name"] in emframe.families():
        raise ValueError(f"the family {names['name']!r} is there already; choose another name.")
    home = folder / f"emframe-{names['dashed']}"
    files = {
        "pyproject.toml": skeleton.PYPROJECT,
        "README.md": skeleton.README,
        f"emframe_{names['name']}.py": skeleton.LANES[lane],
        f"tests/test_{names['name']}.py": skeleton.TEST,
    }
    if home.exists():
        raise FileExistsError(f"{home} is there already; choose another name, or move it away.")
    (home / "tests").mkdir(parents=True)
    for path, text in files.items():
        (home / path).write_text(Template(text).substitute(names), encoding="utf-8")
    return [home / path for path in files]


def _names(name: str) -> dict[str, str]:
    """The name as a module has it, a distribution and a class."""
    plain = name.removeprefix("emframe-").replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", plain) or keyword.iskeyword(plain):
        raise ValueError(f"{name!r} cannot name a module; use letters, digits and hyphens.")
    title = "".join(word.capitalize() for word in plain.split("_"))
    return {"name": plain, "dashed": plain.replace("_", "-"), "title": title}
