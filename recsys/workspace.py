"""A trained model and the interactions it was trained on, in one folder that changes as a whole."""

from __future__ import annotations

from pathlib import Path

from recsys import store
from recsys.data import from_parquet, to_parquet
from unlearn.workspace import Workspace

SNAPSHOT = "interactions.parquet"


class Diverged(RuntimeError):
    """Training ended where its parameters are no numbers."""


def at(folder: str | Path) -> Workspace:
    """The workspace in a folder, whether there is one yet or not."""
    return Workspace(Path(folder), marker=SNAPSHOT, made_by="`unlearn train`", option="model")


def model_folder(folder: str | Path) -> Path:
    """Where the stored model lies: the part without interactions."""
    return Path(folder) / "model"


def save(problem: store.Storable, folder: str | Path) -> None:
    """Write the new state in full and swap it in.

    Raises:
        Diverged: a parameter is not finite; nothing was written.
        FileExistsError: the folder exists and is no workspace.
    """
    bad = [
        f"{int((~value.isfinite()).sum())} of {value.numel()} in `{name}`"
        for name, value in problem.params.items()
        if not bool(value.isfinite().all())
    ]
    if bad:
        raise Diverged(
            f"parameters must be finite to be saved (not finite: {', '.join(bad)}), so nothing was written; "
            "train with a lower learning rate or with more l2"
        )

    def write(staged: Path) -> None:
        store.save(problem, model_folder(staged))
        to_parquet(problem.data, staged / SNAPSHOT)

    at(folder).replace(write)


def load(folder: str | Path) -> store.Storable:
    """The problem that was saved.

    Raises:
        FileNotFoundError: the folder is no workspace.
        StoredModelError: a file was changed.
    """
    with at(folder).read():
        return store.load(model_folder(folder), from_parquet(Path(folder) / SNAPSHOT))
