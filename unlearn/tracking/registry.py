"""The served model in MLflow's registry: the verified version is champion, and nothing else outlives a purge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlparse

from unlearn.tracking.mlflow import MlflowTracker
from unlearn.tracking.purge import delete_artifacts, rewrite

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
DIGEST = "unlearn.digest"

OldVersions = Literal["destroy", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a purge could not destroy: versions, runs and models beside the champion's, folders of artifacts."""

    versions: int
    runs: int
    models: int
    folders: int


class Registry:
    """One registered model and an experiment of the same name, which is the registry's own.

    Whatever is in that experiment, or is a version of that model, and is not the champion's is destroyed by `purge`:
    rows, weights, logged tables and other artifacts, runs that MLflow only marks as deleted, what a crash left. MLflow
    keeps the number of a version that is gone, and nothing else of it.

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
        found = next((one for one in self._versions() if one.tags.get(DIGEST) == digest), None)
        if found is None:
            told = {**tags, DIGEST: digest}
            with self._tracker.run(name, tags=told) as run:
                run.metrics(figures)
                model_id = run.model(directory, name=self._model, tags=told)
            location = self._client.get_logged_model(model_id).artifact_location
            # Not as models:/<id>: MLflow would look that up in a store that only its global state names.
            found = self._client.create_model_version(
                self._model, location, run_id=run.id, model_id=model_id, tags=told
            )
        version = int(found.version)
        if self.champion() != version:
            self._client.set_registered_model_alias(self._model, CHAMPION, str(version))
        return version

    def champion(self) -> int | None:
        """The version that serves; None where there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self._client.get_model_version_by_alias(self._model, CHAMPION).version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None

    def purge(self) -> Left:
        """Destroy whatever is not the champion's, and count what is left of it.

        Artifacts go before the rows that name them, so that a second call finishes what a crash interrupted.

        Raises:
            PurgeRefused: the store is reached over HTTP.
        """
        for version in self._others():
            if version.source:
                delete_artifacts(version.source)
            self._tracker.purge(models=[version.model_id] if version.model_id else [])
            for tag in version.tags:
                self._client.delete_model_version_tag(self._model, version.version, tag)
            self._client.delete_model_version(self._model, version.version)
        runs = self._runs()
        if self._old_versions == "record":
            for run in (one for one in runs if one.info.lifecycle_stage == "active"):
                delete_artifacts(run.info.artifact_uri)
            runs = [one for one in runs if one.info.lifecycle_stage != "active"]
        self._tracker.purge(runs=[one.info.run_id for one in runs], models=self._models())
        for folder in self._folders():
            shutil.rmtree(folder)
        if self._tracker.uri.startswith("sqlite:///"):  # rows of tags and versions that were deleted above
            rewrite(self._tracker.uri.removeprefix("sqlite:///"))
        runs = [one for one in self._runs() if self._old_versions == "destroy" or one.info.lifecycle_stage != "active"]
        return Left(
            versions=len(self._others()), runs=len(runs), models=len(self._models()), folders=len(list(self._folders()))
        )

    # ---- what there is -----------------------------------------------------------------------------------------------

    def _create(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _versions(self) -> list[ModelVersion]:
        return _all(lambda token: self._client.search_model_versions(f"name = '{self._model}'", page_token=token))

    def _others(self) -> list[ModelVersion]:
        champion = self.champion()
        return [one for one in self._versions() if int(one.version) != champion]

    def _serving(self) -> ModelVersion | None:
        champion = self.champion()
        return next((one for one in self._versions() if int(one.version) == champion), None)

    def _runs(self) -> list[Any]:
        """Runs of the experiment that are not the champion's, deleted ones included."""
        from mlflow.entities import ViewType

        serving, of = self._serving(), [self._tracker.experiment_id]
        runs = _all(lambda token: self._client.search_runs(of, "", ViewType.ALL, page_token=token))
        return [one for one in runs if serving is None or one.info.run_id != serving.run_id]

    def _models(self) -> list[str]:
        """Logged models of the experiment that are not the champion's, deleted ones included."""
        store: Any = self._client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
        serving, of = self._serving(), [self._tracker.experiment_id]
        models = _all(lambda token: self._client.search_logged_models(of, page_token=token))
        marked = [store.get_logged_model(one, allow_deleted=True) for one in store._get_deleted_logged_models()]
        models += [one for one in marked if one.experiment_id == self._tracker.experiment_id]
        return [one.model_id for one in models if serving is None or one.model_id != serving.model_id]

    def _folders(self) -> Iterator[Path]:
        """Folders of artifacts, where they lie on this machine, that are of no run and of no model that stays."""
        root = urlparse(self._client.get_experiment(self._tracker.experiment_id).artifact_location)
        serving = self._serving()
        keep = {"models"} | ({serving.run_id, serving.model_id} if serving else set())
        for folder in (Path(unquote(root.path)), Path(unquote(root.path)) / "models"):
            if root.scheme == "file" and folder.is_dir():
                yield from (one for one in folder.iterdir() if one.name not in keep)


def _all(page: Any) -> list[Any]:
    found, token = [], None
    while True:
        some = page(token)
        found.extend(some)
        if not (token := some.token):
            return found
