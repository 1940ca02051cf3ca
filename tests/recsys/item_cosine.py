"""How alike two items are by who had them."""

from __future__ import annotations

from math import sqrt

from recsys.data import Interactions


def cosine(data: Interactions, left: int, right: int) -> float:
    frame = data.frame()
    items = data.items.take(range(data.n_items))
    ours, theirs = (set(frame.loc[frame["item"] == items[row], "user"]) for row in (left, right))
    return len(ours & theirs) / sqrt(len(ours) * len(theirs)) if ours and theirs else 0.0
