"""Users x items in canonical CSR, with weights, times and social ties: the data every recommender here starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.data.frames import Duplicates, compile_frame
from recsys.data.ties import remaining_ties, tie_positions
from recsys.data.units import units_of
from recsys.errors import InvalidInteractions
from unlearn.forget import ForgetSet, Id
from unlearn.units import Unit, Units
from unlearn.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who interacted with what; immutable by convention: every operation returns new data.

    Shapes:
        indptr int64 [n_users + 1]; indices int64 [nnz], ascending and unique within a user's row;
        weight float32 [nnz] (kept, but models here count every interaction as 1, one of weight 0 or less, too);
        time float64 [nnz] (the unit of the source, usually seconds);
        ties int64 [m, 2]: directed pairs of user rows, lexicographically sorted, unique, no self-ties.
    """

    users: Vocabulary
    items: Vocabulary
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None
    time: NDArray[np.float64] | None = None
    ties: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        # Shapes only: canonical order is the constructors' promise, and checking it would cost more than a deletion.
        shapes = {"indptr": (len(self.users) + 1,), "weight": self.indices.shape, "time": self.indices.shape}
        problems = [
            f"`{name}` must have shape {shape} (got {array.shape})"
            for name, shape in shapes.items()
            if (array := getattr(self, name)) is not None and array.shape != shape
        ]
        if self.ties is not None and (self.ties.ndim != 2 or self.ties.shape[1] != 2):
            problems.append(f"`ties` must have shape (m, 2) (got {self.ties.shape})")
        if not problems and self.indptr[-1] != len(self.indices):
            problems.append(f"`indptr` must end at the {len(self.indices)} interactions (got {self.indptr[-1]})")
        if problems:
            raise InvalidInteractions("\n  - ".join(["these arrays are no interactions:", *problems]))

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        user: str = "user",
        item: str = "item",
        weight: str | None = None,
        time: str | None = None,
        ties: pd.DataFrame | None = None,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
        duplicates: Duplicates = "raise",
    ) -> Interactions:
        """Interactions from a frame with one row each; `ties` is a frame of two columns of user ids.

        Ids get rows in ascending order, unless vocabularies are given. `duplicates` says what becomes of a pair that
        occurs more than once, in the order of the rows: "sum" adds the weights (where there are none, counts the rows)
        and keeps the last row's time, which need not be the latest.

        Raises:
            InvalidInteractions: listing every problem with the labels of its rows (`frame.index`).
        """
        columns = {"user": user, "item": item, "weight": weight, "time": time}
        return cls(**compile_frame(frame, columns, ties=ties, users=users, items=items, duplicates=duplicates))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in ("weight", "time") if getattr(self, name) is not None)
        ties = "" if self.ties is None else f", {len(self.ties)} ties"
        return f"Interactions({self.n_users} users, {self.n_items} items, {len(self)} interactions{extra}{ties})"

    @property
    def n_users(self) -> int:
        """Number of user rows, tombstones included."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of item rows, tombstones included."""
        return len(self.items)

    def user_rows(self) -> NDArray[np.int64]:
        """User row of each interaction, [nnz]."""
        return np.repeat(np.arange(self.n_users, dtype=np.int64), np.diff(self.indptr))

    def item_rows(self) -> NDArray[np.int64]:
        """Item row of each interaction, [nnz]."""
        return self.indices

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Interactions of each user [n_users] and of each item [n_items]."""
        return np.diff(self.indptr), np.bincount(self.indices, minlength=self.n_items).astype(np.int64)

    def csr(self) -> csr_array:
        """The n_users x n_items matrix of float32 ones."""
        ones = np.ones(len(self), dtype=np.float32)
        return csr_array((ones, self.indices.copy(), self.indptr.copy()), shape=(self.n_users, self.n_items))

    def contains(self, user_rows: NDArray[np.int64], item_rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each pair of rows is an interaction, [k]; False for rows out of range."""
        return self._locate(user_rows, item_rows) >= 0

    def _locate(self, user_rows: NDArray[np.int64], item_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each pair in `indices` [k], or -1: a binary search within each user's row, all pairs at once."""
        known = (user_rows >= 0) & (user_rows < self.n_users) & (item_rows >= 0) & (item_rows < self.n_items)
        row = np.where(known, user_rows, 0)
        if not len(self) or not len(row):
            return np.full(len(row), -1, dtype=np.int64)
        low, end = self.indptr[row], self.indptr[row + 1]
        high = end.copy()
        for _ in range(int((end - low).max()).bit_length()):
            middle = (low + high) // 2
            below = (low < high) & (self.indices[np.minimum(middle, len(self) - 1)] < item_rows)
            high = np.where(below, high, np.minimum(middle, high))
            low = np.where(below, middle + 1, low)
        hit = known & (low < end) & (self.indices[np.minimum(low, len(self) - 1)] == item_rows)
        return np.where(hit, low, -1)

    def _pair_positions(self, pairs: Iterable[tuple[Id, Id]]) -> NDArray[np.int64]:
        """Positions of interactions given by external ids [k]; -1 for one that is not here."""
        listed = list(pairs)
        user_rows = self.users.rows([user for user, _ in listed], unknown="mark")
        return self._locate(user_rows, self.items.rows([item for _, item in listed], unknown="mark"))

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        """The part of a forget set that exists here; what was forgotten before is unknown. Ties are directed.

        Raises:
            UnknownIds: listing everything that is not here, under `unknown="raise"`.
        """
        return forget.known(
            "a recommender has users, items, interactions and ties",
            unknown,
            users=self.users.rows(forget.users, unknown="mark") >= 0,
            items=self.items.rows(forget.items, unknown="mark") >= 0,
            interactions=self._pair_positions(forget.interactions) >= 0,
            ties=tie_positions(self.ties, self.users, forget.ties) >= 0,
        )

    def positions(self, forget: ForgetSet) -> NDArray[np.int64]:
        """Sorted positions in `indices` of every interaction that a forget set removes; what is not here is skipped."""
        users, items = self._forgotten_rows(forget)
        return np.flatnonzero(self._removed(forget, users, items))

    def _forgotten_rows(self, forget: ForgetSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        users = self.users.rows(forget.users, unknown="mark")
        items = self.items.rows(forget.items, unknown="mark")
        return users[users >= 0], items[items >= 0]

    def _removed(self, forget: ForgetSet, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mask [nnz] of the interactions that go with these user rows, item rows and single interactions."""
        if len(items):
            gone = np.zeros(self.n_items, dtype=np.bool_)
            gone[items] = True
            removed = gone[self.indices]
        else:
            removed = np.zeros(len(self), dtype=np.bool_)
        for row in users.tolist():
            removed[self.indptr[row] : self.indptr[row + 1]] = True
        if forget.interactions:
            single = self._pair_positions(forget.interactions)
            removed[single[single >= 0]] = True
        return removed

    def without(self, forget: ForgetSet) -> Interactions:
        """The remaining data: interactions and ties gone, forgotten users and items tombstones; no row is renumbered.

        Forgetting a single interaction leaves its user and item. What is not here is skipped, so that one forget set
        serves every part of a split; `resolve` first where an unknown id should be an error.
        """
        users, items = self._forgotten_rows(forget)
        remaining = self._masked(~self._removed(forget, users, items))
        ties = self.ties
        if ties is not None:
            ties = remaining_ties(ties, self.n_users, tie_positions(ties, self.users, forget.ties), users)
        return replace(remaining, users=self.users.without(users), items=self.items.without(items), ties=ties)

    def units(self, unit: Unit) -> Units:
        """Its users or items by row, its interactions by position, or its ties, both directions of one being one unit.

        Raises:
            ValueError: it is to be counted in anything else.
        """
        return units_of(unit, self.users, self.items, self.user_rows(), self.item_rows(), self.ties)

    def take(self, positions: NDArray[np.int64]) -> Interactions:
        """Only the interactions at these positions of `indices`; vocabularies and ties stay whole."""
        kept = np.zeros(len(self), dtype=np.bool_)
        kept[positions] = True
        return self._masked(kept)

    def _masked(self, kept: NDArray[np.bool_]) -> Interactions:
        removed = np.flatnonzero(~kept)
        return replace(
            self,
            # A row ends earlier by the number of removed positions before its end.
            indptr=self.indptr - np.searchsorted(removed, self.indptr),
            indices=self.indices[kept],
            weight=None if self.weight is None else self.weight[kept],
            time=None if self.time is None else self.time[kept],
        )

    def merge(self, other: Interactions) -> Interactions:
        """The union of two disjoint sets of interactions over the same vocabularies, and of their ties.

        Raises:
            InvalidInteractions: vocabularies differ, interactions overlap, or only one has weights or times.
        """
        problems = [
            f"`{name}` must be the same vocabulary in both (got {getattr(self, name)!r} and {getattr(other, name)!r})"
            for name in ("users", "items")
            if getattr(self, name) != getattr(other, name)
        ]
        problems += [
            f"`{name}` must be in both or in neither; drop it from the one that has it"
            for name in ("weight", "time")
            if (getattr(self, name) is None) != (getattr(other, name) is None)
        ]
        if not problems and (shared := int(self.contains(other.user_rows(), other.indices).sum())):
            problems.append(f"interactions must be disjoint (got {shared} in both); take one side's out first")
        if problems:
            raise InvalidInteractions("\n  - ".join(["these interactions cannot be merged:", *problems]))
        rows = np.concatenate([self.user_rows(), other.user_rows()])
        indices = np.concatenate([self.indices, other.indices])
        order = np.lexsort((indices, rows))

        def joined(name: str) -> Any:
            parts = [getattr(part, name) for part in (self, other)]
            return None if parts[0] is None else np.concatenate(parts)[order]

        both = [part.ties for part in (self, other) if part.ties is not None]
        return replace(
            self,
            indptr=self.indptr + other.indptr,
            indices=indices[order],
            weight=joined("weight"),
            time=joined("time"),
            ties=np.unique(np.concatenate(both), axis=0) if both else None,
        )

    def digest(self) -> str:
        """SHA-256 (hex) over ids, row numbers, interactions, weights, times and ties.

        It identifies data within a trusted store; it is not keyed, so it must not stand in for an id in a log.
        """
        state = hashlib.sha256()
        for vocabulary in (self.users, self.items):
            ids = repr(vocabulary.take(np.arange(len(vocabulary)))).encode()
            state.update(len(ids).to_bytes(8, "little") + ids)
        for name, kind in (("indptr", "<i8"), ("indices", "<i8"), ("weight", "<f4"), ("time", "<f8"), ("ties", "<i8")):
            array = getattr(self, name)
            if array is not None:
                state.update(f"{name}{array.shape}".encode())
                state.update(np.ascontiguousarray(array, dtype=kind).tobytes())
        return state.hexdigest()

    def frame(self) -> pd.DataFrame:
        """One row an interaction in external ids: columns user, item and, where present, weight and time."""
        columns: dict[str, Any] = {"user": self.users.ids[self.user_rows()], "item": self.items.ids[self.indices]}
        columns |= {name: getattr(self, name) for name in ("weight", "time") if getattr(self, name) is not None}
        return pd.DataFrame(columns)
