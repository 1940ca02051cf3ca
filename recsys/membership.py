"""What an attacker asks a recommender about: pairs of a user and an item, and how strongly a model speaks for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.answers import Answers
from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.foldin import split_history
from recsys.ranking import Rows, chunks, seen_items
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted
from unlearn.streams import uniforms
from unlearn.units import Unit

Kind = Literal["probability", "rank"]
Level = Literal["mean", "max"]


@dataclass(frozen=True, eq=False)
class PairExamples:
    """Examples of one or several pairs each, the same for every model; see `unlearn.audit.contract.Examples`.

    `probability`: m(u, i) = s_ui - logsumexp over the candidate items, the log-probability of a softmax; `rank`: the
    share of candidates that score below i. Of an example with several pairs (a user with their items) it is the mean,
    or the largest. A model that does not hold a user is asked after folding in half of the user's history.
    """

    pairs: tuple[Rows, Rows]  # user and item rows [p]
    owner: Rows  # [p]: the example that a pair belongs to
    groups: dict[str, slice]
    units: Tensor  # int64 [examples]
    unit: Unit
    histories: csr_array  # [n_users, n_items]: what is folded in
    candidates: Rows
    kind: Kind = "probability"
    level: Level = "mean"

    def signal(self, model: Fitted) -> Tensor:
        """Float64 [examples]."""
        assert isinstance(model, FittedRecommender)
        of_pairs = self._of_pairs(model)
        owner = torch.from_numpy(self.owner)
        empty = torch.zeros(len(self.units), dtype=torch.float64)
        if self.level == "max":
            return empty.scatter_reduce(0, owner, of_pairs, "amax", include_self=False)
        return empty.index_add(0, owner, of_pairs) / torch.bincount(owner, minlength=len(empty))

    def _of_pairs(self, model: FittedRecommender) -> Tensor:
        """Signals of single pairs [p]."""
        rows, columns = self.pairs
        alive = model.data.users.alive
        found = torch.empty(len(rows), dtype=torch.float64)
        answers = Answers.of(model)
        for here in (True, False):
            for users in chunks(np.unique(rows[alive[rows] == here]), model.data.n_items):
                scores = answers.scores(users) if here else model.fold_in(self._folded(users, model.data))
                places = np.flatnonzero(np.isin(rows, users))
                local = torch.from_numpy(np.searchsorted(users, rows[places]))
                found[torch.from_numpy(places)] = self._told(scores.double().cpu(), local, columns[places])
        return found

    def _told(self, scores: Tensor, local: Tensor, columns: Rows) -> Tensor:
        """Of the scores [q, n_items] of some users: the signals of the pairs (local row, item)."""
        among = scores[:, torch.from_numpy(self.candidates)]
        asked = scores[local, torch.from_numpy(columns)]
        if self.kind == "probability":
            return asked - among.logsumexp(1)[local]
        ordered = among.sort(1).values
        return torch.searchsorted(ordered[local], asked[:, None]).squeeze(1).double() / among.shape[1]

    def _folded(self, users: Rows, data: Interactions) -> csr_array:
        kept: csr_array = self.histories[users]
        kept.data = kept.data * data.items.alive[kept.indices]
        kept.eliminate_zeros()
        return kept


def pair_examples(
    data: Interactions,
    test: Interactions,
    forget: ForgetSet,
    *,
    seed: int,
    most: int,
    unknown: ForgetSet | None = None,
    kind: Kind = "probability",
    level: Level = "mean",
) -> PairExamples:
    """At most `most` examples each of what `forget` names, of what stays, and of held-out interactions of those users.

    Single interactions are examples of one pair. A forgotten user is one example with half of the interactions, the
    other half being what is folded in; users that stay are treated alike. `unknown` are single interactions that form a
    group of their own: the part of a corruption that the request does not name.

    Raises:
        ValueError: the request names items or ties, or users and single interactions at once.
    """
    kinds = [name for name in ("users", "items", "interactions", "ties", "records") if getattr(forget, name)]
    if kinds not in (["users"], ["interactions"]):
        raise ValueError(
            "`forget` must name users alone or single interactions alone for an audit by attacks "
            f"(got {' and '.join(kinds) or 'nothing'}); an item that is gone has no score to attack"
        )
    by_user = kinds == ["users"]
    rows, columns = data.user_rows(), data.item_rows()
    if by_user:
        named = np.sort(data.users.rows(forget.users))
        groups = {"forget": named, "retain": np.setdiff1d(np.unique(rows), named)}
        chosen = {name: _some(group, data.users.keys[group], most, seed) for name, group in groups.items()}
        units = np.concatenate(list(chosen.values()))
        halves = split_history(data, ForgetSet(users=tuple(data.users.take(units))), seed=seed)
        asked, folded = halves.asked, halves.folded
        owner = _place(units, asked[0])
    else:
        named, others = data.positions(forget), data.positions(unknown or ForgetSet())
        staying = np.setdiff1d(np.arange(len(data)), np.concatenate([named, others]))
        groups = {"forget": named, "retain": staying} | ({"unknown": others} if len(others) else {})
        keys = data.users.keys[rows] ^ data.items.keys[columns]
        chosen = {name: _some(group, keys[group], most, seed) for name, group in groups.items()}
        units = np.concatenate(list(chosen.values()))
        asked, folded = (rows[units], columns[units]), (rows[:0], columns[:0])
        owner = np.arange(len(units))
    people = np.unique(asked[0])
    local, held_items = seen_items(test, people)
    held_rows = people[local]
    if by_user:
        holders, held_owner = np.unique(held_rows, return_inverse=True)
    else:
        keys = data.users.keys[held_rows] ^ data.items.keys[held_items]
        picked = _some(np.arange(len(held_rows)), keys, most, seed)
        held_rows, held_items = held_rows[picked], held_items[picked]
        holders = held_owner = np.arange(len(held_rows))
    ends = np.cumsum([0, *(len(group) for group in chosen.values()), len(holders)]).tolist()
    names = [*chosen, "held_out"]
    return PairExamples(
        pairs=(np.concatenate([asked[0], held_rows]), np.concatenate([asked[1], held_items])),
        owner=np.concatenate([owner, len(units) + held_owner]),
        groups={name: slice(*ends[place : place + 2]) for place, name in enumerate(names)},
        units=torch.from_numpy(np.concatenate([units, np.full(len(holders), -1)])),
        unit="user" if by_user else "interaction",
        histories=csr_array((np.ones(len(folded[0]), np.float32), folded), shape=(data.n_users, data.n_items)),
        candidates=np.flatnonzero(data.items.alive),
        kind=kind,
        level=level,
    )


def _some(rows: Rows, keys: np.ndarray, most: int, seed: int) -> Rows:
    """At most `most` of the rows, each by its own key, in ascending order."""
    return np.sort(rows[np.argsort(uniforms(seed, "audit/examples", keys), kind="stable")[:most]])


def _place(values: Rows, wanted: Rows) -> Rows:
    """Where in `values` [n], which are distinct, each of those wanted is."""
    order = np.argsort(values)
    return order[np.searchsorted(values, wanted, sorter=order)]
