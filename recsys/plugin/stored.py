"""What a workspace stores of people: the data over the model's ids, and what came since about ids it does not know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.data import Interactions, from_parquet, to_parquet
from recsys.errors import InvalidInteractions
from recsys.workspace import SNAPSHOT
from unlearn import durable
from unlearn.forget import ForgetSet
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

ARRIVED = "interactions-arrived.parquet"
_PAIR = ["user", "item"]


@dataclass(frozen=True, slots=True)
class Stored:
    """`data` has the rows of the published version; `arrived` is a frame of interactions with new users or new items.

    Neither has a pair twice, and no pair is in both. A retrain learns from all of it, on rows of its own.
    """

    data: Interactions
    arrived: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Stored:
        """What lies in a workspace."""
        data, path = from_parquet(folder / SNAPSHOT), folder / ARRIVED
        return cls(data, pd.read_parquet(path) if path.is_file() else data.frame()[:0])

    def write(self, folder: Path) -> None:
        """Put it in the place of what lies there, each file whole. What came in goes first, so that nobody is lost."""
        if len(self.arrived):
            durable.replace(folder / ARRIVED, self.arrived.to_parquet(index=False))
        else:
            durable.remove(folder / ARRIVED)
        to_parquet(self.data, folder / SNAPSHOT)

    def __len__(self) -> int:
        return len(self.data) + len(self.arrived)

    def holds(self, asked: ForgetSet) -> ForgetSet:
        """The users and interactions among those asked for that are here."""
        known, came = self.data.users.rows(asked.users, unknown="mark") >= 0, set(self.arrived["user"])
        pairs = set(self.arrived[_PAIR].itertuples(index=False, name=None))
        there = self.data.resolve(ForgetSet(interactions=asked.interactions), unknown="skip").interactions
        return ForgetSet(
            users=tuple(user for user, here in zip(asked.users, known, strict=True) if here or user in came),
            interactions=there + tuple(pair for pair in asked.interactions if pair in pairs),
        )

    def count(self, forget: ForgetSet) -> int:
        """How many interactions go with that."""
        return len(self.data.positions(forget)) + int(self._concerned(forget).sum())

    def without(self, forget: ForgetSet) -> Stored:
        """What remains."""
        return Stored(self.data.without(forget), self.arrived[~self._concerned(forget)])

    def _concerned(self, forget: ForgetSet) -> NDArray[np.bool_]:
        pairs = pd.MultiIndex.from_frame(self.arrived[_PAIR])
        single = pairs.isin(list(forget.interactions)) if forget.interactions else np.zeros(len(pairs), dtype=np.bool_)
        return self.arrived["user"].isin(forget.users).to_numpy() | single

    # ---- what comes in -----------------------------------------------------------------------------------------------

    def columns(self) -> dict[str, Any]:
        """Which columns beside user and item the data have, as `Interactions.from_frame` wants to be told."""
        return {name: name for name in ("weight", "time") if getattr(self.data, name) is not None}

    def joined(self, frame: pd.DataFrame) -> Stored:
        """With the interactions of a frame, as `Interactions.frame` has them; pairs that are here stay as they are."""
        data = self.data
        rows = [
            ids.rows(frame[name].tolist(), unknown="mark")
            for name, ids in zip(_PAIR, (data.users, data.items), strict=True)
        ]
        known = (rows[0] >= 0) & (rows[1] >= 0)
        old = frame[known & ~data.contains(*rows)]
        if len(old):
            data = data.merge(Interactions.from_frame(old, users=data.users, items=data.items, **self.columns()))
        both = [part for part in (self.arrived, frame[~known]) if len(part)]
        new = pd.concat(both, ignore_index=True) if both else self.arrived
        return Stored(data, new.drop_duplicates(_PAIR, keep="first", ignore_index=True))

    def newcomers(self) -> Interactions:
        """Of users that the model does not know, what they did with items that it does."""
        items = self.data.items
        known = self.data.users.rows(self.arrived["user"].tolist(), unknown="mark") >= 0
        new = self.arrived[~known & (items.rows(self.arrived["item"].tolist(), unknown="mark") >= 0)]
        users = Vocabulary.restore(sorted(set(new["user"])), self.data.users.kind)
        empty = Interactions(users, items, np.zeros(len(users) + 1, dtype=np.int64), np.empty(0, dtype=np.int64))
        return Interactions.from_frame(new, users=users, items=items, **self.columns()) if len(new) else empty

    # ---- other rows --------------------------------------------------------------------------------------------------

    def everything(self) -> Interactions:
        """All of it over rows without tombstones: those who remain in their order, then who is new."""
        users, items = (
            Vocabulary.restore([*ids.ids[ids.alive].tolist(), *self._new(name, ids)], ids.kind)
            for name, ids in zip(_PAIR, (self.data.users, self.data.items), strict=True)
        )
        return self.over(users, items).data

    def over(self, users: Vocabulary, items: Vocabulary) -> Stored:
        """The same over the rows of another model; whom it knows and who is not here any more has a tombstone there."""
        data = self.data
        if data.users.remains_of(users) and data.items.remains_of(items):
            return self
        alive = np.flatnonzero(users.alive)
        known = data.users.rows(users.take(alive), unknown="mark") >= 0
        came = pd.Series(users.take(alive), dtype=object).isin(self.arrived["user"].tolist()).to_numpy()
        users = users.without(alive[~known & ~came])
        alive = np.flatnonzero(data.users.alive)
        user_rows, item_rows = np.full(data.n_users, -1), np.full(data.n_items, -1)
        user_rows[alive] = users.rows(data.users.take(alive))
        alive = np.flatnonzero(data.items.alive)
        item_rows[alive] = items.rows(data.items.take(alive))
        rows, columns = user_rows[data.user_rows()], item_rows[data.item_rows()]
        order = np.lexsort((columns, rows))
        ties = None if data.ties is None else user_rows[data.ties]
        moved = replace(
            data,
            users=users,
            items=items,
            indptr=np.searchsorted(rows[order], np.arange(len(users) + 1)).astype(np.int64),
            indices=columns[order],
            weight=None if data.weight is None else data.weight[order],
            time=None if data.time is None else data.time[order],
            ties=None if ties is None else ties[np.lexsort((ties[:, 1], ties[:, 0]))],
        )
        return Stored(moved, self.arrived[:0]).joined(self.arrived)

    def _new(self, name: str, ids: Vocabulary) -> list[Any]:
        came = sorted(set(self.arrived[name]))
        rows = ids.rows(came, unknown="mark").tolist()
        return [value for value, row in zip(came, rows, strict=True) if row < 0]


def arrived(frame: pd.DataFrame, stored: Stored) -> pd.DataFrame:
    """New interactions, checked, in the columns and the kinds of ids of what is stored; of equal pairs the last one.

    Raises:
        InvalidInteractions: listing every problem.
    """
    data, problems = stored.data, Problems("these interactions", InvalidInteractions)
    for name in stored.columns():
        if name not in frame.columns:
            have = ", ".join(f"`{one}`" for one in frame.columns)
            problems.add(f"`{name}` must be a column, as the stored ones have it (got {have}); add it")
    problems.raise_any()
    came = Interactions.from_frame(frame, duplicates="last", **stored.columns())
    for name, ids, theirs in (("user", data.users, came.users), ("item", data.items, came.items)):
        if ids.kind != theirs.kind:
            problems.add(f"`{name}` must hold ids of kind {ids.kind}, as the stored ones are (got {theirs.kind})")
    problems.raise_any()
    return came.frame()
