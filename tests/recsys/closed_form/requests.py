"""Requests of every kind, on the small data of these tests."""

from __future__ import annotations

from recsys.data import Interactions
from unlearn.forget import ForgetSet

REQUESTS = ("a user", "two users", "an item", "interactions", "mixed")


def request_for(data: Interactions, kind: str) -> ForgetSet:
    """Users 1 and 4, item 2, interactions of users 5, 6 and 8."""
    pairs = [(int(u), int(data.indices[data.indptr[u] + k])) for u, k in ((5, 0), (6, 1), (6, 2), (8, 0))]
    named = tuple((data.users.ids[u], data.items.ids[i]) for u, i in pairs)
    users = tuple(data.users.take([1, 4]))
    items = (data.items.ids[2],)
    return {
        "a user": ForgetSet(users=users[:1]),
        "two users": ForgetSet(users=users),
        "an item": ForgetSet(items=items),
        "interactions": ForgetSet(interactions=named),
        "mixed": ForgetSet(users=users[:1], items=items, interactions=named),
    }[kind]
