"""A recommender with its data and objective, as the problem that unlearning methods work on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportUnknownVariableType]

from recsys.data.interactions import Interactions
from recsys.graph import BipartiteGraph
from recsys.landscape import WholeDataLandscape
from recsys.models.base import LinearRecommender, Recommender, build
from recsys.objectives import Objective, SampledObjective, WholeData
from recsys.recommend import Ranker
from recsys.train import Monitor, TrainingOptions, train
from unlearn.forget import ForgetSet
from unlearn.problem import Bound, History, Params, Problem, Touched, Unit
from unlearn.solvers.landscape import Landscape


@dataclass(frozen=True, eq=False)
class RecommenderProblem(Problem):
    """See `unlearn.problem.Problem`. Users and items keep their rows when others are forgotten."""

    data: Interactions
    model: Recommender
    objective_function: Objective
    graph: BipartiteGraph
    params: Params
    options: TrainingOptions = field(default_factory=TrainingOptions)
    history: History = field(default_factory=History)

    @classmethod
    def build(
        cls,
        data: Interactions,
        *,
        model: str | Recommender = "lightgcn",
        objective: Objective | None = None,
        options: TrainingOptions | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        **model_arguments: Any,
    ) -> RecommenderProblem:
        """An untrained problem with its initial parameters; call `fit` on it."""
        if isinstance(model, str):
            model = build(model, data.n_users, data.n_items, **model_arguments)
        graph = BipartiteGraph.from_interactions(data, dtype=dtype, device=device)
        options = options or TrainingOptions()
        params = model.initial(graph, options.seed, std=options.init_std)
        return cls(data, model.to(device), objective or WholeData(), graph, params, options)

    # ---- Fitted ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        init: Params | None = None,
        *,
        options: TrainingOptions | None = None,
        monitor: Monitor | None = None,
    ) -> RecommenderProblem:
        options = options or self.options
        if init is None:
            init = self.model.initial(self.graph, options.seed, std=options.init_std)
        return train(replace(self, options=options), init, options, monitor)

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        return self.data.resolve(forget, unknown=unknown)

    def without(self, forget: ForgetSet) -> RecommenderProblem:
        data = self.data.without(forget)
        values = self.graph.values
        graph = BipartiteGraph.from_interactions(data, dtype=values.dtype, device=values.device)
        return replace(self, data=data, graph=graph)

    def outputs(self, queries: Tensor) -> Tensor:
        users, items = self.readout()
        return (users[queries[:, 0]] * items[queries[:, 1]]).sum(1)

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        reached = np.zeros(self.graph.n_nodes, dtype=bool)
        users = self.data.users.rows(forget.users, unknown="mark")
        items = self.data.items.rows(forget.items, unknown="mark")
        reached[users[users >= 0]] = True
        reached[items[items >= 0] + self.data.n_users] = True
        rows, cols = self.data.user_rows(), self.data.item_rows() + self.data.n_users
        gone = self.data.positions(forget)
        reached[rows[gone]] = True
        reached[cols[gone]] = True
        layers = [np.flatnonzero(reached)]
        for _ in range(hops):
            nearby = reached.copy()
            nearby[rows[reached[cols]]] = True
            nearby[cols[reached[rows]]] = True
            layers.append(np.flatnonzero(nearby & ~reached))
            reached = nearby
        return {"table": [torch.from_numpy(layer) for layer in layers]}

    # ---- Problem -----------------------------------------------------------------------------------------------------

    @property
    def n_records(self) -> int:
        return len(self.data)

    def with_params(self, params: Params, *, history: History | None = None) -> RecommenderProblem:
        return replace(self, params=params, history=history or self.history)

    def embed(self, params: Params) -> tuple[Tensor, Tensor]:
        """Final embeddings [n_users, d] and [n_items, d], differentiable in `params`."""
        final: Tensor = functional_call(self.model, params, (self.graph,))
        return final[: self.graph.n_users], final[self.graph.n_users :]

    def readout(self) -> tuple[Tensor, Tensor]:
        """Final embeddings [n_users, d] and [n_items, d] whose dot products are the scores."""
        with torch.no_grad():
            return self.embed(self.params)

    def ranker(self) -> Ranker:
        """What serving needs: final embeddings and ids, no interactions."""
        users, items = self.readout()
        popularity = torch.from_numpy(self.data.degrees()[1])
        return Ranker(users, items, self.data.users, self.data.items, popularity)

    def record_losses(self, params: Params, records: Tensor | None = None) -> Tensor:
        return self.objective_function.record_losses(*self.embed(params), self.graph, records)

    def background(self, params: Params) -> Tensor:
        return self.objective_function.background(*self.embed(params), self.graph)

    def penalty(self, params: Params) -> Tensor:
        return self.objective_function.penalty(params)

    def objective(self, params: Params) -> Tensor:
        users, items = self.embed(params)
        function = self.objective_function
        losses = function.record_losses(users, items, self.graph).sum()
        return losses + function.background(users, items, self.graph) + function.penalty(params)

    def value_and_gradient(self, params: Params) -> tuple[float, Params]:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        users, items = self.embed(leaves)
        value, of_users, of_items = self.objective_function.value_and_gradient(
            users.detach(), items.detach(), self.graph
        )
        penalty = self.objective_function.penalty(leaves)
        gradients = torch.autograd.grad(
            [users, items, penalty], list(leaves.values()), [of_users, of_items, torch.ones_like(penalty)]
        )
        return value + float(penalty.detach()), dict(zip(leaves, gradients, strict=True))

    def landscape(self) -> Landscape:
        if isinstance(self.model, LinearRecommender) and isinstance(self.objective_function, WholeData):
            return WholeDataLandscape(self.model, self.objective_function, self.graph)
        return super().landscape()

    def records(self, forget: ForgetSet) -> Tensor:
        return torch.from_numpy(self.data.positions(forget)).to(self.graph.rows.device)

    def weighted(self, unit: Unit, weights: Tensor) -> RecommenderProblem:
        """Interactions, users or items weighted, on loss and message edge, degrees included (floored at 1e-6)."""
        graph = self.graph
        sizes = {"interaction": graph.n_edges, "user": graph.n_users, "item": graph.n_items}
        if unit not in sizes or weights.shape != (sizes[unit],):
            expected = ", ".join(f"({size},) for '{name}'" for name, size in sizes.items())
            raise ValueError(f"`weights` must have shape {expected} (got {tuple(weights.shape)} for '{unit}')")
        of_edges = {"interaction": weights, "user": weights, "item": weights}[unit]
        if unit != "interaction":
            of_edges = weights[graph.rows if unit == "user" else graph.cols]
        return replace(self, graph=graph.weighted(of_edges.to(graph.values.dtype)))

    def settled(self, forget: ForgetSet) -> Params:
        """Rows of forgotten users and items are zero: the optimum of a row that no record reaches.

        Call it on the remaining problem. The moments an optimiser kept are not parameters and are dropped with the
        history (`aged`).
        """
        gone = np.concatenate([self.graph.user_keys == 0, self.graph.item_keys == 0])
        rows = torch.from_numpy(np.flatnonzero(gone)).to(self.graph.rows.device)
        return {
            name: value.index_fill(0, rows, 0.0) if value.shape[:1] == (self.graph.n_nodes,) else value
            for name, value in self.params.items()
        }

    def optimality(self, *, probability: float = 0.99, seed: int = 0) -> Bound | None:
        if not (isinstance(self.model, LinearRecommender) and isinstance(self.objective_function, WholeData)):
            return None
        from recsys.optimality import bound

        return bound(self, probability=probability, seed=seed)

    @property
    def stochastic(self) -> bool:
        """Whether training samples, so that "the model without this user" is only defined up to coupling."""
        return isinstance(self.objective_function, SampledObjective)
