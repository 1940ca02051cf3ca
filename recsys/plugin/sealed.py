"""What is removed of people, as it goes under a seal, and put back into the data of the version that knew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from recsys.plugin.stored import Stored
from unlearn.forget import ForgetSet, Pair
from unlearn.staging import Sealed


def packed(stored: Stored, forget: ForgetSet, *, since: str) -> Sealed:
    """What is stored of these users and interactions: rows, interactions with weights and times, ties.

    Of what arrived after the model was trained there are counts alone, for it is in no gradient.
    """
    data = stored.data
    rows = data.users.rows(forget.users, unknown="mark")
    rows = rows[rows >= 0]
    positions = data.positions(forget)
    arrays: dict[str, NDArray[Any]] = {
        "rows": rows,
        "users": data.user_rows()[positions],
        "items": data.item_rows()[positions],
    }
    for name in ("weight", "time"):
        if (values := getattr(data, name)) is not None:
            arrays[name] = values[positions]
    if data.ties is not None:
        arrays["ties"] = data.ties[np.isin(data.ties, rows).any(axis=1)]
    counts = {"users": len(forget.users), "interactions": stored.count(forget)}
    return Sealed(since, tuple(data.users.take(rows)), counts, arrays, _parts(data, arrays))


def interactions(sealed: Sealed) -> int:
    """How many interactions are in there: those that the model knew."""
    return len(sealed.arrays["items"])


def forget_set(whole: Interactions, outstanding: Sequence[Sealed]) -> ForgetSet:
    """Who and what is in there, in ids of the data into which it was put back."""
    found = ForgetSet()
    for sealed in outstanding:
        found |= ForgetSet(users=sealed.people, interactions=_parts(whole, sealed.arrays))
    return found


def _parts(data: Interactions, arrays: Mapping[str, NDArray[Any]]) -> tuple[Pair, ...]:
    """The interactions in there of people who stay."""
    alone = ~np.isin(arrays["users"], arrays["rows"])
    users, items = data.users.take(arrays["users"][alone]), data.items.take(arrays["items"][alone])
    return tuple(zip(users, items, strict=True))


def put_back(remaining: Interactions, outstanding: Sequence[Sealed]) -> Interactions:
    """The data as they were before these left them, with whatever came in since."""
    users = remaining.users
    for sealed in outstanding:
        users = users.restored(sealed.arrays["rows"], sealed.people)
    whole = replace(remaining, users=users)
    for part in (sealed.arrays for sealed in outstanding):
        order = np.lexsort((part["items"], part["users"]))
        gone = Interactions(
            users,
            remaining.items,
            np.searchsorted(part["users"][order], np.arange(len(users) + 1)).astype(np.int64),
            part["items"][order],
            part["weight"][order] if "weight" in part else None,
            part["time"][order] if "time" in part else None,
            part.get("ties"),
        )
        whole = whole.merge(gone)
    return whole
