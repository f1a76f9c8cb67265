"""The command ``emframe``, also as ``python -m emframe``."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line, or name the extra that it needs."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        print(
            f"Error: the command line needs {' and '.join(missing)}: pip install 'emframe[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2)
    from emframe.cli import app

    app(prog_name="emframe")


if __name__ == "__main__":
    main()
