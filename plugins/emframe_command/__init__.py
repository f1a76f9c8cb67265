"""The command ``emframe`` from its first moment on: Ctrl-C ends it quietly, with status 130.

It stands beside the package, for what is in the package cannot run before that is imported, which
takes most of a quick command's time.  From then on `emframe.cli` says how a command ends.

One known case: without Ctrl-C this is ``python -m emframe``.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from emframe.__main__ import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
