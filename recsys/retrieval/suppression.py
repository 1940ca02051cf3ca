"""Suppression at serving: a keyed list of what must not be shown, and a ranker that obeys it."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recsys.ranking import Rows
from recsys.recommend import BaseRanker
from unlearn.forget import ForgetSet, Id
from unlearn.vocabulary import Vocabulary

_SHORTEST_KEY = 16  # bytes


@dataclass(frozen=True, slots=True, repr=False)
class SuppressionList:
    """External ids that serving must hold back, as keyed digests (HMAC-SHA256, hex): a stop-gap, not unlearning.

    Covers, for every `SuppressedRanker` that is given the list, whatever model is behind it and however its rows are
    numbered: suppressed items are shown to nobody, the item of a suppressed interaction is not shown to that user,
    and a suppressed user is unknown. A list outlives retraining, and an id may be on it before or after its data is.

    Does not cover: the parameters, the graph and the popularity counts, which still hold the data and go on shaping
    what everybody is shown; other items that betray the suppressed ones; users whom the model does not know, who all
    get one popular list; callers that rank by other means. Ids are pseudonyms here, not anonymous: whoever has the
    key can test any id. Without the key the list says how many entries it has, and no more.

    Finding the rows of listed ids costs some 10 us for each id of a model: once a list, and once more, for the items,
    at the first request of a user with suppressed interactions.

    Lists of one key are merged by `|`. To lift what a request suppressed, keep one list a request and leave that out.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """

    key: bytes
    digests: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(self.key) < _SHORTEST_KEY:
            raise ValueError(
                f"`key` must have at least {_SHORTEST_KEY} bytes for `SuppressionList` (got {len(self.key)}); "
                "secrets.token_bytes(32) makes one"
            )

    @classmethod
    def of(cls, forget: ForgetSet, *, key: bytes) -> SuppressionList:
        """The list of a request's users, items and interactions.

        Raises:
            ValueError: the request names ties or records, which no recommendation shows; or the key is too short.
        """
        problems = [
            f"`{name}` must be empty for `SuppressionList` (got {count}); no list of items shows them"
            for name, count in forget.counts().items()
            if count and name in ("ties", "records")
        ]
        if problems:
            remedy = "Suppress the request's users, items and interactions, and unlearn it whole."
            raise ValueError("\n".join([*problems, remedy]))
        empty = cls(key)
        digests = {empty._digest("user", user) for user in forget.users}
        digests |= {empty._digest("item", item) for item in forget.items}
        for user, item in forget.interactions:
            # The user's own entry spares everybody else a search through all items.
            digests |= {empty._digest("has pairs", user), empty._digest("pair", user, item)}
        return cls(key, frozenset(digests))

    def __or__(self, other: SuppressionList) -> SuppressionList:
        if not hmac.compare_digest(self.key, other.key):
            raise ValueError("`key` must be the same in both lists for `|`; make both with one key")
        return SuppressionList(self.key, self.digests | other.digests)

    def __len__(self) -> int:
        return len(self.digests)

    def __repr__(self) -> str:
        """Neither key nor digests: a list must be safe to log."""
        return f"SuppressionList({len(self)} entries)"

    def rows(self, kind: Literal["user", "item", "has pairs"], ids: Vocabulary) -> Rows:
        """Rows [r] of the ids that are on the list, ascending."""
        return self._matching(ids, kind)

    def pair_rows(self, user: Id, items: Vocabulary) -> Rows:
        """Rows [r] of the items that are on the list for this user, ascending."""
        return self._matching(items, "pair", user)

    def to_json(self) -> str:
        """The list without its key."""
        return json.dumps({"digests": sorted(self.digests), "seal": self._seal()})

    @classmethod
    def from_json(cls, text: str, *, key: bytes) -> SuppressionList:
        """The list that `to_json` wrote.

        Raises:
            ValueError: it was written under another key, with which it would hold back nothing, or changed since.
        """
        stored = json.loads(text)
        entries = stored if isinstance(stored, dict) else {}
        listed = cls(key, frozenset(map(str, entries.get("digests", ()))))
        if entries.get("seal") != listed._seal():
            raise ValueError("`text` must be what `SuppressionList.to_json` wrote under this `key`; find that key")
        return listed

    def _seal(self) -> str:
        return self._digest("seal", *sorted(self.digests))

    def _matching(self, ids: Vocabulary, *prefix: Id) -> Rows:
        live = np.flatnonzero(ids.alive)
        return live[[self._digest(*prefix, value) in self.digests for value in ids.take(live)]]

    def _digest(self, *parts: Id) -> str:
        # JSON tells 5 from "5" and one pair from another that reads the same when joined.
        return hmac.digest(self.key, json.dumps(parts).encode(), "sha256").hex()


@dataclass(frozen=True, eq=False)
class SuppressedRanker(BaseRanker):
    """A ranker that never shows what is on a list: suppression, not unlearning.

    The ranker behind it is used as it is: its tables still hold the data, and `scores` of what is not suppressed are
    those that it always gave. `suppress` and `exclude` of `recommend` hold back more on top of it. See
    `SuppressionList` for what is covered.
    """

    ranker: BaseRanker
    suppression: SuppressionList
    user_ids: Vocabulary = field(init=False)
    item_ids: Vocabulary = field(init=False)
    popularity: Tensor | None = field(init=False)
    _banned: Tensor = field(init=False)
    _pairs: dict[int, Tensor | None] = field(init=False)  # by user row; None until that user asks

    def __post_init__(self) -> None:
        ranker, listed = self.ranker, self.suppression
        users = ranker.user_ids.without(listed.rows("user", ranker.user_ids))
        banned = torch.from_numpy(listed.rows("item", ranker.item_ids))
        counts = ranker.popularity
        derived = {
            "user_ids": users,
            # Suppressed items stay known, so that `suppress` may name them, too.
            "item_ids": ranker.item_ids,
            "popularity": None if counts is None else _without(counts.double(), banned),
            "_banned": banned,
            "_pairs": dict.fromkeys(listed.rows("has pairs", users).tolist()),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def scores(self, rows: Rows) -> Tensor:
        """As the ranker behind it gives them, -inf for what is suppressed."""
        found = self.ranker.scores(rows)
        found.index_fill_(1, self._banned.to(found.device), -torch.inf)
        for place, row in enumerate(rows.tolist()):
            if row in self._pairs:
                found[place, self._pairs_of(row).to(found.device)] = -torch.inf
        return found

    def _pairs_of(self, row: int) -> Tensor:
        if (known := self._pairs[row]) is None:
            (user,) = self.user_ids.take([row])
            known = self._pairs[row] = torch.from_numpy(self.suppression.pair_rows(user, self.item_ids))
        return known


def _without(counts: Tensor, banned: Tensor) -> Tensor:
    return counts.index_fill(0, banned.to(counts.device), -torch.inf)
