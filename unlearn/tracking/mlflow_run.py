"""One run in MLflow."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from unlearn.jsonable import json_text
from unlearn.tracking.names import DIGEST_LENGTH, checked_dataset, checked_metrics, checked_params, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

_PARAMS_PER_BATCH = 100
_METRICS_PER_BATCH = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class MlflowRun:
    """Writes to one run, which `MlflowTracker.run` opened and will end."""

    client: MlflowClient
    experiment_id: str
    id: str

    def params(self, values: Mapping[str, object]) -> None:
        """Keep settings, any number of them."""
        from mlflow.entities import Param

        entries = [Param(name, value) for name, value in checked_params(values).items()]
        for start in range(0, len(entries), _PARAMS_PER_BATCH):
            self.client.log_batch(self.id, params=entries[start : start + _PARAMS_PER_BATCH])

    def metrics(self, values: Mapping[str, float | None], *, step: int | None = None) -> None:
        """Keep figures; NaN is kept as NaN, None is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1_000)
        entries = [Metric(name, value, now, step or 0) for name, value in checked_metrics(values).items()]
        for start in range(0, len(entries), _METRICS_PER_BATCH):
            self.client.log_batch(self.id, metrics=entries[start : start + _METRICS_PER_BATCH])

    def artifact(self, name: str, content: str | Path | Mapping[str, object]) -> None:
        """Keep a copy of a file, or a mapping as JSON."""
        with self._file(name) as file:
            if isinstance(content, str | Path):
                shutil.copyfile(content, file)
            else:
                file.write_text(json_text(content), encoding="utf-8")

    def figure(self, name: str, figure: Figure) -> None:
        """Keep a figure in the format of the suffix of `name`."""
        with self._file(name) as file:
            figure.savefig(file)

    def dataset(self, name: str, *, digest: str, counts: Mapping[str, int], context: str) -> None:
        """Say which data the run used; of a longer digest the first 32 digits are kept."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # No source: a path or an address may tell whose data it is.
        entity = Dataset(
            name=name,
            digest=digest[:DIGEST_LENGTH],
            source_type="code",
            source=CodeDatasetSource(tags={}).to_json(),
            profile=checked_dataset(name, digest, counts),
        )
        tag = InputTag(key="mlflow.data.context", value=context)
        self.client.log_inputs(self.id, datasets=[DatasetInput(dataset=entity, tags=[tag])])

    def model(
        self,
        directory: str | Path,
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        announce: Callable[[str], object] | None = None,
    ) -> str:
        """Keep a stored model as a pyfunc that loads without pickle; returns the id for `models:/<id>`.

        Its files go from `directory` to the store by no other place, where a killed process would leave them.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        from unlearn.tracking.package import STORED, package

        texts = {key: text(value) for key, value in (tags or {}).items()}
        made = self.client.create_logged_model(
            self.experiment_id, name=name, source_run_id=self.id, tags=texts, model_type="recommender"
        )
        model_id: str = made.model_id
        self.client.log_outputs(self.id, [LoggedModelOutput(model_id, step=0)])
        try:
            if announce is not None:
                announce(model_id)
            with tempfile.TemporaryDirectory() as scratch:
                packed = package(Path(directory), Path(scratch), model_id=model_id, run_id=self.id)
                self.client.log_model_artifacts(model_id, str(packed))
            # The public method lays files at the top of a model only.
            inner: Any = self.client._tracking_client  # pyright: ignore[reportPrivateUsage]
            inner.log_model_artifacts(model_id, str(directory), STORED)
        except BaseException:
            self.client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
            raise
        self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        return model_id

    @contextmanager
    def _file(self, name: str) -> Generator[Path]:
        """A scratch file that becomes the artifact `name`."""
        place = PurePosixPath(name)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / place.name
            yield file
            folder = str(place.parent)
            self.client.log_artifact(self.id, str(file), None if folder == "." else folder)
