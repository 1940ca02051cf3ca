"""Recommendations from whatever version is published at the moment, and none to anybody who is to be forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recsys.commands import workspace
from recsys.data import Interactions
from recsys.plugin.target import RecommenderTarget
from recsys.recommend import BaseRanker, Recommendations
from unlearn.vocabulary import Id

_State = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Loaded:
    """One version, held whole: model, ids and the data that say what a user has seen."""

    ranker: BaseRanker
    data: Interactions
    state: _State | None


class Serving:
    """Answers from memory, and from the next version as soon as one is published; any number of threads may ask."""

    def __init__(self, target: RecommenderTarget) -> None:
        self._target = target
        self._folder = target.place.workspace
        self._loading = threading.Lock()
        self._loaded = self._load()

    def recommend(self, user: Id, *, k: int = 10, suppress: Iterable[Id] | None = None) -> Recommendations | None:
        """The best items for a user that they have not seen; None for whom the service answers nothing.

        Raises:
            UnknownIds: there is no such user, or there was.
            ValueError: other arguments are wrong.
        """
        if self._target.blocks(user):
            return None
        now = self._current()
        found = now.ranker.recommend(user, k=k, exclude=now.data, suppress=suppress)
        # Asked again: a suppression that was acknowledged meanwhile counts.
        return None if self._target.blocks(user) else found

    def _current(self) -> _Loaded:
        if self._loaded.state != _state(self._folder):
            with self._loading:
                if self._loaded.state != _state(self._folder):
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> _Loaded:
        with workspace.held(self._folder):
            state, data = _state(self._folder), self._target.place.data()
            return _Loaded(self._target.place.ranker(data), data, state)


def _state(folder: Path) -> _State | None:
    """What changes when another version or other data are there; None while they are being swapped."""
    files = (workspace.model_folder(folder) / "manifest.json", folder / workspace.SNAPSHOT)
    try:
        found = [file.stat() for file in files]
    except FileNotFoundError:
        return None
    return tuple((one.st_ino, one.st_mtime_ns) for one in found)
