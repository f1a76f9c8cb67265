"""What is installed, for a report of a bug."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from threadpoolctl import threadpool_info

from emframe.host import plugins

PACKAGES = (
    "emframe", "numpy", "scipy", "pluggy", "threadpoolctl", "pandas", "narwhals", "formulaic",
    "polars", "pyarrow", "matplotlib", "scikit-learn", "autograd", "jax", "rich", "click",
)  # fmt: skip


def show_versions() -> None:
    """Print the versions of Python, of the packages that emframe uses, and of plugins.

    Examples
    --------
    >>> emframe.show_versions()  # doctest: +ELLIPSIS
    python...
    emframe...
    """
    print(versions())


def versions() -> str:
    """What `show_versions` prints."""
    lines = [("python", platform.python_version()), ("system", platform.platform())]
    lines += [(name, _version(name)) for name in PACKAGES]
    lines += [
        ("threads of " + one["internal_api"], f"{one['num_threads']} ({one['version']})")
        for one in threadpool_info()
    ]
    lines += [("plugin", str(one)) for one in plugins()]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name.ljust(width)}  {what}" for name, what in lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
