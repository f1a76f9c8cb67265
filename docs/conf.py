"""Sphinx: MyST pages, the API from its docstrings, no network."""

import re

import emframe

project = "emframe"
author = "The emframe authors"
copyright = "2026, The emframe authors"
release = emframe.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # formulas are set without asking a server for the means
]
myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "py:obj"
nitpicky = True  # every `emframe.name` on a page or in a docstring is one of the reference
nitpick_ignore_regex = [
    ("py:class", ".*"),  # types of signatures, as Python prints them
    ("py:obj", r"\w+"),  # arguments, and names in passing
    ("py:obj", r"emframe\.(core|data|engines|models|parameters)(\.\w+)?"),  # inner modules
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"emframe {release}"
html_static_path = ["_static"]
html_show_sphinx = False

# The sections of a docstring whose entries read "name : what it is".
ENTRIES = re.compile(r"^(\s*)([*\w]+(?:, \w+)*) : (.*)$")
SECTIONS = {"Parameters", "Attributes", "Raises"}


def entries_without_types(*event):
    """Our entries say what a parameter is; its type stands in the signature.

    numpydoc would take the text after the colon for the type, so it goes to a line of its own.
    """
    lines = event[-1]
    section, told = "", []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if set(after.strip()) == {"-"}:
            section = line.strip()
        entry = ENTRIES.match(line) if section in SECTIONS else None
        told += [f"{entry[1]}{entry[2]}", f"{entry[1]}    {entry[3]}"] if entry else [line]
    lines[:] = told


def setup(app):
    app.connect("autodoc-process-docstring", entries_without_types, priority=400)
