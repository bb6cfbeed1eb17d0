"""What django-debug-toolbar's tasks panel shows of pages that enqueue."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest

HEAD = "Python Path, Queue, Backend, Priority, Run After, Status, Arguments, Keyword Arguments"


@pytest.fixture
def get(site):
    def get(path):
        with urllib.request.urlopen(f"{site.url}/{path}/", timeout=60) as response:
            return response.read().decode()

    return get


@pytest.fixture
def panel(get):
    """The id of the task that a page enqueued, and the rows of the panel's table."""

    def read(page):
        html = get(page)
        (task_id,) = re.findall("<p id='task'>(.+?)</p>", html)
        (body,) = re.findall(r'<div id="TasksPanel".*?</table>', html, re.DOTALL)
        head, *rows = (texts(row) for row in re.findall("<tr>.*?</tr>", body, re.DOTALL))
        assert head == HEAD
        return task_id, rows

    return read


def texts(row):
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
    return ", ".join(unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in cells)


@pytest.mark.parametrize(("page", "task"), [("sync", "add_sync"), ("async", "add")])
def test_page_shows_the_task_it_enqueued(site, panel, page, task):
    task_id, rows = panel(page)
    assert rows == [f"tests.site.tasks.{task}, default, default, 0, —, READY, [1], {{'b': 2}}"]
    site.wait_until_settled(task_id)


def test_page_shows_what_others_enqueue_meanwhile(site, get, panel):
    """Its receiver hears the whole process: it is the toolbar's, not ours."""
    with ThreadPoolExecutor() as executor:
        slow = executor.submit(panel, "slow")
        site.wait_until(lambda: get("slow/begun") == "true")
        task_id, own = panel("async")
        get("slow/end")
        assert slow.result() == ("none", own)
    site.wait_until_settled(task_id)
