"""Train, validation and test: given, by ratio, by last interaction, by time. There is always a validation part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from recsys.errors import InvalidInteractions
from unlearn.forget import ForgetSet
from unlearn.streams import uniforms


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of interactions over the same vocabularies.

    Raises:
        InvalidInteractions: the parts do not share their vocabularies.
    """

    train: Interactions
    validation: Interactions
    test: Interactions

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            part = getattr(self, name)
            if part.users != self.train.users or part.items != self.train.items:
                raise InvalidInteractions(
                    f"`{name}` must have the vocabularies of `train` "
                    f"(got {part.users!r}, {part.items!r} and {self.train.users!r}, {self.train.items!r}); "
                    "read the parts together"
                )

    def without(self, forget: ForgetSet) -> Split:
        """Every part without what is forgotten; the rest of the split stays as it was."""
        return Split(*(part.without(forget) for part in (self.train, self.validation, self.test)))

    def refit(self) -> Interactions:
        """Train and validation together: what the final model is fitted to before the test."""
        return self.train.merge(self.validation)


def given(train: Interactions, test: Interactions, *, validation: float = 0.1, seed: int = 0) -> Split:
    """A published split; validation is a share of each user's training interactions, drawn by `seed`.

    Raises:
        InvalidInteractions: train and test overlap, or do not share their vocabularies.
    """
    _check_shares("given", validation=validation)
    size = _share(train, validation, "split/validation", seed)
    inner = _by_rank(train, _order(train, _draws(train, seed)), size, np.zeros_like(size))
    split = Split(inner.train, inner.validation, test)  # of one vocabulary: rows can be compared
    if overlap := int(train.contains(test.user_rows(), test.item_rows()).sum()):
        raise InvalidInteractions(f"train and test must be disjoint (got {overlap} in both); remove them from train")
    return split


def ratio(interactions: Interactions, *, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> Split:
    """A random share of each user's interactions; at least one of each user stays in train.

    Sizes are rounded at random by user, so shares hold on average for short histories too. Draws are keyed by the
    ids, so without one user everybody else's split is what it was.
    """
    _check_shares("ratio", validation=validation, test=test)
    return _by_rank(
        interactions,
        _order(interactions, _draws(interactions, seed)),
        _share(interactions, validation, "split/validation", seed),
        _share(interactions, test, "split/test", seed),
    )


def everything(interactions: Interactions) -> Split:
    """All of it in train: for a model that is to serve, of which nothing can be tested."""
    nothing = interactions.take(np.arange(0))
    return Split(interactions, nothing, nothing)


def leave_last_out(interactions: Interactions) -> Split:
    """Each user's last interaction is the test, the one before it validation; two interactions have no validation.

    Raises:
        InvalidInteractions: the interactions have no times.
    """
    one = np.ones(interactions.n_users, dtype=np.int64)
    return _by_rank(interactions, _order(interactions, -_times(interactions, "leave_last_out")), one, one)


def temporal_user(interactions: Interactions, *, validation: float = 0.1, test: float = 0.2) -> Split:
    """Each user's latest interactions are the test, those before them validation; at least one stays in train.

    Sizes are rounded to the nearest; equal times are ordered by a hash of the item's id.

    Raises:
        InvalidInteractions: the interactions have no times.
    """
    _check_shares("temporal_user", validation=validation, test=test)
    order = _order(interactions, -_times(interactions, "temporal_user"))
    sizes = [np.floor(_counts(interactions) * share + 0.5).astype(np.int64) for share in (validation, test)]
    return _by_rank(interactions, order, *sizes)


def temporal(interactions: Interactions, *, validation: float = 0.1, test: float = 0.2) -> Split:
    """Two moments for all users: what came after the later one is the test, what came between them validation.

    Interactions of the same moment stay together. A user who came after the cut has nothing in train: keeping one
    there would let the future into the training data.

    Raises:
        InvalidInteractions: the interactions have no times, or so many the latest one that there is no test.
    """
    _check_shares("temporal", validation=validation, test=test)
    times = _times(interactions, "temporal")
    cuts = [1 - validation - test, 1 - test]
    first, second = np.quantile(times, cuts, method="lower") if len(times) else (0.0, 0.0)
    parts = (times <= first, (times > first) & (times <= second), times > second)
    if not parts[2].any():
        raise InvalidInteractions(
            f"`interactions` must leave some for the test after a moment, for `temporal` (got {len(times)}, of which "
            f"the latest moment has {int((times == second).sum())}); use a larger share, or `temporal_user`"
        )
    return Split(*(interactions.take(np.flatnonzero(part)) for part in parts))


def _by_rank(
    interactions: Interactions, order: NDArray[np.int64], validation: NDArray[np.int64], test: NDArray[np.int64]
) -> Split:
    """The first `test` ranks of each user are test, the next `validation` ranks validation; one is left for train."""
    counts = _counts(interactions)
    spare = np.maximum(counts - 1, 0)
    test_end = np.minimum(test, spare)
    end = np.repeat(np.minimum(test_end + validation, spare), counts)
    test_end = np.repeat(test_end, counts)
    parts = (order >= end, (order >= test_end) & (order < end), order < test_end)
    return Split(*(interactions.take(np.flatnonzero(part)) for part in parts))


def _order(interactions: Interactions, value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each interaction among its user's by ascending value, [nnz]; ties by the item's key, not by its row."""
    rows = interactions.user_rows()
    by_user = np.lexsort((interactions.items.keys[interactions.item_rows()], value, rows))
    rank = np.empty(len(interactions), dtype=np.int64)
    rank[by_user] = np.arange(len(interactions)) - interactions.indptr[rows[by_user]]
    return rank


def _counts(interactions: Interactions) -> NDArray[np.int64]:
    return np.diff(interactions.indptr)


def _draws(interactions: Interactions, seed: int) -> NDArray[np.float64]:
    users, items = interactions.users.keys, interactions.items.keys
    return uniforms(seed, "split/order", users[interactions.user_rows()], items[interactions.item_rows()])


def _share(interactions: Interactions, share: float, purpose: str, seed: int) -> NDArray[np.int64]:
    """Size of a user's part [n_users]: its share of the user's interactions, rounded up or down at random."""
    return np.floor(_counts(interactions) * share + uniforms(seed, purpose, interactions.users.keys)).astype(np.int64)


def _times(interactions: Interactions, caller: str) -> NDArray[np.float64]:
    if interactions.time is None:
        raise InvalidInteractions(f"`interactions` must have times for `{caller}` (got none); use `ratio` instead")
    return interactions.time


def _check_shares(caller: str, **shares: float) -> None:
    problems = [
        f"`{name}` must lie between 0 and 1 for `{caller}` (got {share})"
        for name, share in shares.items()
        if not 0 < share < 1
    ]
    if not problems and sum(shares.values()) >= 1:
        problems.append(f"the shares must leave something for train in `{caller}` (got {shares})")
    if problems:
        raise ValueError("\n".join(problems))
