"""Recommendations from whatever version is published at the moment, and none to anybody who is to be forgotten."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recsys.commands import workspace
from recsys.data import Interactions
from recsys.newcomers import newcomers
from recsys.plugin.place import ARRIVED
from recsys.plugin.target import RecommenderTarget
from recsys.recommend import BaseRanker, Recommendations
from unlearn.vocabulary import Id

_State = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Loaded:
    """One version, held whole: what ranks for the users that it knows, then for those who came since; what each saw."""

    parts: tuple[tuple[BaseRanker, Interactions], ...]
    state: _State | None

    def of(self, user: Id) -> tuple[BaseRanker, Interactions]:
        return next((part for part in self.parts if user in part[0].user_ids), self.parts[0])


class Serving:
    """Answers from memory, and from the next version as soon as one is published; any number of threads may ask."""

    def __init__(self, target: RecommenderTarget) -> None:
        self._target = target
        self._folder = target.place.workspace
        self._loading = threading.Lock()
        self._loaded = self._load()

    def recommend(self, user: Id, *, k: int = 10, suppress: Iterable[Id] | None = None) -> Recommendations | None:
        """The best items for a user that they have not seen; None for whom the service answers nothing.

        An item is left out, too, with which an interaction of theirs is suppressed or erased.

        Raises:
            UnknownIds: there is no such user, or there was.
            ValueError: other arguments are wrong.
        """
        if self._target.blocks(user):
            return None
        ranker, seen = self._current().of(user)
        banned = list(suppress or ())
        while True:
            found = ranker.recommend(user, k=k, exclude=seen, suppress=banned)
            erased = [item for item in found.ids.tolist() if item is not None and self._target.blocks(user, item)]
            if not erased:
                break
            banned += erased
        # Asked again: a suppression that was acknowledged meanwhile counts.
        return None if self._target.blocks(user) else found

    def users(self) -> list[Id]:
        """Who can get an answer now, if nothing blocks them."""
        return [user for _, seen in self._current().parts for user in seen.users.ids[seen.users.alive].tolist()]

    def _current(self) -> _Loaded:
        if self._loaded.state != _state(self._folder):
            with self._loading:
                if self._loaded.state != _state(self._folder):
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> _Loaded:
        place = self._target.place
        with workspace.held(self._folder):
            state, stored = _state(self._folder), place.stored()
            parts = [(place.ranker(stored.data), stored.data)]
            if len((new := stored.newcomers()).users):
                parts.append((newcomers(place.published(stored.data), new), new))
            return _Loaded(tuple(parts), state)


def _state(folder: Path) -> _State | None:
    """What changes when another version or other data are there; None while they are being swapped."""
    files = (workspace.model_folder(folder) / "manifest.json", folder / workspace.SNAPSHOT)
    try:
        found = [file.stat() for file in files]
        with contextlib.suppress(FileNotFoundError):  # there is one only while somebody is new
            found.append((folder / ARRIVED).stat())
    except FileNotFoundError:
        return None
    return tuple((one.st_ino, one.st_mtime_ns) for one in found)
