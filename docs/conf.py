"""How the pages are built: ``make docs``."""

from importlib import metadata

project = "batchedit"
today = f"version {metadata.version(project)}"  # stands in the man page, which is committed: a date would change it every day
copyright = "the batchedit maintainers"  # noqa: A001 - Sphinx reads this name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
html_theme = "furo"
html_title = "batchedit"
suppress_warnings = ["misc.highlighting_failure"]  # Mermaid is drawn by GitHub; here the table stands as text
exclude_patterns = ["_build"]
linkcheck_ignore = ["https?://"]  # pages of others are not asked: the build needs no network
# `make man` keeps it as docs/man/batchedit.1, for the wheel
man_pages = [("reference/commands", "batchedit", "a spreadsheet in, finished pictures out", [], 1)]
