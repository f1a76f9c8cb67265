"""The command line: what `emframe.select`, `Fit` and the host say, as commands.

Nothing is computed here.  `sheets` reads data, `screen` writes tables, and each other module is
a few commands.  Needs the extra ``cli``.
"""

from emframe.cli.app import app

__all__ = ["app"]
