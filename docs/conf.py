"""How Sphinx builds these pages: Markdown in, HTML out, and a warning is an error (`make docs`)."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
_INIT = (HERE.parent / "host_prep" / "gpuctl_host" / "__init__.py").read_text(encoding="utf-8")

project = "gpuctl"
author = "the gpuctl developers"
project_copyright = "the gpuctl developers, Apache-2.0"
release = version = re.search(r'__version__ = "([^"]+)"', _INIT).group(1)

extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
exclude_patterns = ["_build", "**/.*"]
nitpicky = True

html_theme = "furo"
html_title = f"gpuctl {release}"
html_static_path = []
html_show_sourcelink = False
