"""What happened, one JSON line each, written by every process and outliving each of them."""

import json
import os
import time
from pathlib import Path

NAME = "journal.jsonl"


class Journal:
    """The journal in a folder: several processes write, and one reads on where it stopped."""

    def __init__(self, folder):
        self._path = Path(folder) / NAME
        self._offset = 0

    def write(self, what, **facts):
        line = json.dumps({"what": what, "pid": os.getpid(), "at": time.time(), **facts})
        # One write to the end of a file is whole, whatever happens to the process after it.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)

    def news(self):
        """The entries written since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
