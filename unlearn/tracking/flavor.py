"""The code file of a logged model: MLflow copies it beside the model and runs it on load.

It knows no recommender. The manifest names a loader, and only a loader that an installed package offers in the
entry-point group `unlearn.rankers` is run: a manifest is data, and may not choose code of its own.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Ranker(Protocol):
    """What a loader returns."""

    def rank(self, user_ids: list[Any], *, k: int, unknown: str) -> pd.DataFrame:
        """The best k items of each user: columns `user_id`, `item_id`, `score`, `rank` (from 1).

        `unknown` says what becomes of users that the model does not know, or knows no more: "raise", "skip" (no row) or
        "popular".
        """
        ...


class RecommenderModel(PythonModel):
    """Answers a frame with the column `user_id` by the best `k` items of each, best first.

    Those that a user has already are among them: no interactions are stored with a model.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Find the loader that the manifest names and let it read the artifacts."""
        directory = Path(context.artifacts["model"])
        named = json.loads((directory / "manifest.json").read_text("utf-8"))["loader"]
        offered = {point.value: point for point in entry_points(group="unlearn.rankers")}
        if named not in offered:
            raise LookupError(
                f"manifest.json names the loader {named!r}, but installed packages offer {sorted(offered)}: "
                "install the package that wrote this model"
            )
        self._ranker: Ranker = offered[named].load()(directory)

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  (MLflow annotates its stub as returning None)
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rank for each row of `model_input`; `params["k"]` items each, and `params["unknown"]` as in `Ranker`."""
        asked: dict[str, Any] = {"k": 10, "unknown": "raise"} | (params or {})
        return self._ranker.rank(list(model_input["user_id"]), k=int(asked["k"]), unknown=asked["unknown"])


set_model(RecommenderModel())
