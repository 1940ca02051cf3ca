"""The tracker for MLflow 3: a SQLite file of one's own, or a tracking server."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn.interruption import Interrupted
from unlearn.outputs import obstacle
from unlearn.tracking.base import Purged
from unlearn.tracking.mlflow_run import MlflowRun
from unlearn.tracking.names import text
from unlearn.tracking.reach import (
    StoreUnavailable,
    once,
    require_artifacts,
    require_database,
    sqlite_file,
    told,
    told_of_database,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowTracker:
    """Keeps runs in MLflow, through a client of its own: MLflow's global state stays as it was.

    Args:
        location: the path of a SQLite file (made when missing; artifacts lie beside it in `<name>-artifacts`), or a
            tracking URI (`http://...`, `postgresql://...`, `databricks`), whose artifacts lie where that server puts
            them.
        experiment: the experiment's name (default: MLFLOW_EXPERIMENT_NAME of the environment, as MLflow itself has it,
            else "unlearn"); made when missing.

    Raises:
        StoreUnavailable: the store does not answer, is none, or it or its artifacts cannot be written; within seconds.
    """

    def __init__(self, location: str | Path, *, experiment: str | None = None) -> None:
        experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "unlearn"
        self.uri, artifacts = _resolve(location)
        self.artifacts = artifacts
        if artifacts is not None:
            require_artifacts(location, artifacts)
        self._client: MlflowClient = opened(location, self.uri)
        with once(), told(location), told_of_database(location):
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                id = self._client.create_experiment(experiment, artifact_location=artifacts)
                found = self._client.get_experiment(id)
        if found.lifecycle_stage != "active":
            raise StoreUnavailable(location, f"its experiment `{experiment}` is {found.lifecycle_stage}: restore it")
        require_artifacts(location, found.artifact_location)
        self.experiment_id: str = found.experiment_id
        self._location = location
        self._open: ContextVar[str | None] = ContextVar("open run", default=None)

    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None, nested: bool = False) -> Generator[MlflowRun]:
        """Open a run; it ends as FINISHED, as KILLED when interrupted or terminated, as FAILED on any other exception.

        The tag `mlflow.parentRunId` makes it a child of a run that is open nowhere, or elsewhere.

        Raises:
            RuntimeError: `nested` while no run of this tracker is open.
            StoreUnavailable: the store answers no more, after MLflow's own patience; what it had kept is there.
        """
        parent = self._open.get()
        if nested and parent is None:
            raise RuntimeError(
                "`nested` needs an open run of this tracker (got none): open the parent run first, or name a run that "
                "is there in the tag mlflow.parentRunId"
            )
        links = {"mlflow.parentRunId": parent} if nested and parent is not None else {}
        with told(self._location):
            created = self._client.create_run(
                self.experiment_id,
                start_time=int(time.time() * 1_000),
                tags={**{key: text(value) for key, value in (tags or {}).items()}, **links},
                run_name=name,
            )
        run_id: str = created.info.run_id
        token = self._open.set(run_id)
        try:
            with told(self._location, status=500):  # it was there when the run was opened
                yield MlflowRun(client=self._client, experiment_id=self.experiment_id, id=run_id)
                self._client.set_terminated(run_id, status="FINISHED")
        except BaseException as error:
            with once(), suppress(StoreUnavailable), told(self._location):
                killed = isinstance(error, KeyboardInterrupt | Interrupted)
                self._client.set_terminated(run_id, status="KILLED" if killed else "FAILED")
            raise
        finally:
            self._open.reset(token)

    def purge(self, *, runs: Iterable[str] = (), models: Iterable[str] = ()) -> Purged:
        """Destroy runs, the models they made, and further models: rows, artifacts, registered versions.

        Raises:
            PurgeRefused: the store is reached over HTTP, which cannot destroy rows, or artifacts are held by a tracking
                server that MLFLOW_TRACKING_URI does not name; nothing was touched.
        """
        from unlearn.tracking.purge import purge

        return purge(self._client, self.uri, runs=runs, models=models)


def opened(location: object, uri: str) -> MlflowClient:
    """A client of the store at that tracking URI, in which no experiment is made or asked for.

    Raises:
        StoreUnavailable: with the location; the store does not answer, or is none.
    """
    # A tool for people who want to be forgotten reports to nobody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for every small file
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # the steps of making a new store
    # A server's runs are printed to the standard output, amid JSON, by signs that not every locale can write.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow

    with once(), told(location), told_of_database(location):
        require_database(location, uri)
        return mlflow.MlflowClient(uri, registry_uri=uri)


def _resolve(location: str | Path) -> tuple[str, str | None]:
    """The tracking URI, and where artifacts lie if that is ours to say."""
    named = str(location)
    if named.startswith("file:"):
        raise StoreUnavailable(named, "MLflow serves no file store any more")
    driver, is_uri, rest = named.partition("://")
    file = sqlite_file(named) if is_uri else Path(named)
    if named == "databricks" or file is None:
        return named, None
    path = file.expanduser().resolve()
    if "?" in str(path):
        raise StoreUnavailable(named, "the name of its file has a `?`, behind which SQLAlchemy reads options")
    if (why := obstacle(path)) is not None:
        raise StoreUnavailable(named, why)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = "".join(rest.partition("?")[1:])
    uri = f"{driver}:///{path}{options}" if is_uri else f"sqlite:///{path}"
    return uri, path.with_name(f"{path.stem}-artifacts").as_uri()
