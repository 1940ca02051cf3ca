"""What every trained recommender gives, whatever is inside: an embedding model, a closed form, an ensemble."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ties import located
from recsys.ranking import chunks
from recsys.recommend import BaseRanker, Ranker, ScoreRanker
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted, Touched


class FittedRecommender(Fitted):
    """A recommender with the interactions it learned from.

    Its records are the interactions, in their canonical order. Users and items keep their rows when others are
    forgotten; what a row of a forgotten user or item scores means nothing.
    """

    data: Interactions

    @abstractmethod
    def scores(self, users: NDArray[np.int64]) -> Tensor:
        """Scores [q, n_items] of all items for the user rows [q], nothing masked.

        The tensor is the caller's own, to overwrite.
        """

    @abstractmethod
    def fold_in(self, histories: csr_array) -> Tensor:
        """Scores [q, n_items] of users that the model never saw, from their interactions [q, n_items] alone.

        The model stays as it is; in a model with a graph, those folded in together share it.
        """

    def fold_in_items(self, histories: csr_array) -> Tensor | None:
        """Scores [n_users, p] of items by their interactions [p, n_users] alone; None if a model has no such thing."""
        return None

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """User [n_users, d] and item [n_items, d] tables whose dot products are the scores, or None.

        None where there are none, or none small enough to form; whoever asks then goes through `scores`.
        """
        return None

    def ranker(self) -> BaseRanker:
        """What serving needs: tables and ids alone where there are tables, else the model with its interactions."""
        popularity = torch.from_numpy(self.data.degrees()[1])
        tables = self.factors()
        if tables is None:
            return ScoreRanker(self.scores, self.data.users, self.data.items, popularity)
        return Ranker(*tables, self.data.users, self.data.items, popularity)

    @property
    def n_records(self) -> int:
        return len(self.data)

    def classes_left(self) -> Tensor:
        """Item rows [k] that stand for something still: the others' columns of scores mean nothing."""
        return torch.from_numpy(np.flatnonzero(self.data.items.alive))

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        return self.data.resolve(forget, unknown=unknown)

    def records(self, forget: ForgetSet) -> Tensor:
        return torch.from_numpy(self.data.positions(forget))

    def outputs(self, queries: Tensor) -> Tensor:
        """Scores [q] of (user row, item row) pairs [q, 2]."""
        rows, columns = queries.cpu().numpy().T
        order = np.argsort(rows, kind="stable")
        parts = [order[:0]]
        found: list[Tensor] = []
        for part in chunks(order, self.data.n_items):
            users, place = np.unique(rows[part], return_inverse=True)
            found.append(self.scores(users)[place, columns[part]])
            parts.append(part)
        back = np.argsort(np.concatenate(parts), kind="stable")
        return torch.cat(found)[back] if found else torch.empty(0)

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        """User and item rows within that many hops of the forgotten interactions, and ties if the model uses them."""
        n_users = self.data.n_users
        layers = self._reached(forget, hops)
        return {
            "users": [torch.from_numpy(layer[layer < n_users]) for layer in layers],
            "items": [torch.from_numpy(layer[layer >= n_users] - n_users) for layer in layers],
        }

    def tied_users(self, data: Interactions) -> NDArray[np.int64]:
        """Pairs of user rows [t, 2] between which messages pass on these data; none, unless the model uses ties."""
        return np.empty((0, 2), dtype=np.int64)

    def message_edges(self) -> NDArray[np.int64]:
        """Pairs of nodes [m, 2], users first and then items, between which messages pass: interactions, then ties."""
        interactions = np.column_stack([self.data.user_rows(), self.data.item_rows() + self.data.n_users])
        return np.concatenate([interactions, self.tied_users(self.data)])

    def _cut(self, forget: ForgetSet, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Between which of the tied users [t, 2] no message passes once the forget set is gone."""
        if not len(pairs):
            return np.zeros(0, dtype=np.bool_)
        return located(self.tied_users(self.data.without(forget)), pairs, self.data.n_users) < 0

    def _reached(self, forget: ForgetSet, hops: int) -> list[NDArray[np.int64]]:
        """Nodes (users first, then items) at hop 0, 1, ... of the message graph from what is forgotten."""
        data, edges = self.data, self.message_edges()
        gone = np.zeros(len(edges), dtype=np.bool_)
        gone[data.positions(forget)] = True
        gone[len(data) :] = self._cut(forget, edges[len(data) :])
        reached = np.zeros(data.n_users + data.n_items, dtype=np.bool_)
        users = data.users.rows(forget.users, unknown="mark")
        items = data.items.rows(forget.items, unknown="mark")
        reached[users[users >= 0]] = True
        reached[items[items >= 0] + data.n_users] = True
        reached[edges[gone]] = True
        layers = [np.flatnonzero(reached)]
        for _ in range(hops):
            nearby = one_hop(edges, reached)
            layers.append(np.flatnonzero(nearby & ~reached))
            reached = nearby
        return layers


def one_hop(edges: NDArray[np.int64], reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask [n_nodes] of nodes that are reached, or at the other end of an edge [m, 2] of one that is."""
    nearby = reached.copy()
    first, second = edges.T
    nearby[first[reached[second]]] = True
    nearby[second[reached[first]]] = True
    return nearby
