"""Files that hold what was measured: written when a row ends, each whole or not at all."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

from bench import page, plots, results
from bench.figures import Measured

DOCS = Path(__file__).parent.parent / "docs"


class Record:
    """A document in a file, which rows are added to."""

    def __init__(self, path, order):
        """Raise results.Unusable if there is a file of another kind."""
        self._path = path
        self._order = order
        self._document = results.read(path)

    @property
    def refusal(self):
        """Why the document takes no row alone, in words; or nothing."""
        if results.is_of_here(self._document):
            return ""
        path = os.path.relpath(self._path)
        return f"{path} is of another machine or of other versions: it takes all rows or none"

    def clear(self):
        """Begin anew; the file stays as it is until the first row."""
        self._document = results.here()

    def add(self, number, row):
        document = results.with_row(self._document, number, row, self._order)
        files = self._files(document, number, row)
        with undisturbed():
            for path, text in files.items():
                _write(path, text)
            self._document = document

    def _files(self, document, number, row):
        return {self._path: results.dump(document)}


class PageRecord(Record):
    """docs/benchmarks.json, and the page and the plots made of it."""

    def __init__(self, order, docs=DOCS):
        self._docs = docs
        super().__init__(docs / "benchmarks.json", order)
        self._page()  # raise now if the page has no place for a row

    def _files(self, document, number, row):
        files = super()._files(document, number, row)
        measured = Measured.from_json(row)
        if plots.panels(measured):
            files[self._docs / "images" / plots.file_name(number)] = plots.svg(measured)
        return files | self._page(document)

    def _page(self, document=None):
        path = self._docs / "benchmarks.md"
        return {path: page.rewrite(path.read_text(), document or self._document, self._order)}


def _write(path, text):
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    os.replace(beside, path)  # noqa: PTH105


@contextmanager
def undisturbed():
    """Ctrl-C comes after this."""
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
