"""Files that are there as a whole or not at all, whatever is killed and whenever the power goes."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of whatever the file held; a reader finds the old or the new. For its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove the file if it is there, for good."""
    path.unlink(missing_ok=True)
    path.with_name(f".{path.name}.unfinished").unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Have every file below the folder, and the folders, on disk: before a rename makes them count."""
    for path in [*folder.rglob("*"), folder]:
        sync_folder(path)


def sync_folder(path: Path) -> None:
    """Have a file's content, or which files a folder has, on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
