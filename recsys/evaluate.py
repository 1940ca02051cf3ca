"""Ranking metrics over all items, chunked over users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from recsys.data.interactions import Interactions
from recsys.ranking import Scores, best, dot_products, seen_items

_SHORT = 2.0  # seconds without a progress bar
_NAMES = ("recall", "ndcg", "precision", "map", "mrr", "hit_rate", "popularity")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Ranking metrics of each evaluated user, and their means.

    `rows` int64 [q] are the evaluated users; `per_user` maps a name such as "recall_at_20" to float64 [q];
    `coverage` maps "coverage_at_20" to the share of the items left that is recommended to any of them.
    """

    rows: NDArray[np.int64]
    per_user: dict[str, NDArray[np.float64]]
    coverage: dict[str, float]

    def summary(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Mean of every metric over the evaluated users, or over those among `rows`; NaN where there are none.

        Coverage belongs to the whole evaluation and is left out when `rows` is given.
        """
        chosen = np.ones(len(self.rows), dtype=np.bool_) if rows is None else np.isin(self.rows, rows)
        means = {
            name: float(values[chosen].mean()) if chosen.any() else float("nan")
            for name, values in self.per_user.items()
        }
        return means | (self.coverage if rows is None else {})


def evaluate(
    users: Tensor,
    items: Tensor,
    *,
    train: Interactions,
    test: Interactions,
    ks: Sequence[int] = (20,),
    users_subset: NDArray[np.int64] | None = None,
) -> Metrics:
    """Recall, NDCG, precision, MAP, MRR, hit rate, average popularity and coverage of the scores `users @ items.T`.

    With h_j = 1 where place j of a user's list holds a test item, and n the number of their test items:

        recall = sum_j h_j / n                 precision = sum_j h_j / k        hit_rate = max_j h_j
        ndcg = (sum_j h_j / log2(j + 1)) / (sum_{j <= min(k, n)} 1 / log2(j + 1))
        map = (sum_j h_j (sum_{i <= j} h_i) / j) / min(k, n)                    mrr = max_j h_j / j

    `popularity` is the mean number of training interactions of the recommended items. All items compete except the
    user's training items and forgotten ones, which are no test items either. Users without test items, and forgotten
    users, are left out of every metric. Equal scores rank by item row.

    Args:
        users: final embeddings [n, d]; items: final embeddings [m, d].
        train: whose items are not recommended again, and whose counts are popularity.
        test: the ground truth, over the same rows as `train`.
        ks: list lengths.
        users_subset: user rows [q] to evaluate; all where None.

    Raises:
        ValueError: shapes do not fit, a table is not finite, a `k` is not a positive integer, a row does not exist, or
            `test` has other ids in the rows of `train`.
    """
    _check(users, items, train, test, ks, users_subset)
    return evaluate_scores(dot_products(users, items), train=train, test=test, ks=ks, users_subset=users_subset)


def evaluate_scores(
    scores: Scores,
    *,
    train: Interactions,
    test: Interactions,
    ks: Sequence[int] = (20,),
    users_subset: NDArray[np.int64] | None = None,
) -> Metrics:
    """The same for a model without embeddings: `scores` gives finite scores of all items for some user rows."""
    wanted = np.zeros(train.n_users, dtype=np.bool_)
    wanted[slice(None) if users_subset is None else users_subset] = True
    truth = np.bincount(test.user_rows()[train.items.alive[test.item_rows()]], minlength=test.n_users)
    rows = np.flatnonzero(wanted & (truth > 0) & train.users.alive)
    popularity = train.degrees()[1].astype(np.float64)
    ks = sorted(set(ks))
    parts: dict[str, list[NDArray[np.float64]]] = {f"{name}_at_{k}": [np.zeros(0)] for k in ks for name in _NAMES}
    shown = {k: np.zeros(train.n_items, dtype=np.bool_) for k in ks}
    alive = train.items.alive
    banned = np.flatnonzero(~alive)
    seen = partial(seen_items, train)
    with tqdm(total=len(rows), desc="test", unit="user", delay=_SHORT, disable=None, leave=False) as bar:
        for chunk, values, columns in best(scores, rows, train.n_items, k=max(ks), seen=seen, banned=banned):
            real = values > -np.inf
            hits = test.contains(np.repeat(chunk, columns.shape[1]), columns.reshape(-1)).reshape(columns.shape) & real
            for k in ks:
                for name, metric in _metrics(hits[:, :k], truth[chunk], k).items():
                    parts[f"{name}_at_{k}"].append(metric)
                counted = real[:, :k]
                total = (popularity[columns[:, :k]] * counted).sum(1)
                parts[f"popularity_at_{k}"].append(total / np.maximum(counted.sum(1), 1))
                shown[k][columns[:, :k][counted]] = True
            bar.update(len(chunk))
    return Metrics(
        rows=rows,
        per_user={name: np.concatenate(values) for name, values in parts.items()},
        coverage={f"coverage_at_{k}": float(mask.sum() / max(alive.sum(), 1)) for k, mask in shown.items()},
    )


def terciles(degrees: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Stratum of each row by its degree: 0 low, 1 middle, 2 high; -1 for a row of degree 0.

    Rows of equal degree share a stratum, so the three are of equal size only up to ties.
    """
    strata = np.full(len(degrees), -1, dtype=np.int64)
    present = degrees > 0
    if present.any():
        edges = np.quantile(degrees[present], [1 / 3, 2 / 3])
        strata[present] = np.searchsorted(edges, degrees[present], side="left")
    return strata


def _metrics(hits: NDArray[np.bool_], truth: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    """Metrics [c] of lists with `hits` [c, at most k] for users with `truth` [c] test items."""
    places = np.arange(1, hits.shape[1] + 1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(truth, k) - 1]
    found = hits.sum(1)
    return {
        "recall": found / truth,
        "ndcg": hits @ discount[: hits.shape[1]] / ideal,
        "precision": found / k,
        "map": (hits * (hits.cumsum(1) / places)).sum(1) / np.minimum(truth, k),
        "mrr": (hits / places).max(1, initial=0.0),
        "hit_rate": (found > 0).astype(np.float64),
    }


def _check(
    users: Tensor,
    items: Tensor,
    train: Interactions,
    test: Interactions,
    ks: Sequence[int],
    users_subset: NDArray[np.int64] | None,
) -> None:
    shape = (train.n_users, train.n_items)
    problems = [
        f"`{name}` must have shape [{n}, d], a row for each of `train` (got {list(table.shape)})"
        for name, table, n in (("users", users, shape[0]), ("items", items, shape[1]))
        if table.dim() != 2 or len(table) != n
    ]
    if users.shape[-1:] != items.shape[-1:]:
        problems.append(f"`users` and `items` must have one width (got {users.shape[-1]} and {items.shape[-1]})")
    problems += [
        f"`{name}` must hold finite numbers (got {int((~table.isfinite()).sum())} that are not)"
        for name, table in (("users", users), ("items", items))
        if not bool(table.isfinite().all())
    ]
    if (test.n_users, test.n_items) != shape:
        problems.append(f"`test` must have the rows of `train`, {shape} (got {(test.n_users, test.n_items)})")
    elif not (test.users.agrees_with(train.users) and test.items.agrees_with(train.items)):
        problems.append("`test` must have the rows of `train` (got other ids in some); read or split them together")
    bad = [k for k in ks if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1]  # pyright: ignore[reportUnnecessaryIsInstance]
    if bad or not len(ks):
        problems.append(f"`ks` must be positive integers for `evaluate` (got {list(ks)})")
    if users_subset is not None and ((users_subset < 0) | (users_subset >= shape[0])).any():
        problems.append(f"`users_subset` must hold rows of 0 to {shape[0] - 1}")
    if problems:
        raise ValueError("These scores cannot be evaluated:\n  - " + "\n  - ".join(problems))
