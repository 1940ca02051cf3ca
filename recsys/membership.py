"""What an attacker asks a recommender about: pairs of a user and an item, and how strongly a model speaks for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.answers import Answers
from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.foldin import Pairs, split_history
from recsys.ranking import Rows, chunks, seen_items
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted
from unlearn.streams import permutation
from unlearn.units import Unit


@dataclass(frozen=True, eq=False)
class PairExamples:
    """Examples of one or several pairs each, the same for every model; see `unlearn.audit.contract.Examples`.

    The signal of a pair is s_ui - logsumexp over the candidate items, the log-probability of a softmax over scores; of
    an example with several pairs (a user with their items, an item with its users) it is the mean of theirs. A model
    that does not hold a user, or an item, is asked after folding in half of the history, about the other half.
    """

    pairs: Pairs  # user and item rows [p]
    owner: Rows  # [p]: the example that a pair belongs to
    groups: dict[str, slice]
    units: Tensor  # int64 [examples]
    unit: Unit
    histories: csr_array  # [n_users, n_items]: what is folded in
    candidates: Rows

    def signal(self, model: Fitted) -> Tensor:
        """Float64 [examples].

        Raises:
            ValueError: it is about items that the model does not hold and cannot fold in.
        """
        assert isinstance(model, FittedRecommender)
        of_pairs = self._of_pairs(model)
        owner = torch.from_numpy(self.owner)
        empty = torch.zeros(len(self.units), dtype=torch.float64)
        return empty.index_add(0, owner, of_pairs) / torch.bincount(owner, minlength=len(empty))

    def _of_pairs(self, model: FittedRecommender) -> Tensor:
        """Signals of single pairs [p]."""
        rows, columns = self.pairs
        alive = model.data.users.alive
        found = torch.empty(len(rows), dtype=torch.float64)
        answers = Answers.of(model)
        gone, of_gone = self._forgotten_items(model)
        for here in (True, False):
            for users in chunks(np.unique(rows[alive[rows] == here]), model.data.n_items):
                scores = answers.scores(users) if here else model.fold_in(self._folded(users, model.data))
                if len(gone):
                    scores[:, gone] = of_gone[users].to(scores)
                places = np.flatnonzero(np.isin(rows, users))
                local = torch.from_numpy(np.searchsorted(users, rows[places]))
                found[torch.from_numpy(places)] = self._told(scores.double().cpu(), local, columns[places])
        return found

    def _forgotten_items(self, model: FittedRecommender) -> tuple[Rows, Tensor]:
        """Items [p] that are asked about and that the model does not hold, and their scores by folding in [n_users, p].

        None but where items are what is asked about: single interactions of an item that a model lacks are asked as
        they are.
        """
        asked = np.unique(self.pairs[1]) if self.unit == "item" else self.pairs[1][:0]
        gone = asked[~model.data.items.alive[asked]]
        scores = model.fold_in_items(csr_array(self.histories[:, gone].T)) if len(gone) else torch.empty(0)
        if scores is None:
            raise ValueError(
                f"`model` must fold in items to be asked about those that it forgot (got a {type(model).__name__})"
            )
        return gone, scores

    def _told(self, scores: Tensor, local: Tensor, columns: Rows) -> Tensor:
        """Of the scores [q, n_items] of some users: the signals of the pairs (local row, item)."""
        among = scores[:, torch.from_numpy(self.candidates)]
        asked = scores[local, torch.from_numpy(columns)]
        return asked - among.logsumexp(1)[local]

    def _folded(self, users: Rows, data: Interactions) -> csr_array:
        kept: csr_array = self.histories[users]
        kept.data = kept.data * data.items.alive[kept.indices]
        kept.eliminate_zeros()
        return kept


_UNITS: dict[str, Unit] = {"users": "user", "items": "item", "interactions": "interaction"}


def pair_examples(
    data: Interactions,
    test: Interactions,
    forget: ForgetSet,
    *,
    seed: int,
    most: int,
    unknown: ForgetSet | None = None,
) -> PairExamples:
    """At most `most` examples each of what `forget` names and of what stays, and held-out interactions of the same.

    Single interactions are examples of one pair, and so are at most `most` that are held out. A forgotten user, or
    item, is one example with half of the interactions, the other half being what is folded in, and one with all that is
    held out; users and items that stay are treated alike, and who has no interaction is not asked about. `unknown` are
    single interactions that form a group of their own: the part of a corruption that the request does not name.

    Raises:
        ValueError: the request names ties, or users, items and single interactions at once, or users or items none of
            which has an interaction.
    """
    kinds = [name for name in ("users", "items", "interactions", "ties", "records") if getattr(forget, name)]
    if len(kinds) != 1 or kinds[0] not in _UNITS:
        raise ValueError(
            "`forget` must name users, items or single interactions, one of them alone, for an audit by attacks "
            f"(got {' and '.join(kinds) or 'nothing'}); what is left of a tie, `unlearn evaluate` tells"
        )
    unit = _UNITS[kinds[0]]
    there = data.users.alive[test.user_rows()] & data.items.alive[test.item_rows()]
    test = test.take(np.flatnonzero(there))  # what was forgotten before is no yardstick
    if unit == "interaction":
        drawn = _single(data, test, forget, unknown, seed=seed, most=most)
    else:
        drawn = _whole(data, test, forget, unit, seed=seed, most=most)
    units = np.concatenate(list(drawn.chosen.values()))
    ends = np.cumsum([0, *(len(group) for group in drawn.chosen.values()), drawn.holders]).tolist()
    pairs = tuple(np.concatenate(side) for side in zip(drawn.asked, drawn.held_out, strict=True))
    return PairExamples(
        pairs=(pairs[0], pairs[1]),
        owner=np.concatenate([drawn.owner, len(units) + drawn.held_owner]),
        groups={name: slice(*ends[place : place + 2]) for place, name in enumerate([*drawn.chosen, "held_out"])},
        units=torch.from_numpy(np.concatenate([units, np.full(drawn.holders, -1)])),
        unit=unit,
        histories=csr_array(
            (np.ones(len(drawn.folded[0]), np.float32), drawn.folded), shape=(data.n_users, data.n_items)
        ),
        candidates=np.flatnonzero(data.items.alive),
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Units by group, and the pairs that are asked, folded in and held out, with the example that each belongs to."""

    chosen: dict[str, Rows]
    asked: Pairs
    owner: Rows
    folded: Pairs
    held_out: Pairs
    held_owner: Rows
    holders: int


def _single(
    data: Interactions, test: Interactions, forget: ForgetSet, unknown: ForgetSet | None, *, seed: int, most: int
) -> _Drawn:
    """Single interactions, and held-out ones of the same users."""
    rows, columns = data.user_rows(), data.item_rows()
    named, others = data.positions(forget), data.positions(unknown or ForgetSet())
    staying = np.setdiff1d(np.arange(len(data)), np.concatenate([named, others]))
    groups = {"forget": named, "retain": staying} | ({"unknown": others} if len(others) else {})
    keys = data.units("interaction").keys
    chosen = {name: _some(group, most, seed, keys[group]) for name, group in groups.items()}
    units = np.concatenate(list(chosen.values()))
    people = np.unique(rows[units])
    local, held_items = seen_items(test, people)
    held_rows = people[local]
    picked = _some(np.arange(len(held_rows)), most, seed, data.users.keys[held_rows], data.items.keys[held_items])
    return _Drawn(
        chosen=chosen,
        asked=(rows[units], columns[units]),
        owner=np.arange(len(units)),
        folded=(rows[:0], columns[:0]),
        held_out=(held_rows[picked], held_items[picked]),
        held_owner=np.arange(len(picked)),
        holders=len(picked),
    )


def _whole(data: Interactions, test: Interactions, forget: ForgetSet, unit: Unit, *, seed: int, most: int) -> _Drawn:
    """Whole users or whole items, and the held-out interactions of the same ones."""
    side, ids = (0, data.users) if unit == "user" else (1, data.items)
    present = np.unique((data.user_rows(), data.item_rows())[side])
    named = np.intersect1d(present, ids.rows(forget.users or forget.items))
    if not len(named):
        raise ValueError(f"`forget` must name {unit}s with interactions for an audit by attacks (got none)")
    groups = {"forget": named, "retain": np.setdiff1d(present, named)}
    chosen = {name: _some(group, most, seed, ids.keys[group]) for name, group in groups.items()}
    units = np.concatenate(list(chosen.values()))
    whole = tuple(ids.take(units))
    halves = split_history(data, ForgetSet(users=whole) if unit == "user" else ForgetSet(items=whole), seed=seed)
    held_out = test.user_rows(), test.item_rows()
    mine = np.isin(held_out[side], units)
    holders, held_owner = np.unique(held_out[side][mine], return_inverse=True)
    return _Drawn(
        chosen=chosen,
        asked=halves.asked,
        owner=_place(units, halves.asked[side]),
        folded=halves.folded,
        held_out=(held_out[0][mine], held_out[1][mine]),
        held_owner=held_owner,
        holders=len(holders),
    )


def _some(rows: Rows, most: int, seed: int, *keys: NDArray[np.uint64]) -> Rows:
    """At most `most` of the rows, each by its own keys, in ascending order."""
    return np.sort(rows[permutation(seed, "audit/examples", *keys)[:most]])


def _place(values: Rows, wanted: Rows) -> Rows:
    """Where in `values` [n], which are distinct, each of those wanted is."""
    order = np.argsort(values)
    return order[np.searchsorted(values, wanted, sorter=order)]
