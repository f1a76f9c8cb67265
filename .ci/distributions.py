"""Check what a wheel and a source distribution hold: ``distributions.py FOLDER``."""

from __future__ import annotations

import sys
import tarfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
PACKAGES = ("emframe", "plugins/emframe_families", "plugins/emframe_command")


def sources(folder: str) -> set[str]:
    """The files of a package in the tree, as a wheel names them."""
    package = ROOT / folder
    return {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.suffix in {".py", ".csv", ".typed"}
    }


def check_wheel(path: Path) -> None:
    with ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        points, metadata = ConfigParser(), wheel.read(f"{info}/METADATA").decode()
        points.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    code = {name for name in names if not name.startswith(f"{info}/")}
    expected = set().union(*map(sources, PACKAGES))
    assert code == expected, f"{path.name}: {sorted(code ^ expected)}"
    assert {"emframe/py.typed", "emframe/datasets/faithful.csv"} <= code, "data are missing"
    assert dict(points["console_scripts"]) == {"emframe": "emframe_command:main"}
    assert dict(points["emframe"]) == {"emframe_families": "emframe_families"}
    headers = message_from_string(metadata)
    assert headers["Requires-Python"] == ">=3.11", headers["Requires-Python"]
    always = [need for need in headers.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert sorted(need.split(">")[0] for need in always) == [
        "numpy",
        "pluggy",
        "scipy",
        "threadpoolctl",
    ], always
    assert any(name.startswith(f"{info}/licenses/") for name in names), "the license is missing"


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "docs/conf.py"}
    for package in PACKAGES:
        above = Path(package).parent
        needed |= {(above / name).as_posix() for name in sources(package)}
    needed |= {f"tests/{path.name}" for path in (ROOT / "tests").glob("test_*.py")}
    assert needed <= names, f"{path.name} lacks {sorted(needed - names)}"
    made = [name for name in names if "_build/" in name or "__pycache__" in name]
    assert not made, f"{path.name} holds {made}"


def main(folder: Path) -> None:
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)
    print(f"{wheel.name} and {sdist.name} hold what they should")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
