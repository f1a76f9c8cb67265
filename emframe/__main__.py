"""The command ``emframe``, also as ``python -m emframe``."""

from __future__ import annotations

import sys

from emframe.messages.extras import installed, missing


def main() -> None:
    """Run the command line, or name the extra that it needs."""
    absent = [name for name in ("click", "rich") if not installed(name)]
    if absent:
        print(f"Error: {missing(absent, 'cli', 'the command line')}", file=sys.stderr)
        raise SystemExit(2)
    from emframe.cli import app

    app(prog_name="emframe")


if __name__ == "__main__":
    main()
