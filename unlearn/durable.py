"""Files that are there as a whole or not at all, whatever is killed and whenever the power goes."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` in the place of whatever the file held; a reader finds the old or the new.

    Args:
        mode: permissions before the umask; its owner alone, unless said otherwise.

    Raises:
        OSError: it cannot be written, with the file's name; what was there is still there, and nothing else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = unfinished(path)
    try:
        with named(path), os.fdopen(create(beside, mode), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def named(path: Path) -> Generator[None]:
    """What the disk refuses meanwhile names the file: an error of opening does, one of writing does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def create(path: Path, mode: int) -> int:
    """A new file, open for writing, in the place of what a killed process left, or of what others put there for us."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def unfinished(path: Path) -> Path:
    """Where what is to replace the file is written."""
    return path.with_name(f".{path.name}.unfinished")


def remove(path: Path) -> None:
    """Remove the file if it is there, for good."""
    path.unlink(missing_ok=True)
    unfinished(path).unlink(missing_ok=True)
    if path.parent.is_dir():
        sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Flush every file below the folder, and the folders themselves, to the disk before a rename makes them count."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's list of files, to the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
