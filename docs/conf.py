"""Sphinx builds the documentation: ``python -m sphinx -W -b html docs docs/_build``."""

import sprockets_influxdb

project = "sprockets-influxdb"
author = "the sprockets-influxdb authors"
copyright = "the sprockets-influxdb authors"
version = release = sprockets_influxdb.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Sphinx knows nothing of these, as they are types of the stubs alone.
    ("py:class", r".*\b(_Report|_Stats|_Field|_Stage|Recorder)"),
    # Not looked up, so that no network is needed.
    ("py:.*", r"(_?asyncio|collections|contextlib|flask|httpx|logging|redis|requests|types)\..*"),
    ("py:.*", r"(sqlalchemy|tornado)\..*"),
    ("py:class", r"Engine|AsyncEngine|Redis|AsyncRedis"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_heading_anchors = 3
# Parts of the README are included, which link to its other parts.
suppress_warnings = ["myst.xref_missing"]

html_theme = "alabaster"
html_theme_options = {"description": "Measurements from running applications into InfluxDB"}
