"""How Sphinx builds the site; `make docs` calls it. It needs no network."""

project = "HealthIngest"
copyright = "the HealthIngest authors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "HealthIngest"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True
exclude_patterns = ["diagrams/*.dot"]
