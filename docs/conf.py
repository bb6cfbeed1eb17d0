"""Makes a site of these pages with Sphinx: `make docs`. The rules: docs/how-to/develop.md."""

import os
import re
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# Pages whose text is a file of the repository's root.
ROOT_FILES = {"index": "README.md", "changes": "CHANGELOG.md", "security": "SECURITY.md"}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")

project = "asgi_tasks"
author = "the asgi_tasks developers"
project_copyright = author
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
myst_heading_anchors = 4
nitpicky = True
pygments_style = "default"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = "asgi_tasks"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_css_files = ["site.css"]
html_static_path = ["static"]


def setup(app):
    app.connect("source-read", read)


def read(app, page, source):
    """Take a page's text from the root, its links to such pages, and an index's links as menu."""
    menu = toctree(source[0]) if Path(page).name == "index" else ""
    here = (DOCS / page).parent
    file = ROOT / ROOT_FILES[page] if page in ROOT_FILES else DOCS / f"{page}.md"
    text = LINK.sub(lambda link: target(file.parent / link[1], here), file.read_text())
    source[0] = text + menu


def target(path, here):
    """The link to a file, in a page of this folder."""
    path = os.path.normpath(path)
    pages = {str(ROOT / name): str(DOCS / f"{page}.md") for page, name in ROOT_FILES.items()}
    return os.path.relpath(pages.get(path, path), here)


def toctree(text):
    """What an index page links to, in this order and by these names."""
    links = re.findall(r"\[([^\]]+)\]\(([^)#]+)\.md\)", text)
    entries = "".join(f"{title} <{page}>\n" for title, page in links)
    return f"\n```{{toctree}}\n:hidden:\n\n{entries}```\n"
