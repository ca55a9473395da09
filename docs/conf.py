"""How Sphinx builds the pages beside this file: `make docs`."""

from neuroloom import __version__

project, author, release = "neuroloom", "The neuroloom founders", __version__
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = False  # docstrings name types of libraries whose pages a build without network cannot look up
default_role = "literal"  # docstrings quote names with single backticks
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints_format = "short"
autodoc_typehints = "none"  # signatures would be longer than what they say; docstrings state the types
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "inherited-members": "BaseEstimator, Exception, tuple",  # what our classes have, not what Python's have
    # scikit-learn's own plumbing, whose docstrings refer to its own guide
    "exclude-members": "get_metadata_routing, set_fit_request, set_predict_request, set_score_request, "
    "set_predict_proba_request, set_transform_request",
}
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = "neuroloom"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2, "footer_start": ["copyright"]}
linkcheck_timeout = 20
