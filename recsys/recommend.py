"""Serving: the best items for users, in external ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.errors import UnknownIds
from recsys.ranking import Rows, Scores, Seen, best, seen_items
from unlearn.forget import Id, few
from unlearn.vocabulary import Vocabulary

Unknown = Literal["raise", "skip", "popular"]


@dataclass(frozen=True, slots=True)
class Recommendations:
    """Item ids and scores, best first: [k] for one user, [q, k] for many; None and -inf where candidates ran out.

    `users` names the user of each row. `popular` [q] says which rows rank by popularity instead of by score.
    """

    users: tuple[Id, ...]
    ids: NDArray[np.object_]
    scores: NDArray[np.float64]
    popular: NDArray[np.bool_]


class BaseRanker(ABC):
    """Serves in external ids, from scores by row."""

    user_ids: Vocabulary
    item_ids: Vocabulary
    popularity: Tensor | None  # [n_items], any count that ranks items

    @abstractmethod
    def scores(self, rows: Rows) -> Tensor:
        """Scores [q, n_items] of all items for user rows [q], in a tensor that the caller may overwrite."""

    def recommend(
        self,
        user_ids: Id | Iterable[Id],
        *,
        k: int = 10,
        exclude: Interactions | None = None,
        suppress: Iterable[Id] | None = None,
        unknown: Unknown = "raise",
    ) -> Recommendations:
        """The best `k` items for one user or for many; equal scores by item row.

        Args:
            user_ids: one id gives one-dimensional results, an iterable two-dimensional ones.
            k: list length; places beyond the last candidate hold None and -inf.
            exclude: all interactions; what a user has in it is not recommended to that user.
            suppress: items recommended to nobody.
            unknown: what becomes of users that this model does not know: an error, no row, or the most popular items.

        Raises:
            UnknownIds: ids are unknown and nothing else is wrong.
            ValueError: other arguments are wrong; the message lists every problem.
        """
        if isinstance(suppress, str):  # its letters would pass for ids
            raise ValueError(f"`suppress` must be a collection of ids for `recommend` (got the str {suppress!r})")
        single = isinstance(user_ids, (int, str, np.integer))
        asked: list[Any] = [user_ids] if single else list(user_ids)  # pyright: ignore[reportArgumentType]
        banned_ids: list[Any] = [] if suppress is None else list(suppress)
        rows = self.user_ids.rows(asked, unknown="mark")
        suppressed = self.item_ids.rows(banned_ids, unknown="mark")
        self._check(asked, rows, banned_ids, suppressed, k, exclude, unknown)
        if unknown == "skip":
            asked, rows = [value for value, row in zip(asked, rows, strict=True) if row >= 0], rows[rows >= 0]
        banned = np.union1d(np.flatnonzero(~self.item_ids.alive), suppressed[suppressed >= 0])
        known = rows >= 0
        ids = np.full((len(rows), k), None, dtype=object)
        scores = np.full((len(rows), k), -np.inf)
        seen = None if exclude is None else self._seen(exclude, asked)
        sources: list[tuple[Rows, Scores]] = [(np.flatnonzero(known), lambda places: self.scores(rows[places]))]
        if (popularity := self.popularity) is not None:
            counts = popularity.double()
            sources.append((np.flatnonzero(~known), lambda places: counts.repeat(len(places), 1)))
        for places, source in sources:
            for found, values, columns in self._best(places, source, k, seen, banned):
                ids[found, : columns.shape[1]], scores[found, : columns.shape[1]] = columns, values
        if single and len(rows):
            ids, scores = ids[0], scores[0]
        elif single:
            ids, scores = ids.reshape(-1), scores.reshape(-1)
        return Recommendations(tuple(asked), ids, scores, ~known)

    def rank(self, user_ids: Sequence[Id], *, k: int, unknown: Unknown = "raise") -> pd.DataFrame:
        """The best `k` items of each user as a frame: columns user_id, item_id, score, rank (from 1).

        `unknown` as in `recommend`.
        """
        found = self.recommend(list(user_ids), k=k, unknown=unknown)
        real = found.scores > -np.inf
        who, place = np.nonzero(real)
        columns: dict[str, Any] = {
            "user_id": [found.users[row] for row in who],
            "item_id": found.ids[real].tolist(),
            "score": found.scores[real],
            "rank": place + 1,
        }
        return pd.DataFrame(columns)

    def _best(
        self, places: Rows, scores: Scores, k: int, seen: Seen | None, banned: Rows
    ) -> Iterator[tuple[Rows, NDArray[np.float64], NDArray[np.object_]]]:
        """Places [c], and scores and item ids [c, at most k] of those places."""
        for chunk, values, columns in best(scores, places, len(self.item_ids), k=k, seen=seen, banned=banned):
            named = np.array(self.item_ids.take(columns.reshape(-1)), dtype=object).reshape(columns.shape)
            named[values == -np.inf] = None
            yield chunk, values, named

    def _seen(self, exclude: Interactions, asked: list[Any]) -> Seen:
        """Of places in `asked`: the pairs in `exclude`, in our item rows; its vocabularies may differ from ours."""
        theirs = exclude.users.rows(asked, unknown="mark")

        def seen(places: Rows) -> tuple[Rows, Rows]:
            present = np.flatnonzero(theirs[places] >= 0)
            local, columns = seen_items(exclude, theirs[places][present])
            # What these users saw is looked up, not the whole catalogue: one answer is to cost little more than scores.
            different, which = np.unique(columns, return_inverse=True)
            ours = self.item_ids.rows(exclude.items.take(different), unknown="mark")[which]
            return present[local][ours >= 0], ours[ours >= 0]

        return seen

    def _check(
        self,
        asked: list[Any],
        rows: Rows,
        banned: list[Any],
        suppressed: Rows,
        k: Any,
        exclude: Any,
        unknown: Any,
    ) -> None:
        problems: list[str] = []
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            problems.append(f"`k` must be a positive integer for `recommend` (got {k!r})")
        if unknown not in ("raise", "skip", "popular"):
            problems.append(f'`unknown` must be "raise", "skip" or "popular" for `recommend` (got {unknown!r})')
        if exclude is not None and not isinstance(exclude, Interactions):
            problems.append(f"`exclude` must be Interactions for `recommend` (got {type(exclude).__name__})")
        elif exclude is not None and len(exclude):  # ids of another kind would match nobody and nothing
            problems += [
                f"`exclude` must have {name} of kind {ours.kind}, as the model has (got {theirs.kind}); convert its ids"
                for name, ours, theirs in (
                    ("users", self.user_ids, exclude.users),
                    ("items", self.item_ids, exclude.items),
                )
                if ours.kind != theirs.kind
            ]
        if unknown == "popular" and self.popularity is None:
            problems.append('`unknown="popular"` needs item popularity, which this ranker was made without')
        other = len(problems)
        if unknown not in ("skip", "popular"):
            for name, ids, found in (("users", asked, rows), ("items of `suppress`", banned, suppressed)):
                missing = [value for value, row in zip(ids, found, strict=True) if row < 0]
                if missing:
                    problems.append(f"{name} must be known ({len(missing)} of {len(ids)} are not: {few(missing)})")
        if problems:
            text = "No recommendations were made:\n  - " + "\n  - ".join(problems)
            if len(problems) > other:
                text += '\nCorrect the ids, or pass unknown="skip" or unknown="popular" (`--unknown`).'
            raise ValueError(text) if other else UnknownIds(text)


@dataclass(frozen=True, eq=False)
class Ranker(BaseRanker):
    """What serving needs of a model: final embeddings and ids; no interactions.

    Shapes:
        users [n, d]; items [m, d]; scores are their dot products; popularity [m], any count that ranks items.
    """

    users: Tensor
    items: Tensor
    user_ids: Vocabulary
    item_ids: Vocabulary
    popularity: Tensor | None = None

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` must have shape [{len(ids)}, d], a row for each id (got {list(table.shape)})"
            for name, table, ids in (("users", self.users, self.user_ids), ("items", self.items, self.item_ids))
            if table.dim() != 2 or len(table) != len(ids)
        ]
        if self.users.shape[-1:] != self.items.shape[-1:]:
            widths = f"{self.users.shape[-1]} and {self.items.shape[-1]}"
            problems.append(f"`users` and `items` must have one width (got {widths})")
        if self.popularity is not None and self.popularity.shape != (len(self.item_ids),):
            problems.append(f"`popularity` must have shape [{len(self.item_ids)}] (got {list(self.popularity.shape)})")
        if problems:
            raise ValueError("These tables cannot rank:\n  - " + "\n  - ".join(problems))

    def scores(self, rows: Rows) -> Tensor:
        return self.users[torch.from_numpy(rows).to(self.users.device)] @ self.items.T


@dataclass(frozen=True, eq=False)
class ScoreRanker(BaseRanker):
    """Serving for a model without embeddings: `score` gives the scores of all items for user rows."""

    score: Scores
    user_ids: Vocabulary
    item_ids: Vocabulary
    popularity: Tensor | None = None

    def scores(self, rows: Rows) -> Tensor:
        return self.score(rows)
