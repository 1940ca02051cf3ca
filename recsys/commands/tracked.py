"""A trained model as a run in MLflow, and on the list by which it will be destroyed with those whom it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recsys import store, workspace
from recsys.commands.build import described
from unlearn.tracking.base import DIGEST
from unlearn.tracking.copies import Copies
from unlearn.tracking.reach import StoreUnavailable

if TYPE_CHECKING:
    from recsys.store import Storable
    from unlearn.tracking import MlflowTracker


class NotKept(Exception):
    """The store took not all of it, once the work was done: what a command says of that beside its result."""


def keep(
    tracker: MlflowTracker,
    name: str,
    problem: Storable,
    folder: Path,
    *,
    params: Mapping[str, object],
    metrics: Mapping[str, float | None],
    tags: Mapping[str, str] | None = None,
) -> str | None:
    """Keep the model of the workspace `folder`, which `problem` is, in a run of that name; returns the model's id.

    None, and no model in the run, where it has no tables: it serves from the interactions, which MLflow must not hold.

    Raises:
        NotKept: not all of it could be; the workspace is as it was.
    """
    settings = described(problem)
    parts = ("model_arguments", "objective_arguments", "training_arguments")
    arguments = {key: value for part in parts for key, value in settings.pop(part, {}).items()}
    try:
        with tracker.run(name, tags=tags) as run:
            run.params(settings | arguments | dict(params))
            run.metrics(metrics)
            counts = {"interactions": len(problem.data)}
            run.dataset("train", digest=problem.data.digest(), counts=counts, context="train")
            if problem.factors() is None:
                return None
            with workspace.at(folder).held():
                copies = Copies.of(folder)
                return run.model(
                    workspace.model_folder(folder),
                    name=settings["model"],
                    tags={**(tags or {}), DIGEST: store.digest(workspace.model_folder(folder))},
                    announce=lambda model_id: copies.add(tracker.uri, model_id),
                )
    except (StoreUnavailable, OSError) as error:
        raise NotKept(f"{folder} is complete, but not all of its run could be kept in MLflow: {error}") from error
