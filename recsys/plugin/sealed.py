"""What is removed of people, as bytes that go under a seal, and put back into the data of the version that knew it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from recsys.data.interactions import Interactions
from recsys.plugin.stored import Stored
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary


def packed(stored: Stored, forget: ForgetSet, *, since: str) -> bytes:
    """What is stored of these users and interactions: rows, ids, interactions with weights and times, ties; counts.

    Of what arrived after the model was trained there are counts alone, for it is in no gradient.

    Args:
        since: digest of the version that is published, which was made with them.
    """
    data = stored.data
    rows = data.users.rows(forget.users, unknown="mark")
    rows = rows[rows >= 0]
    positions = data.positions(forget)
    counts = {"users": len(forget.users), "interactions": stored.count(forget)}
    arrays: dict[str, NDArray[Any]] = {
        "rows": rows,
        "users": data.user_rows()[positions],
        "items": data.indices[positions],
        "told": np.frombuffer(
            json.dumps({"ids": data.users.take(rows), "counts": counts, "since": since}).encode(), dtype=np.uint8
        ),
    }
    for name in ("weight", "time"):
        if (values := getattr(data, name)) is not None:
            arrays[name] = values[positions]
    if data.ties is not None:
        arrays["ties"] = data.ties[np.isin(data.ties, rows).any(axis=1)]
    return save(arrays)


def counts(content: bytes) -> dict[str, int]:
    """How many users and interactions were removed."""
    return _told(content)["counts"]


def since(content: bytes) -> str:
    """Digest of the version that was published at that moment."""
    return _told(content)["since"]


def interactions(content: bytes) -> int:
    """How many interactions are in there: those that the model knew."""
    return len(load(content)["items"])


def forget_set(whole: Interactions, contents: Sequence[bytes]) -> ForgetSet:
    """Who and what is in there, in ids of the data into which it was put back."""
    found = ForgetSet()
    for content in contents:
        part = load(content)
        single = ~np.isin(part["users"], part["rows"])
        pairs = zip(whole.users.take(part["users"][single]), whole.items.take(part["items"][single]), strict=True)
        found |= ForgetSet(users=tuple(_told(content)["ids"]), interactions=tuple(pairs))
    return found


def put_back(remaining: Interactions, contents: Sequence[bytes]) -> Interactions:
    """The data as they were before these left them, with whatever came in since."""
    parts = [load(content) for content in contents]
    live: list[Any] = remaining.users.take(np.arange(remaining.n_users))
    for part, content in zip(parts, contents, strict=True):
        for row, name in zip(part["rows"].tolist(), _told(content)["ids"], strict=True):
            live[row] = name
    users = Vocabulary.restore(live, remaining.users.kind)
    whole = replace(remaining, users=users)
    for part in parts:
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


def _told(content: bytes) -> dict[str, Any]:
    return json.loads(load(content)["told"].tobytes())
