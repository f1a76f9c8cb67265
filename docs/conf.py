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
    ("py:obj", r"emframe\.(core|data|engines|models|parameters)"),  # inner modules
    ("py:obj", r"emframe\.(data|engines|models|parameters)\.\w+"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Array": "Array", "Vector": "Vector"}  # not what they stand for
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"emframe {release}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_show_sphinx = False
html_show_search_summary = False  # it is fetched, which no browser does from a file

# An entry of a docstring's section reads "name : what it is".
ENTRY = re.compile(r"^([*\w]+(?:, \w+)*) : (.*)$")
# Names that stand for a type inside another type, and arrays of any kind.
SPELLED_OUT = re.compile(
    r"TypeAliasForwardRef\('(\w+)'\)|(ndarray)\[tuple\[[~.\w]*Any, \.\.\.\], [^]]*\]\]"
)


def as_sections_are_read(*event):
    """Our docstrings as napoleon takes them.

    Our entries say what a parameter is, its type stands in the signature; napoleon would take the
    text after the colon for the type, so it goes to a line of its own.  A paragraph after a
    section is to us outside it, and goes before the sections.
    """
    lines = event[-1]
    text, sections = [], []
    place = text
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        entry = ENTRY.match(line) if place is sections else None
        if after and set(after) == {"-"}:
            place = sections
        elif place is sections and line and not before and not line.startswith(" ") and not entry:
            place = text
        place += [entry[1], f"    {entry[2]}"] if entry else [line]
    lines[:] = [*text, "", *sections]


def as_types_are_called(*event):
    """Signatures with the names of types that the code has."""
    return tuple(
        text and SPELLED_OUT.sub(lambda found: found[1] or found[2], text) for text in event[-2:]
    )


def setup(app):
    app.connect("autodoc-process-docstring", as_sections_are_read, priority=400)
    app.connect("autodoc-process-signature", as_types_are_called)
