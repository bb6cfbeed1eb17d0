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

    The file may be read by its owner alone. With ``overwrite`` a symbolic link stays, and the file
    it leads to is replaced. Raise FileExistsError if it is there, before anything is written and
    also if it came meanwhile, and OSError.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file; - is standard output")
    if overwrite:
        path = path.resolve()
    elif path.exists():
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
            _rename_new(Path(name), path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _rename_new(source: Path, path: Path) -> None:
    """Rename, unless the name is taken: then raise FileExistsError."""
    try:
        path.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # such as a mounted bucket, without links: the file is empty for a moment
        path.touch(mode=0o600, exist_ok=False)
        try:
            source.replace(path)
        except OSError:
            path.unlink()
            raise
