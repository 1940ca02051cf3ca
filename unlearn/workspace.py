"""A folder that one process at a time reads or changes, and that changes as a whole.

Whoever reads or changes a workspace holds a lock beside it. A change is written in full beside the folder, then swapped
in by two renames; the old state, which holds what was forgotten, goes last. Whoever holds the lock next finishes what a
killed process left undone.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import typer
from filelock import FileLock, Timeout

from unlearn import durable
from unlearn.outputs import obstacle, unwritten

T = TypeVar("T")
COPIES = "tracked-copies.jsonl"
"""In a workspace: where else there are copies of what lies there (`unlearn.tracking.copies`); every change keeps it."""

_State = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace in `folder`: a folder is one where it has the file `marker`.

    Args:
        made_by: the command that makes such a folder; option: by which commands take one. Both for messages.
    """

    folder: Path
    marker: str
    made_by: str
    option: str

    def check(self) -> None:
        """Refuse what `replace` would refuse, before any work is done for it.

        Raises:
            FileExistsError: there is something, and it is no workspace.
            ValueError: nothing can be written beside it, where a change is made.
        """
        self._refuse_others()
        if (why := obstacle(_beside(self.folder.resolve(), "probe"))) is not None:
            raise ValueError(f"`out` must be in a folder that can be written to (got {str(self.folder)!r}: {why})")

    def _refuse_others(self) -> None:
        folder = self.folder
        empty = folder.is_dir() and not any(folder.iterdir())
        if folder.exists() and not (folder / self.marker).is_file() and not empty:
            raise FileExistsError(f"`out` must be a new folder or one that {self.made_by} made (got {str(folder)!r})")

    def require(self) -> None:
        """Refuse where there is nothing to read, before any work is done for it.

        Raises:
            FileNotFoundError: the folder is no workspace, and none that a killed process left halfway.
        """
        if not (self.folder / self.marker).is_file() and not _beside(self.folder.resolve(), "old").exists():
            raise FileNotFoundError(
                f"`{self.option}` must be a folder that {self.made_by} made (got {str(self.folder)!r})"
            )

    @contextmanager
    def held(self) -> Generator[None]:
        """Nobody else reads or changes the workspace meanwhile; a change must be written where it was read, in here.

        May be nested. The lock is the kernel's, so a killed process leaves none behind; its empty file stays.
        """
        folder = self.folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_beside(folder, "lock"), mode=0o600, is_singleton=True)  # whoever can open it can hold it
        try:
            lock.acquire(timeout=0)
        except Timeout:
            typer.echo(f"waiting for another process that uses {folder}", err=True)
            lock.acquire()
        try:
            if lock.lock_counter == 1:  # further in, what is unfinished is being written
                _finish(folder)
            yield
        finally:
            lock.release()

    @contextmanager
    def read(self) -> Generator[None]:
        """Hold the workspace, which must be there, for reading alone.

        Raises:
            FileNotFoundError: as `require`.
        """
        self.require()
        # Where nobody can write, nothing changes and nobody can hold a lock.
        if not os.access(self.folder.resolve().parent, os.W_OK):
            yield
            return
        with self.held():
            self.require()
            yield

    def replace(self, write: Callable[[Path], object]) -> None:
        """Let `write` make the new state in the folder that it is given, and swap that in as a whole.

        A reader finds the old or the new, never half of each. Who may look into the folder stays as it was.

        Raises:
            FileExistsError: as `check`.
            OSError: it cannot be written; the old state is still there, and nothing else.
        """
        self._refuse_others()
        with self.held():
            folder = self.folder.resolve()
            staged = _beside(folder, "new")
            try:
                staged.mkdir()
                if folder.exists():
                    shutil.copymode(folder, staged)
                write(staged)
                if (copies := folder / COPIES).is_file():
                    shutil.copy2(copies, staged)
                durable.sync_tree(staged)
                if folder.exists():
                    folder.rename(_beside(folder, "old"))
                staged.rename(folder)
            except OSError as error:
                if error.filename is None or Path(error.filename).is_relative_to(staged):
                    raise unwritten(self.folder, error) from error
                raise
            finally:
                _finish(folder)


class Latest(Generic[T]):
    """What `load` makes of a workspace, anew as soon as one of the files is another; any number of threads may ask."""

    def __init__(self, workspace: Workspace, files: tuple[Path, ...], load: Callable[[], T]) -> None:
        self._workspace = workspace
        self._files = files
        self._make = load
        self._loading = threading.Lock()
        self._loaded = self._load()

    def __call__(self) -> T:
        if self._loaded[0] != self._state():
            with self._loading:
                if self._loaded[0] != self._state():
                    self._loaded = self._load()
        return self._loaded[1]

    def _load(self) -> tuple[_State, T]:
        with self._workspace.held():
            return self._state(), self._make()

    def _state(self) -> _State:
        """What changes when other files are there; while they are being swapped it is that of no state."""
        return tuple(map(_identity, (self._workspace.folder / file for file in self._files)))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


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
