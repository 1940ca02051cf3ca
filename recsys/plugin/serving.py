"""Recommendations from whatever version is published at the moment, and none to anybody who is to be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from recsys import workspace
from recsys.data import Interactions
from recsys.newcomers import newcomers
from recsys.plugin.stored import ARRIVED
from recsys.plugin.target import RecommenderTarget
from recsys.recommend import BaseRanker, Recommendations
from unlearn.forget import Id
from unlearn.workspace import Latest

_Parts = tuple[tuple[BaseRanker, Interactions], ...]
"""What ranks for the users that the version knows, then for those who came since; what each of them has seen."""


class Serving:
    """Answers from memory, and from the next version as soon as one is published; any number of threads may ask."""

    def __init__(self, target: RecommenderTarget) -> None:
        self._target = target
        files = (workspace.model_folder(Path()) / "manifest.json", Path(workspace.SNAPSHOT), Path(ARRIVED))
        self._latest = Latest(target.workspace, files, self._load)

    def recommend(self, user: Id, *, k: int = 10, suppress: Iterable[Id] | None = None) -> Recommendations | None:
        """The best items for a user that they have not seen; None for whom the service answers nothing.

        An item is left out, too, with which an interaction of theirs is suppressed or erased.

        Raises:
            UnknownIds: there is no such user, or there was.
            ValueError: other arguments are wrong.
        """
        if self._target.blocks(user):
            return None
        parts = self._latest()
        ranker, seen = next((part for part in parts if user in part[0].user_ids), parts[0])
        banned = list(suppress or ())
        found = without_erased(
            self._target, user, lambda more: ranker.recommend(user, k=k, exclude=seen, suppress=[*banned, *more])
        )
        # Asked again: a suppression that was acknowledged meanwhile counts.
        return None if self._target.blocks(user) else found

    def users(self) -> list[Id]:
        """Who can get an answer now, if nothing blocks them."""
        return [user for _, seen in self._latest() for user in seen.users.ids[seen.users.alive].tolist()]

    def _load(self) -> _Parts:
        """One version, held whole."""
        stored = self._target.data()
        known = (self._target.ranker(stored), stored.data)
        new = stored.newcomers()
        return (known, (newcomers(self._target.published(stored), new), new)) if len(new.users) else (known,)


def without_erased(target: RecommenderTarget, user: Id, ask: Callable[[list[Id]], Recommendations]) -> Recommendations:
    """What `ask` answers to a user, told to leave out items with which their interaction is suppressed or erased."""
    erased: list[Id] = []
    while True:
        found = ask(erased)
        more = [item for item in found.ids.tolist() if item is not None and target.blocks(user, item)]
        if not more:
            return found
        erased += more
