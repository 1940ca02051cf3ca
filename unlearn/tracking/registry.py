"""The served model in MLflow's registry: the verified version is champion, and nothing else outlives a purge."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlparse

from unlearn.tracking.base import DIGEST
from unlearn.tracking.mlflow import MlflowTracker
from unlearn.tracking.purge import delete_artifacts, pages, require_made, rewrite
from unlearn.tracking.reach import sqlite_file
from unlearn.tracking.rows import delete_version, traces_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
_MODEL = "unlearn.model"  # MLflow's own field for it is empty where the store is SQL
_EVER = 2**62  # milliseconds
_NAMES = re.compile(r"(m-|tr-)?[0-9a-f]{32}")  # of folders that MLflow makes for runs, models and traces

OldVersions = Literal["destroy", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a purge could not destroy: versions, runs and models beside the one that serves, folders of artifacts."""

    versions: int
    runs: int
    models: int
    folders: int


class ModelRegistry:
    """One registered model and an experiment of the same name, which is the registry's own.

    Whatever is in that experiment, or is a version of that model, and is not of what serves is destroyed by `purge`:
    rows, weights, logged tables and other artifacts, runs that MLflow only marks as deleted, what a crash left; and all
    traces, which tell who was asked about. MLflow keeps the number of a version that is gone, and nothing else of it.

    Args:
        old_versions: "destroy", or "record" to keep the runs of replaced versions, which hold figures and digests,
            without their artifacts.

    Raises:
        ValueError: see `MlflowTracker`.
    """

    def __init__(self, location: str | Path, *, model: str, old_versions: OldVersions = "destroy") -> None:
        self._tracker = MlflowTracker(location, experiment=model)
        from mlflow import MlflowClient

        self._client = MlflowClient(self._tracker.uri, registry_uri=self._tracker.uri)
        self._model = model
        self._old_versions = old_versions

    def publish(
        self,
        directory: Path,
        *,
        digest: str,
        name: str,
        tags: Mapping[str, str],
        figures: Mapping[str, float | None],
    ) -> int:
        """Make the stored model in `directory` the champion; returns its version. A second time changes nothing.

        The alias moves when everything else is there, and in one step: who asks for it finds the old or the new.

        Args:
            digest: of the model, by which it is known again.
            name: of the run. Neither it nor `tags` may name a person; a keyed digest may.
        """
        self._create()
        if (found := self._version(digest)) is None:
            told = {**tags, DIGEST: digest}
            with self._tracker.run(name, tags=told) as run:
                run.metrics(figures)
                model_id = run.model(directory, name=self._model, tags=told)
            location = self._client.get_logged_model(model_id).artifact_location
            # Not as models:/<id>: MLflow would look that up in a store that only its global state names.
            found = self._client.create_model_version(
                self._model, location, run_id=run.id, model_id=model_id, tags=told | {_MODEL: model_id}
            )
        self._point_to(found)
        return int(found.version)

    def champion(self) -> int | None:
        """The version that serves; None where there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self._client.get_model_version_by_alias(self._model, CHAMPION).version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None

    def purge(self, digest: str) -> Left:
        """Destroy whatever is not of the model of that digest, which serves, and count what is left of it.

        If somebody has moved the alias, it moves back. Artifacts go before the rows that name them, so that a second
        call finishes what a crash interrupted.

        Raises:
            PurgeRefused: the store is reached over HTTP, or somebody registered a folder that is none of MLflow's.
        """
        serving = self._version(digest)
        served = None if serving is None else self._lies(serving)
        others = [(version, self._lies(version)) for version in self._others(serving)]
        places = {where for _, where in others if where} - {served}  # somebody may have registered what serves again
        require_made(places)
        for version, where in others:
            if where in places:
                delete_artifacts(where)
            delete_version(self._client, version)
        if serving is not None:
            self._point_to(serving)
        if self._old_versions == "record":
            for run in self._runs(serving, deleted=False):
                delete_artifacts(run.info.artifact_uri)
        runs = [one.info.run_id for one in self._doomed(serving)]
        self._tracker.purge(runs=runs, models=self._models(serving))
        self._client.delete_traces(self._tracker.experiment_id, max_timestamp_millis=_EVER)
        for found in self._folders(serving):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()
        if (file := sqlite_file(self._tracker.uri)) is not None:  # of tags and versions that were deleted above
            rewrite(file)
        return Left(
            versions=len(self._others(serving)),
            runs=len(self._doomed(serving)),
            models=len(self._models(serving)),
            folders=len(self._folders(serving)),
        )

    # ---- what there is -----------------------------------------------------------------------------------------------

    def _create(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _point_to(self, version: ModelVersion) -> None:
        if self.champion() != int(version.version):
            self._client.set_registered_model_alias(self._model, CHAMPION, str(version.version))

    def _versions(self) -> list[ModelVersion]:
        return pages(lambda token: self._client.search_model_versions(f"name = '{self._model}'", page_token=token))

    def _version(self, digest: str) -> ModelVersion | None:
        return next((one for one in self._versions() if one.tags.get(DIGEST) == digest), None)

    def _lies(self, version: ModelVersion) -> str:
        """Where the artifacts of a version are: its source may name a model, or the version that it is a copy of."""
        return self._client.get_model_version_download_uri(version.name, version.version)

    def _others(self, serving: ModelVersion | None) -> list[ModelVersion]:
        return [one for one in self._versions() if serving is None or one.version != serving.version]

    def _doomed(self, serving: ModelVersion | None) -> list[Any]:
        """Runs that are to go: all of the others, or those that somebody has deleted as MLflow means it."""
        active = [] if self._old_versions == "record" else self._runs(serving, deleted=False)
        return active + self._runs(serving, deleted=True)

    def _runs(self, serving: ModelVersion | None, *, deleted: bool) -> list[Any]:
        """Runs of the experiment beside that of the version that serves."""
        from mlflow.entities import ViewType

        runs = self._runs_of([self._tracker.experiment_id], ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY)
        return [one for one in runs if serving is None or one.info.run_id != serving.run_id]

    def _models(self, serving: ModelVersion | None) -> list[str]:
        """Logged models of the experiment beside that of the version that serves, deleted ones included."""
        models = self._models_of([self._tracker.experiment_id])
        return [one.model_id for one in models if serving is None or one.model_id != serving.tags.get(_MODEL)]

    def _folders(self, serving: ModelVersion | None) -> list[Path]:
        """Folders among the artifacts, and files, that are of nothing that stays; on this machine only.

        Where the folder of all artifacts is not the tracker's own, but was named by whoever made the experiment, other
        things may lie there: then of those alone that are called as MLflow calls what it makes.
        """
        root = urlparse(self._client.get_experiment(self._tracker.experiment_id).artifact_location)
        if root.scheme != "file":
            return []
        runs, own = Path(unquote(root.path)), root.geturl() == self._tracker.artifacts
        keep = {"models", "traces"} | ({serving.run_id, serving.tags.get(_MODEL)} if serving else set())
        left = [
            one
            for folder in (runs, runs / "models", runs / "traces")
            if folder.is_dir()
            for one in folder.iterdir()
            if one.name not in keep and (own or _NAMES.fullmatch(one.name))
        ]
        theirs = self._elsewhere() if left else set[str]()
        return [one for one in left if one.name not in theirs]

    def _elsewhere(self) -> set[str]:
        """Ids of what other experiments have, whose artifacts are in the same folder with a SQLite file."""
        from mlflow.entities import ViewType

        experiments = pages(lambda token: self._client.search_experiments(ViewType.ALL, page_token=token))
        others = [one.experiment_id for one in experiments if one.experiment_id != self._tracker.experiment_id]
        runs = [one.info.run_id for one in self._runs_of(others, ViewType.ALL)]
        store: Any = self._client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
        return {*runs, *(one.model_id for one in self._models_of(others)), *traces_of(store, others)}

    def _runs_of(self, experiments: list[str], view: int) -> list[Any]:
        if not experiments:
            return []
        return pages(lambda token: self._client.search_runs(experiments, "", view, page_token=token))

    def _models_of(self, experiments: list[str]) -> list[Any]:
        """Logged models, deleted ones included."""
        if not experiments:
            return []
        store: Any = self._client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
        models = pages(lambda token: self._client.search_logged_models(experiments, page_token=token))
        marked = [store.get_logged_model(one, allow_deleted=True) for one in store._get_deleted_logged_models()]
        return models + [one for one in marked if one.experiment_id in experiments]
