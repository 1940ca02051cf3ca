"""What is examined of a staged recommender before it may serve: without a retrain, on the remaining data alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.fitted import FittedRecommender
from recsys.problem import RecommenderProblem
from recsys.store import Storable
from unlearn.forget import ForgetSet
from unlearn.streams import permutation
from unlearn.target import Check, Verdict
from unlearn.vocabulary import Vocabulary

_PANEL = 300
_LOST_AUC = 0.01
_RESIDUAL_SHARE = 0.5
_CONVERGED = 10.0  # times the tolerance of training

NOT_COVERED = (
    "backups, exports and copies that this service did not make",
    "versions of the model that were published, exported or tracked elsewhere before",
    "what other models were trained on this one's recommendations",
    "attacks on the new version: see `unlearn audit`",
)


def examine(before: Storable, after: Storable, ids: Vocabulary, *, share: float) -> Verdict:
    """The verdict on `after`, which is to replace `before`; both stand on the remaining data.

    - `forgotten_ids`: ids in the stored version of users that the data have no more.
    - `forgotten_rows`: parameters of such users that are not zero, counted by user.
    - `not_finite`: parameters that are no numbers.
    - `residual`: the gradient norm on the remaining data, over the larger of half of what it was before and ten times
      the tolerance of training; where nothing left, over all of what it was, for there is nothing to settle. Where
      training samples, or the solution is in closed form, there is none.
    - `panel_auc`: how well the remaining interactions of 300 users are ranked above all other items, less how well
      `before` does: at least -.01, less the share that left, for an exact retrain on less data ranks worse, too.
    - `score_bound`: the proven bound of the scores' distance to any exact retrain's, where there is one and all
      else passed. It is for the record: of what stopped early it is wide.

    A model's caveat stands among what is not covered: no check sees how far from a retrain a too narrow model ends.

    Args:
        ids: the user ids of the stored version, by row.
        share: of the interactions that `before` was made from, those that are not in the data any more.
    """
    gone = ~after.data.users.alive
    checks = [
        Check(name="forgotten_ids", value=int((ids.alive & gone).sum()), high=0),
        Check(name="forgotten_rows", value=_nonzero(after, np.flatnonzero(gone)), high=0),
        Check(name="not_finite", value=sum(int((~one.isfinite()).sum()) for one in after.params.values()), high=0),
        *_residual(before, after, _RESIDUAL_SHARE if share else 1.0),
        Check(name="panel_auc", value=panel_auc(after) - panel_auc(before), low=-(_LOST_AUC + share)),
    ]
    fine = all(check.passed for check in checks)
    if fine and isinstance(after, RecommenderProblem) and (bound := after.optimality()) is not None:
        checks.append(Check(name="score_bound", value=bound.relative))
    said = () if after.caveat is None else (after.caveat,)
    return Verdict(tuple(checks), NOT_COVERED + said)


def _nonzero(model: Storable, rows: NDArray[np.int64]) -> int:
    """How many of the user rows have a parameter that is not zero."""
    tables = [
        table
        for name, table in model.params.items()
        if not isinstance(model, RecommenderProblem) or name in model.row_parameters
        if len(table) in (model.data.n_users, model.data.n_users + model.data.n_items)
    ]
    found = np.zeros(len(rows), dtype=np.bool_)
    for table in tables:
        found |= (table.reshape(len(table), -1)[torch.from_numpy(rows)] != 0).any(1).cpu().numpy()
    return int(found.sum())


def _residual(before: Storable, after: Storable, most: float) -> Iterator[Check]:
    if not isinstance(before, RecommenderProblem) or not isinstance(after, RecommenderProblem) or after.stochastic:
        return
    norm = float(torch.stack([one.double().square().sum() for one in after.params.values()]).sum().sqrt())
    converged = _CONVERGED * after.options.tolerance * 2.0 * after.objective_function.l2 * norm
    was = before.with_params(before.settled(ForgetSet())).residual()
    yield Check(name="residual", value=after.residual() / max(most * was, converged, 1e-300), high=1.0)


def panel_auc(model: FittedRecommender) -> float:
    """Mean over at most 300 users, drawn by id: how likely an item of theirs ranks above one that is not."""
    from scipy.stats import rankdata  # whose package takes a second to load, and the server verifies nothing

    data = model.data
    degrees = data.degrees()[0]
    users = np.flatnonzero(data.users.alive & (degrees > 0) & (degrees < data.n_items))
    users = users[permutation(0, "service/panel", data.users.keys[users])[:_PANEL]]
    if not len(users):
        return 1.0
    areas: list[float] = []
    for user, scores in zip(users, model.scores(users).double().cpu().numpy(), strict=True):
        alive = np.flatnonzero(data.items.alive)
        mine = np.isin(alive, data.indices[data.indptr[user] : data.indptr[user + 1]])
        ranks = rankdata(scores[alive])
        n = int(mine.sum())
        areas.append((ranks[mine].sum() - n * (n + 1) / 2) / (n * (len(alive) - n)) if 0 < n < len(alive) else 1.0)
    return float(np.mean(areas))
