"""The site that `make docs` makes of the pages: built on a copy, looked at as files."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.processes import ROOT

LINKED_FROM_PAGES = ("docker", "cloudbuild.yaml")
ROOT_FILES = ("README.md", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", "Makefile")
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "index", "next", "prev", "search"}  # relations of a <link>


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.path = path
        self.ids = set()
        self.links = []
        self.loads = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.ids |= {facts["id"]} if "id" in facts else set()
        if tag == "a" and "href" in facts:
            self.links.append(facts["href"])
        if facts.get(LOADED.get(tag)) and facts.get("rel") not in NOT_LOADED:
            self.loads.append(facts[LOADED[tag]])


@pytest.fixture
def copy(tmp_path):
    """The pages and what they show, as somebody's checkout."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in (*ROOT_FILES, *LINKED_FROM_PAGES):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def build(folder):
    command = ["make", "check-docs", f"BIN={Path(sys.executable).parent}"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of the site, by their path in it."""
    folder = tmp_path_factory.mktemp("site")
    return {path.relative_to(folder).as_posix(): Page(path) for path in built(folder)}


def built(folder):
    command = [sys.executable, "-m", "sphinx", "-qWn", "-b", "html", "-d", f"{folder}-trees"]
    subprocess.run([*command, ROOT / "docs", folder], check=True, timeout=120)
    return sorted(folder.rglob("*.html"))


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_site_has_a_page_for_each_file(pages):
    files = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    made = {str(path.with_suffix(".html")) for path in files}
    assert set(pages) - made == {"genindex.html", "search.html"}
    assert made <= set(pages)


def test_front_page_is_the_readme(pages):
    assert "Two commands" in pages["index.html"].path.read_text()
    assert "../README.md" not in pages["how-to/test-with-the-emulator.html"].links


def test_every_page_is_in_the_menu(pages):
    text = pages["index.html"].path.read_text()
    (menu,) = re.findall(r'<div class="sidebar-tree">.*?\n</div>', text, re.DOTALL)
    listed = set(re.findall(r'href="([^"]+\.html)"', menu)) | {"index.html"}
    assert listed == set(pages) - {"genindex.html", "search.html"}


def test_four_kinds_come_first_in_the_menu(pages):
    text = pages["index.html"].path.read_text()
    top = re.findall(r'toctree-l1[^"]*"><a class="[^"]*" href="[^"]*">([^<]+)<', text)
    assert top[:6] == ["Tutorial", "How-to", "Reference", "Explanation", "Glossary", "Changes"]


def test_links_and_anchors_lead_somewhere(pages):
    wrong = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or name == "search.html":
                continue
            path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            other = next((each for each in pages.values() if each.path == path), None)
            known = parts.fragment in other.ids if other and parts.fragment else path.exists()
            if not known:
                wrong.append((name, link))
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = [(name, url) for name, page in pages.items() for url in page.loads]
    assert ("index.html", "_images/campaign.png") in loaded
    assert [each for each in loaded if urlsplit(each[1]).netloc] == []
    folder = pages["index.html"].path.parent
    styles = "".join(path.read_text() for path in folder.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']*", styles) == []


def test_site_is_the_same_each_time(copy):
    assert build(copy).returncode == 0
    first = contents(copy / "build/docs")
    assert build(copy).returncode == 0
    assert contents(copy / "build/docs") == first


@pytest.mark.parametrize(
    ("page", "text", "complaint"),
    [
        ("glossary.md", "\n[a page](nowhere.md)\n", "nowhere.md"),
        ("glossary.md", "\n[an anchor](how-to/deploy.md#nowhere)\n", "nowhere"),
        ("glossary.md", "\n[an anchor](#nowhere)\n", "nowhere"),
        ("glossary.md", "\n![a picture](images/nowhere.png)\n", "nowhere.png"),
        ("forgotten.md", "# Forgotten\n", "forgotten.md: WARNING: document isn't included in any"),
    ],
    ids=["page", "anchor_elsewhere", "anchor_here", "picture", "page_in_no_menu"],
)
def test_check_fails_and_names_what_leads_nowhere(copy, page, text, complaint):
    with (copy / "docs" / page).open("a") as file:
        file.write(text)
    done = build(copy)
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


def test_what_failed_fails_again(copy):
    with (copy / "docs/glossary.md").open("a") as file:
        file.write("\n#### Two levels too deep\n")  # noticed when the page is read, not written
    assert build(copy).returncode != 0
    assert build(copy).returncode != 0
