"""A trained model and the interactions it was trained on, in one folder that changes as a whole."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recsys import store
from recsys.data import from_parquet, to_parquet
from recsys.problem import RecommenderProblem

_SNAPSHOT = "interactions.parquet"


def model_folder(folder: Path) -> Path:
    """Where the stored model lies: the part without interactions."""
    return folder / "model"


def check(folder: Path) -> None:
    """Refuse what `save` would refuse, before any work is done for it.

    Raises:
        FileExistsError: there is something, and it is no workspace.
    """
    if folder.exists() and not (folder / _SNAPSHOT).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"`out` must be a new folder or one that `unlearn train` made (got {str(folder)!r})")


def save(problem: RecommenderProblem, folder: Path) -> None:
    """Write beside `folder` first and swap, so that a reader finds the old state or the new one, never half of each.

    Raises:
        FileExistsError: the folder exists and is no workspace.
    """
    check(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        store.save(problem, model_folder(staged))
        to_parquet(problem.data, staged / _SNAPSHOT)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / "gone")
            staged.rename(folder)
            shutil.rmtree(old)
        else:
            staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load(folder: Path) -> RecommenderProblem:
    """The problem that was saved.

    Raises:
        FileNotFoundError: the folder is no workspace.
        StoredModelError: a file was changed.
    """
    if not (folder / _SNAPSHOT).is_file():
        raise FileNotFoundError(f"`model` must be a folder that `unlearn train` made (got {str(folder)!r})")
    return store.load(model_folder(folder), from_parquet(folder / _SNAPSHOT))
