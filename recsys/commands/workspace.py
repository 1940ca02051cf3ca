"""A trained model and the interactions it was trained on, in one folder that changes as a whole.

One process at a time: whoever reads or changes a workspace holds a lock beside it. A change is written in full beside
the folder, then swapped in by two renames; the old state, which holds what was forgotten, goes last. Whoever holds the
lock next finishes what a killed process left undone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import typer
from filelock import FileLock, Timeout

from recsys import store
from recsys.data import from_parquet, to_parquet
from unlearn import durable

SNAPSHOT = "interactions.parquet"


def model_folder(folder: Path) -> Path:
    """Where the stored model lies: the part without interactions."""
    return folder / "model"


def check(folder: Path) -> None:
    """Refuse what `save` would refuse, before any work is done for it.

    Raises:
        FileExistsError: there is something, and it is no workspace.
    """
    if folder.exists() and not (folder / SNAPSHOT).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"`out` must be a new folder or one that `unlearn train` made (got {str(folder)!r})")


def require(folder: Path) -> None:
    """Refuse what `load` would refuse, before any work is done for it.

    Raises:
        FileNotFoundError: the folder is no workspace, and none that a killed process left halfway.
    """
    if not (folder / SNAPSHOT).is_file() and not _beside(folder.resolve(), "old").exists():
        raise FileNotFoundError(f"`model` must be a folder that `unlearn train` made (got {str(folder)!r})")


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Nobody else reads or changes the workspace meanwhile; a change that began with `load` must be saved in here.

    May be nested. The lock is the kernel's, so a killed process leaves none behind; its empty file stays.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(folder, "lock"), is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        typer.echo(f"waiting for another process that uses {folder}", err=True)
        lock.acquire()
    try:
        _finish(folder)
        yield
    finally:
        lock.release()


def save(problem: store.Storable, folder: Path) -> None:
    """Write the new state in full and swap it in.

    Raises:
        FileExistsError: the folder exists and is no workspace.
    """

    def write(staged: Path) -> None:
        store.save(problem, model_folder(staged))
        to_parquet(problem.data, staged / SNAPSHOT)

    replace(folder, write)


def replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make the new state in the folder that it is given, and swap that in as a whole.

    A reader finds the old or the new, never half of each.

    Raises:
        FileExistsError: the folder exists and is no workspace.
    """
    check(folder)
    with held(folder):
        folder = folder.resolve()
        staged = _beside(folder, "new")
        try:
            write(staged)
            durable.sync_tree(staged)
            if folder.exists():
                folder.rename(_beside(folder, "old"))
            staged.rename(folder)
        finally:
            _finish(folder)


def load(folder: Path) -> store.Storable:
    """The problem that was saved.

    Raises:
        FileNotFoundError: the folder is no workspace.
        StoredModelError: a file was changed.
    """
    require(folder)
    # Where nobody can write, nothing changes and nobody can hold a lock.
    with held(folder) if os.access(folder.resolve().parent, os.W_OK) else nullcontext():
        require(folder)
        return store.load(model_folder(folder), from_parquet(folder / SNAPSHOT))


def _finish(folder: Path) -> None:
    """Complete a swap that has begun, and remove what is left of the old state or of one that was not completed."""
    staged, old = _beside(folder, "new"), _beside(folder, "old")
    if staged.exists() and old.exists() and not folder.exists():
        # Between the renames: the new state is complete. The old one never comes back, for it holds the forgotten.
        staged.rename(folder)
    for left in (staged, old):
        if left.exists():
            shutil.rmtree(left)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.unlearn-{what}")
