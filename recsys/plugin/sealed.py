"""The interactions and ties of forgotten users, as bytes that go under a seal, and put back into the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from unlearn.forget import ForgetSet
from unlearn.staging import packed as packed_arrays
from unlearn.staging import unpacked
from unlearn.vocabulary import Id


def packed(data: Interactions, users: Sequence[Id]) -> bytes:
    """What the data hold of these users: rows, ids, interactions with weights and times, ties."""
    rows = data.users.rows(users)
    positions = data.positions(ForgetSet(users=tuple(users)))
    arrays: dict[str, NDArray[Any]] = {
        "rows": rows,
        "users": data.user_rows()[positions],
        "items": data.indices[positions],
    }
    for name in ("weight", "time"):
        if (values := getattr(data, name)) is not None:
            arrays[name] = values[positions]
    if data.ties is not None:
        arrays["ties"] = data.ties[np.isin(data.ties, rows).any(axis=1)]
    return packed_arrays(data.users.take(rows), arrays)


def interactions(content: bytes) -> int:
    """How many interactions are in there."""
    return len(unpacked(content)[1]["items"])


def put_back(remaining: Interactions, contents: Sequence[bytes]) -> Interactions:
    """The data as they were before these left them, with whatever came in since."""
    parts = [unpacked(content) for content in contents]
    users = remaining.users
    for names, part in parts:
        users = users.restored(part["rows"], names)
    whole = replace(remaining, users=users)
    for _, part in parts:
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
