"""Deletion requests for evaluations, drawn by seed from a short specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits import Split
from recsys.evaluate import terciles
from recsys.ranking import Rows
from unlearn.forget import ForgetSet
from unlearn.streams import integers, permutation
from unlearn.vocabulary import Vocabulary

FORMS = (
    "random:0.05 (share of interactions), users:20, items:5, popular-items:5, ties:50, one-user:30, user:ID or "
    "corrupted:0.05 (share of false interactions that are added first)"
)
_KINDS = ("random", "users", "items", "popular-items", "ties", "one-user", "user", "corrupted")


def drawn(specification: str, split: Split, *, seed: int) -> tuple[Interactions, list[ForgetSet]]:
    """What to train on, and the requests to serve then.

    `corrupted:0.05` adds that share of false interactions to train and validation and deletes exactly these: pairs
    of a random user and a random item that neither trained on nor held out, with the weight and time of some true
    interaction. They are the same for every seed, as the split is. `forget_auc` then compares the false interactions
    with held-out true ones of the same users, so that the retrain's is far below one half. Every other specification
    trains on train and validation as they are: see `requests`.

    Raises:
        ValueError: the specification cannot be read or asks for more than there is.
        UnknownIds: there is no user of that id.
    """
    data = split.refit()
    kind, value = _read(specification)
    if kind != "corrupted":
        return data, requests(specification, data, seed=seed)
    false = _false(_share(value, specification), data, split.test)
    return data.merge(false), [_pairs(false, false.user_rows(), false.item_rows())]


def requests(specification: str, data: Interactions, *, seed: int) -> list[ForgetSet]:
    """The requests that a specification asks for, on the data that the model was trained on.

    `random:0.05` deletes that share of all interactions, `users:20` and `items:5` that many at once, `popular-items:5`
    those with most interactions, `ties:50` that many pairs of tied users, in both directions, `user:ID` the one with
    that id, each in one request; `one-user:30` is thirty requests of one user each, a third from each tercile of
    activity. Draws are keyed by id, so they do not depend on the order of rows.

    Raises:
        ValueError: the specification cannot be read, asks for more than there is, or (`corrupted`) for other data.
        UnknownIds: there is no user of that id.
    """
    kind, value = _read(specification)
    if kind == "corrupted":
        raise ValueError(
            f"`delete` must be given to `drawn` where it changes the training data (got {specification!r})"
        )
    if kind == "user":
        return [data.resolve(ForgetSet(users=tuple(data.users.parse([value]))))]
    if kind == "random":
        return [_random(_share(value, specification), data, seed)]
    count = _count(value, specification)
    if kind == "ties":
        return [_ties(count, data, seed)]
    what = "items" if kind.endswith("items") else "users"
    users, items = (np.flatnonzero(degrees > 0) for degrees in data.degrees())
    if count > (available := len(items if what == "items" else users)):
        raise ValueError(f"`delete` asks for {count} {what} (got {available} with interactions)")
    several: dict[str, Callable[[], list[ForgetSet]]] = {
        "items": lambda: [ForgetSet(items=tuple(data.items.take(_draw(items, data.items, count, seed))))],
        "popular-items": lambda: [ForgetSet(items=tuple(data.items.take(_popular(data, count))))],
        "users": lambda: [ForgetSet(users=tuple(data.users.take(_draw(users, data.users, count, seed))))],
        "one-user": lambda: [ForgetSet(users=(user,)) for user in data.users.take(_stratified(data, count, seed))],
    }
    return several[kind]()


def _read(specification: str) -> tuple[str, str]:
    kind, _, value = specification.partition(":")
    if kind not in _KINDS or not value:
        raise ValueError(f"`delete` must be {FORMS} (got {specification!r})")
    return kind, value


def _random(share: float, data: Interactions, seed: int) -> ForgetSet:
    rows, columns = data.user_rows(), data.item_rows()
    order = permutation(seed, "request/interactions", data.users.keys[rows], data.items.keys[columns])
    chosen = order[: max(1, round(share * len(data)))]
    return _pairs(data, rows[chosen], columns[chosen])


def _ties(count: int, data: Interactions, seed: int) -> ForgetSet:
    units = data.units("tie")
    if count > len(units):
        raise ValueError(f"`delete` asks for {count} ties (got {len(units)} pairs of tied users)")
    return units.forget_set(permutation(seed, "request/ties", units.keys)[:count])


def _pairs(data: Interactions, rows: Rows, columns: Rows) -> ForgetSet:
    return ForgetSet(interactions=tuple(zip(data.users.take(rows), data.items.take(columns), strict=True)))


def _draw(rows: Rows, ids: Vocabulary, count: int, seed: int) -> Rows:
    """`count` of the rows, in random order."""
    return rows[permutation(seed, "request/rows", ids.keys[rows])[:count]]


def _popular(data: Interactions, count: int) -> Rows:
    """The items of most interactions; of equals, those whose keys come first."""
    return np.lexsort((data.items.keys, -data.degrees()[1]))[:count]


def _stratified(data: Interactions, count: int, seed: int) -> Rows:
    """Users in equal numbers from each tercile of activity; what a small stratum lacks, the others give."""
    strata = terciles(data.degrees()[0])
    shuffled = [_draw(np.flatnonzero(strata == s), data.users, data.n_users, seed) for s in range(3)]
    in_turn = sorted((place, s, row) for s, rows in enumerate(shuffled) for place, row in enumerate(rows.tolist()))
    return np.array([row for _, _, row in in_turn[:count]], dtype=np.int64)


def _false(share: float, data: Interactions, held_out: Interactions) -> Interactions:
    """Interactions that never were, between users and items that have some."""
    wanted = max(1, round(share * len(data)))
    users, items = (np.flatnonzero(degrees > 0) for degrees in data.degrees())
    empty = len(users) * len(items) - len(data) - len(held_out)
    if wanted > empty // 2:
        raise ValueError(f"`delete` asks for {wanted} false interactions (got room for {max(0, empty // 2)})")
    codes = np.empty(0, dtype=np.int64)
    begun = 0
    while len(codes) < wanted:
        number = np.arange(begun, begun := begun + 2 * wanted)
        rows = users[integers(0, "request/false/users", len(users), number)]
        columns = items[integers(0, "request/false/items", len(items), number)]
        new = ~(data.contains(rows, columns) | held_out.contains(rows, columns))
        codes = np.concatenate([codes, rows[new] * data.n_items + columns[new]])
        codes = codes[np.sort(np.unique(codes, return_index=True)[1])]
    rows, columns = np.divmod(np.sort(codes[:wanted]), data.n_items)
    like = integers(0, "request/false/like", len(data), np.arange(wanted))
    return replace(
        data,
        indptr=np.searchsorted(rows, np.arange(data.n_users + 1)).astype(np.int64),
        indices=columns,
        weight=None if data.weight is None else data.weight[like],
        time=None if data.time is None else data.time[like],
        ties=None,
    )


def _share(value: str, specification: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = float("nan")
    if not 0 < share < 1:
        raise ValueError(f"`delete` must name a share between 0 and 1 after the colon (got {specification!r})")
    return share


def _count(value: str, specification: str) -> int:
    if not value.isdecimal() or len(value) > 18 or int(value) < 1:  # Python reads no number of thousands of digits
        raise ValueError(
            f"`delete` must name a positive number of at most 18 digits after the colon (got {specification!r})"
        )
    return int(value)
