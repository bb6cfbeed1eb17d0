"""A file that is complete or not there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def complete_file(path: Path, *, overwrite: bool) -> Iterator[IO[str]]:
    """Write beside it, and give it its name at the end of the block, unless that raises.

    The file may be read by its owner alone. Raise FileExistsError if it is there, before anything
    is written and also if it came meanwhile, and OSError.
    """
    if not overwrite and path.exists():
        raise FileExistsError(f"{path} exists")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            Path(name).replace(path)
        else:
            path.hardlink_to(name)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
