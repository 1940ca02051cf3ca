"""Recommendations from whatever version is published at the moment, and none to anybody who is to be forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recsys.commands import workspace
from recsys.data import Interactions
from recsys.plugin.target import RecommenderTarget
from recsys.recommend import BaseRanker, Recommendations
from unlearn.vocabulary import Id
from unlearn.workspace import Latest


class Serving:
    """Answers from memory, and from the next version as soon as one is published; any number of threads may ask."""

    def __init__(self, target: RecommenderTarget) -> None:
        self._target = target
        files = (workspace.model_folder(Path()) / "manifest.json", Path(workspace.SNAPSHOT))
        self._latest = Latest(target.workspace, files, self._load)

    def recommend(self, user: Id, *, k: int = 10, suppress: Iterable[Id] | None = None) -> Recommendations | None:
        """The best items for a user that they have not seen; None for whom the service answers nothing.

        Raises:
            UnknownIds: there is no such user, or there was.
            ValueError: other arguments are wrong.
        """
        if self._target.blocks(user):
            return None
        ranker, data = self._latest()
        found = ranker.recommend(user, k=k, exclude=data, suppress=suppress)
        # Asked again: a suppression that was acknowledged meanwhile counts.
        return None if self._target.blocks(user) else found

    def _load(self) -> tuple[BaseRanker, Interactions]:
        """One version, held whole: model, ids and the data that say what a user has seen."""
        data = self._target.data()
        return self._target.ranker(data), data
