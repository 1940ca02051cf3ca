"""Deletion requests for evaluations, drawn by seed from a short specification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from recsys.evaluate import terciles
from unlearn.forget import ForgetSet
from unlearn.streams import uniforms

Rows = NDArray[np.int64]
FORMS = "random:0.05 (share of interactions), users:20, items:5, one-user:30 or user:ID"


def requests(specification: str, data: Interactions, *, seed: int) -> list[ForgetSet]:
    """The requests that a specification asks for.

    `random:0.05` deletes that share of all interactions, `users:20` and `items:5` that many at once, `user:ID` the one
    with that id, each in one request; `one-user:30` is thirty requests of one user each, a third from each tercile of
    activity. Draws are keyed by id, so they do not depend on the order of rows.

    Raises:
        ValueError: the specification cannot be read or asks for more than there is.
        UnknownIds: there is no user of that id.
    """
    kind, separator, value = specification.partition(":")
    if not separator or kind not in ("random", "users", "items", "one-user", "user") or not value:
        raise ValueError(f"`delete` must be {FORMS} (got {specification!r})")
    if kind == "user":
        return [data.resolve(ForgetSet(users=tuple(data.users.parse([value]))))]
    if kind == "random":
        return [_random(_share(value, specification), data, seed)]
    count = _count(value, specification)
    users, items = (np.flatnonzero(degrees > 0) for degrees in data.degrees())
    available = len(items) if kind == "items" else len(users)
    if count > available:
        raise ValueError(
            f"`delete` asks for {count} {'items' if kind == 'items' else 'users'} (got {available} with interactions)"
        )
    if kind == "items":
        return [ForgetSet(items=tuple(data.items.take(_draw(items, data.items, count, seed))))]
    if kind == "users":
        return [ForgetSet(users=tuple(data.users.take(_draw(users, data.users, count, seed))))]
    return [ForgetSet(users=(user,)) for user in data.users.take(_stratified(data, count, seed))]


def _random(share: float, data: Interactions, seed: int) -> ForgetSet:
    rows, columns = data.user_rows(), data.item_rows()
    draw = uniforms(seed, "request/interactions", data.users.keys[rows], data.items.keys[columns])
    chosen = np.argsort(draw, kind="stable")[: max(1, round(share * len(data)))]
    return ForgetSet(
        interactions=tuple(zip(data.users.take(rows[chosen]), data.items.take(columns[chosen]), strict=True))
    )


def _draw(rows: Rows, ids: Vocabulary, count: int, seed: int) -> Rows:
    """`count` of the rows, in random order."""
    return rows[np.argsort(uniforms(seed, "request/rows", ids.keys[rows]), kind="stable")[:count]]


def _stratified(data: Interactions, count: int, seed: int) -> Rows:
    """Users in equal numbers from each tercile of activity; what a small stratum lacks, the others give."""
    strata = terciles(data.degrees()[0])
    shuffled = [_draw(np.flatnonzero(strata == s), data.users, data.n_users, seed) for s in range(3)]
    in_turn = sorted((place, s, row) for s, rows in enumerate(shuffled) for place, row in enumerate(rows.tolist()))
    return np.array([row for _, _, row in in_turn[:count]], dtype=np.int64)


def _share(value: str, specification: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = float("nan")
    if not 0 < share < 1:
        raise ValueError(f"`delete` must name a share between 0 and 1 after `random:` (got {specification!r})")
    return share


def _count(value: str, specification: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise ValueError(f"`delete` must name a positive number after the colon (got {specification!r})")
    return int(value)
