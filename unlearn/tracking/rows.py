"""Rows of an MLflow store that name runs and models, and that MLflow's own deletion leaves behind.

From every table of MLflow 3.17. What has a foreign key on a run or a model goes with it and is not here: metrics,
parameters, tags, the source of an issue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def models_made(store: Any, run_id: str) -> list[str]:
    """Logged models that name the run as their source, whether or not it lists them as its outputs."""
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel
    from sqlalchemy import select

    with store.engine.connect() as connection:
        made = select(SqlLoggedModel.model_id).where(SqlLoggedModel.source_run_id == run_id)
        return list(connection.execute(made).scalars())


def traces_made(store: Any, by: str) -> list[tuple[str, str, str | None]]:
    """Traces that a run or a model made: their ids, their experiments', and where their artifacts lie."""
    from mlflow.store.tracking.dbmodels.models import SqlTraceInfo, SqlTraceMetadata, SqlTraceTag
    from mlflow.tracing.constant import TraceMetadataKey
    from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
    from sqlalchemy import and_, select

    trace, note, tag = SqlTraceInfo, SqlTraceMetadata, SqlTraceTag
    made = (
        select(trace.request_id, trace.experiment_id, tag.value)
        .join(note, note.request_id == trace.request_id)
        .join(tag, and_(tag.request_id == trace.request_id, tag.key == MLFLOW_ARTIFACT_LOCATION), isouter=True)
        .where(note.key.in_([TraceMetadataKey.SOURCE_RUN, TraceMetadataKey.MODEL_ID]), note.value == by)
        .distinct()
    )
    with store.engine.connect() as connection:
        return [(name, str(experiment), where) for name, experiment, where in connection.execute(made)]


def traces_of(store: Any, experiments: Sequence[str]) -> list[str]:
    """The ids of all traces of these experiments."""
    from mlflow.store.tracking.dbmodels.models import SqlTraceInfo
    from sqlalchemy import select

    with store.engine.connect() as connection:
        asked = select(SqlTraceInfo.request_id).where(SqlTraceInfo.experiment_id.in_([int(one) for one in experiments]))
        return list(connection.execute(asked).scalars())


def forget_run(store: Any, run_id: str) -> None:
    """Delete what the run said of the traces of others, and that it is the parent of others."""
    from mlflow.store.tracking.dbmodels.models import SqlAssessments, SqlTag
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
    from sqlalchemy import delete, select

    said = select(SqlAssessments.trace_id, SqlAssessments.assessment_id).where(SqlAssessments.run_id == run_id)
    with store.engine.begin() as connection:
        connection.execute(delete(SqlTag).where(SqlTag.key == MLFLOW_PARENT_RUN_ID, SqlTag.value == run_id))
        assessments = list(connection.execute(said))
    for trace_id, assessment_id in assessments:
        store.delete_assessment(trace_id, assessment_id)


def delete_version(client: MlflowClient, version: ModelVersion) -> None:
    """Delete a registered version with its tags, which MLflow would keep."""
    for tag in version.tags:
        client.delete_model_version_tag(version.name, version.version, tag)
    client.delete_model_version(version.name, version.version)


def sweep(store: Any) -> None:
    """Delete rows that only link something to a run, model or version that is gone.

    Links of inputs and outputs with their tags, data sets that no run and no metric refers to any longer, what traces
    are linked to, and what MLflow keeps of a deleted version beside its number.
    """
    with store.engine.begin() as connection:
        for statement in _statements():
            connection.execute(statement)


def _statements() -> Sequence[Any]:
    from mlflow.entities.entity_type import EntityAssociationType
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
    from mlflow.store.tracking.dbmodels.models import (
        SqlDataset,
        SqlEntityAssociation,
        SqlInput,
        SqlInputTag,
        SqlLoggedModel,
        SqlLoggedModelMetric,
        SqlRun,
        SqlTraceInfo,
    )
    from sqlalchemy import and_, delete, or_, select, tuple_, update

    def gone(kind: Any, number: Any, kinds: tuple[str, ...], known: Any) -> Any:
        return and_(kind.in_(kinds), number.not_in(select(known)))

    of, to = (SqlInput.source_type, SqlInput.source_id), (SqlInput.destination_type, SqlInput.destination_id)
    link, metric, version, tag = SqlEntityAssociation, SqlLoggedModelMetric, SqlModelVersion, SqlModelVersionTag
    ends = [(link.source_type, link.source_id), (link.destination_type, link.destination_id)]
    known = {EntityAssociationType.RUN: SqlRun.run_uuid, EntityAssociationType.TRACE: SqlTraceInfo.request_id}
    deleted = version.current_stage == STAGE_DELETED_INTERNAL
    return (
        delete(SqlInput).where(
            or_(
                gone(*of, ("RUN_INPUT", "RUN_OUTPUT"), SqlRun.run_uuid),
                gone(*to, ("RUN",), SqlRun.run_uuid),
                gone(*to, ("MODEL_INPUT", "MODEL_OUTPUT"), SqlLoggedModel.model_id),
            )
        ),
        delete(SqlInputTag).where(SqlInputTag.input_uuid.not_in(select(SqlInput.input_uuid))),
        delete(SqlDataset).where(
            SqlDataset.dataset_uuid.not_in(select(SqlInput.source_id).where(SqlInput.source_type == "DATASET")),
            SqlDataset.dataset_uuid.not_in(select(metric.dataset_uuid).where(metric.dataset_uuid.is_not(None))),
        ),
        delete(link).where(or_(*(gone(*end, (kind,), ids) for end in ends for kind, ids in known.items()))),
        delete(tag).where(
            tuple_(tag.workspace, tag.name, tag.version).in_(
                select(version.workspace, version.name, version.version).where(deleted)
            )
        ),
        update(version).where(deleted, version.storage_location.is_not(None)).values(storage_location=None),
    )
