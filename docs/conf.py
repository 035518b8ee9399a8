"""The documentation site, built by `tools/docs`. Sources are the Markdown pages and docstrings.

The source folder is the checkout, so that links between pages, to tutorials and to scripts are
the same on the site as in the repository.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import commands_page  # noqa: E402

import keras_mothernets  # noqa: E402

project = "keras-mothernets"
author = "the authors of keras-mothernets"
project_copyright = author
release = version = keras_mothernets.__version__

root_doc = "docs/index"
# What is searched for sources; without the exclusions all folders would be walked through.
include_patterns = ["docs/**", "tutorials/[0-9]*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [
    ".*",
    "**/.*",
    "build",
    "dist",
    "keras_mothernets",
    "runs",
    "tests",
    "tools",
    "*.egg-info",
]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = os.environ.get("KERAS_MOTHERNETS_RUN_TUTORIALS", "off")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures of names that `Args` explains in words are long enough
default_role = "code"  # docstrings write code in single backticks
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False

html_theme = "furo"
html_title = "keras-mothernets"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
# The pages ask for nothing from a network; what they load lies beside them.
html_use_opensearch = ""

PAGE = re.compile(r"`?\bdocs/([A-Z_]+)\.md`?")
NAME = re.compile(r"(?<!`)`km\.([A-Za-z_.]+)`(?!`)")
PLURAL = re.compile(r"(`[^`\n]+`)(?=[a-z])")  # `km.Member`s: code must end before a letter
FENCED = re.compile(r"(^```.*?^```$)", flags=re.DOTALL | re.MULTILINE)
IN_PAGE = re.compile(r"(?<![\[`])`km\.(\w+)(\.\w+)?`(?![\]`])")
OTHER_PAGE = re.compile(r"`docs/(\w+)\.md`(?!\])")
TUTORIALS = re.compile(r"```{toctree}\n[^`]*/tutorials/[^`]*```\n")
SOURCE = re.compile(r"^Source:\s*", flags=re.MULTILINE)


def _link(app: object, what: str, name: str, obj: object, options: object, lines: list) -> None:
    """Lead from docstrings to the pages and names that they speak of."""
    text = PAGE.sub(r":doc:`\1 </docs/\1>`", "\n".join(lines))
    text = NAME.sub(_reference, text)
    text = PLURAL.sub(r"\1\\ ", text)
    text = SOURCE.sub("**Source:** ", text)
    lines[:] = text.splitlines()


def _reference(found: re.Match) -> str:
    name = found[1]
    first = name.split(".")[0]
    if first not in keras_mothernets.__all__ or "." in name:
        return f"``km.{name}``"
    return f":py:obj:`km.{name} <keras_mothernets.{name}>`"


def _fill(app: object, page: str, source: list[str]) -> None:
    """Write the commands into their page, from the parser; leave out a list that has nothing."""
    if page.startswith("tutorials/"):
        source[0] = _in_python(source[0])
        return
    if page == root_doc and not any(ROOT.glob("tutorials/[0-9]*.ipynb")):
        source[0] = TUTORIALS.sub("", source[0])
    source[0] = _with_references(source[0])
    if page == "docs/COMMANDS":
        source[0] = source[0].replace(commands_page.PLACE, commands_page.page())


def _in_python(notebook: str) -> str:
    """A notebook that was never run does not tell its language, and would have no colours."""
    cells = json.loads(notebook)
    cells["metadata"].setdefault("language_info", {"name": "python", "pygments_lexer": "python"})
    return json.dumps(cells)


def _with_references(text: str) -> str:
    """Lead from `km.name` in a page to what the reference says of it; code stays as it is."""
    parts = FENCED.split(text)  # every second one is a code block
    parts[::2] = [OTHER_PAGE.sub(r"{doc}`/docs/\1`", part) for part in parts[::2]]
    parts[::2] = [IN_PAGE.sub(_role, part) for part in parts[::2]]
    return "".join(parts)


def _role(found: re.Match) -> str:
    known = found[1] in keras_mothernets.__all__ and found[1] not in ("datasets", "zoo")
    name = found[1] + (found[2] or "")
    return f"{{py:obj}}`km.{name} <keras_mothernets.{name}>`" if known else found[0]


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _fill)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", _link)  # type: ignore[attr-defined]
