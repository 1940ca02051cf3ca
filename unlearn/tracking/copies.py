"""Copies of a stored model in MLflow: a list beside it, by which whoever forgets somebody destroys them, too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from unlearn import durable
from unlearn.tracking.mlflow import opened
from unlearn.tracking.purge import PurgeRefused, purge
from unlearn.tracking.reach import (
    StoreUnavailable,
    database_kind,
    sqlite_file,
    told,
    told_of_database,
    without_password,
)
from unlearn.workspace import COPIES


@dataclass(frozen=True, slots=True)
class Copy:
    """A model in an MLflow store: the tracking URI, without a password, and the model's id."""

    store: str
    model_id: str


@dataclass(frozen=True, slots=True)
class Left:
    """A copy that could not be destroyed, and why."""

    copy: Copy
    why: str

    def __str__(self) -> str:
        return f"{self.copy.model_id} in {self.copy.store}: {self.why}"


@dataclass(frozen=True, slots=True)
class Copies:
    """The list in `file`, a JSON object in each line; where there is no such file, no copies."""

    file: Path

    @classmethod
    def of(cls, workspace: Path) -> Copies:
        """Of what lies in a workspace, and of what was there before it; to be called while that is held."""
        return cls(workspace / COPIES)

    def listed(self) -> list[Copy]:
        """All that were made and not destroyed, oldest first."""
        lines = self.file.read_text("utf-8").splitlines() if self.file.is_file() else []
        return [Copy(**json.loads(line)) for line in lines]

    def add(self, store: str, model_id: str) -> None:
        """List a copy; of its URI the password is not kept."""
        self._write([*self.listed(), Copy(without_password(store), model_id)])

    def destroy(self) -> list[Left]:
        """Destroy all of them, rows and bytes, as `MlflowTracker.purge` does; those that are left stay on the list.

        Whatever a store, its driver or its artifacts raise is a reason and no error: the others go nevertheless.
        """
        copies, left = self.listed(), list[Left]()
        for store in dict.fromkeys(copy.store for copy in copies):
            there = [copy for copy in copies if copy.store == store]
            try:
                self._require_reach(store)
                client = opened(store, store)  # whose experiments may be deleted, and its models there all the same
                with told(store), told_of_database(store):
                    purge(client, store, runs=(), models=[copy.model_id for copy in there])
            except Exception as error:  # of the store, of the disk, of whoever holds artifacts
                left += [Left(copy, str(error)) for copy in there]
        self._write([one.copy for one in left])
        return left

    def _write(self, copies: list[Copy]) -> None:
        if copies:
            durable.replace(self.file, "".join(f"{json.dumps(asdict(one))}\n" for one in copies).encode())
        else:
            durable.remove(self.file)

    def _require_reach(self, store: str) -> None:
        """Refuse a SQLite file that is not there: it would be made anew, and its copies would seem to be gone.

        And a server, which says of what is deleted there that it is gone, destroyed or not: a line is for whoever
        destroyed it to take out.
        """
        if database_kind(store) is None:
            raise PurgeRefused(
                "through a tracking server nothing can be destroyed; delete it on that server, run `mlflow gc` there, "
                f"and then take its line out of {self.file}"
            )
        if (file := sqlite_file(store)) is not None and not file.is_file():
            raise StoreUnavailable(store, "there is no such file, which may have been moved")
