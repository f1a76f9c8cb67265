"""Sphinx: MyST pages, the API from its docstrings, no network."""

import emframe

project = "emframe"
author = "The emframe authors"
copyright = "2026, The emframe authors"
release = emframe.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "py:obj"
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"emframe {release}"
html_static_path = ["_static"]
html_show_sphinx = False
