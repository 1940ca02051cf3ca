"""One shard: a recommender of its own that knows only who occurs in its share of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from recsys.data.interactions import Interactions
from recsys.data.ties import Ties
from recsys.models.base import Recommender
from recsys.objectives import Objective
from recsys.problem import RecommenderProblem
from recsys.ranking import Rows
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.history import History, TrainingHook
from unlearn.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Share:
    """A share of the interactions over rows of its own: row r of its users is row `users[r]` of the whole data.

    Who has no interaction in it does not occur in it, not even as an empty row: tables, random draws and the length of
    a training step depend on the share alone.
    """

    users: Rows
    items: Rows
    data: Interactions

    @classmethod
    def cut(cls, whole: Interactions, positions: Rows, *, ties: bool = False) -> Share:
        """The interactions at these ascending positions of the whole data; with `ties`, those between their users."""
        users, rows = np.unique(whole.user_rows()[positions], return_inverse=True)
        items, columns = np.unique(whole.item_rows()[positions], return_inverse=True)
        data = Interactions(
            users=Vocabulary(whole.users.ids[users]),
            items=Vocabulary(whole.items.ids[items]),
            indptr=np.searchsorted(rows, np.arange(len(users) + 1)),
            indices=columns.astype(np.int64),
            weight=None if whole.weight is None else whole.weight[positions],
            time=None if whole.time is None else whole.time[positions],
            ties=_between(whole.ties, users) if ties else None,
        )
        return cls(users, items, data)


@dataclass(frozen=True, eq=False)
class ShardTrainer:
    """How every shard is trained."""

    model: type[Recommender]
    arguments: dict[str, Any]
    objective: Objective
    options: TrainingOptions
    dtype: torch.dtype
    device: torch.device
    hooks: tuple[TrainingHook, ...]

    @classmethod
    def of(cls, problem: RecommenderProblem) -> ShardTrainer:
        """Everything about a problem but its data and what it learned; a shard counts its own batches."""
        values = problem.graph.values
        return cls(
            model=type(problem.model),
            arguments=problem.model.arguments(),
            objective=problem.objective_function,
            options=replace(problem.options, batches=None),
            dtype=values.dtype,
            device=values.device,
            hooks=problem.history.hooks,
        )

    def under(self, options: TrainingOptions) -> ShardTrainer:
        """The same by other options; another seed means other draws of the model and of the objective, too."""
        by = options.seed - self.options.seed
        moved = self.model(1, 1, **self.arguments).reseeded(by)
        return replace(self, options=options, arguments=moved.arguments(), objective=self.objective.reseeded(by))

    def train(self, data: Interactions) -> RecommenderProblem:
        """A model of these interactions, from the start."""
        problem = RecommenderProblem.build(
            data,
            model=self.model(data.n_users, data.n_items, **self.arguments),
            objective=self.objective,
            options=self.options,
            dtype=self.dtype,
            device=self.device,
        )
        return problem.with_params(problem.params, history=History(hooks=self.hooks)).fit()


@dataclass(frozen=True, eq=False)
class Shard:
    """The model of one share, which is never empty. `trained_on` is the digest of the data behind its parameters."""

    users: Rows
    items: Rows
    problem: RecommenderProblem
    trained_on: str

    def without(self, forget: ForgetSet) -> Shard:
        """The same parameters over what remains of the share."""
        return replace(self, problem=self.problem.without(forget))


def _between(ties: Ties | None, users: Rows) -> Ties | None:
    """The ties that have both ends among the rows `users`, which are ascending, by their places there."""
    return None if ties is None else np.searchsorted(users, ties[np.isin(ties, users).all(axis=1)])
