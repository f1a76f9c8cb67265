"""Optional packages: imported where they are used, and named with their extra where they lack.

    parquet = extra("pyarrow.parquet", "parquet", "reading Parquet")

One known case: a module that is installed is returned as ``import`` would return it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def extra(module: str, name: str, purpose: str) -> ModuleType:
    """Import a module that the extra `name` installs.

    Raises ModuleNotFoundError that says what the package is needed for, and how to install it.
    """
    package = module.partition(".")[0]
    if not installed(package):
        raise ModuleNotFoundError(missing([package], name, purpose), name=package)
    return import_module(module)


def missing(packages: list[str], name: str, purpose: str) -> str:
    """The words for packages that are not there."""
    return f"{purpose} needs {' and '.join(packages)}: pip install 'emframe[{name}]'"


def installed(package: str) -> bool:
    """Whether a package could be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except ValueError:  # a stand-in without a spec, or None, in sys.modules
        return False
