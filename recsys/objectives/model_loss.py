"""What a model is trained to minimise, as a function of its parameters: the objective and what the model adds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportUnknownVariableType]

from recsys.graph import BipartiteGraph
from recsys.models.base import LinearRecommender, Recommender
from recsys.objectives.base import Objective, SampledObjective
from recsys.objectives.whole_data import WholeData
from unlearn.params import Params, value_and_gradient


@dataclass(frozen=True, eq=False)
class ModelLoss:
    """value(params) = sum of record_losses(params) + background(params) + penalty: deterministic.

    Everything random is drawn as in epoch 0, which training never is in: a sampled objective's negatives, a
    contrastive model's views. So the losses of some records are those records' part of the losses of all.
    """

    model: Recommender
    objective: Objective
    graph: BipartiteGraph

    def initial(self, seed: int, *, std: float) -> Params:
        """Initial parameters of the model, and of the objective where it brings some.

        Raises:
            ValueError: the model has parameters of which it does not say how they begin.
        """
        of_model = self.model.initial(self.graph, seed, std=std)
        if missing := [name for name, _ in self.model.named_parameters() if name not in of_model]:
            raise ValueError(
                f"`{type(self.model).__name__}.initial` must draw every parameter, for what it does not return is "
                f"neither trained nor stored (got none for {', '.join(missing)})"
            )
        return of_model | self.objective.initial(self.graph, seed, std=std)

    @property
    def row_parameters(self) -> frozenset[str]:
        """Names of the parameters with one row a node, users first."""
        return self.model.row_parameters | self.objective.row_parameters

    @property
    def idle_nodes(self) -> Tensor:
        """Rows [k] of the table whose optimum is zero, whatever the others are.

        Those of the forgotten, and in a linear model those that no edge reaches, as far as the objective knows.
        """
        graph = self.graph
        if not isinstance(self.model, LinearRecommender):
            return graph.forgotten_nodes
        idle = graph.degrees() == 0
        idle[: graph.n_users] &= "user" in self.objective.at_rest
        idle[graph.n_users :] &= "item" in self.objective.at_rest
        return idle.index_fill_(0, graph.forgotten_nodes, True).nonzero().flatten()

    def embed(self, params: Params) -> tuple[Tensor, Tensor]:
        """Final embeddings [n_users, d] and [n_items, d] as answers have them, differentiable in `params`."""
        final: Tensor = functional_call(self.model, params, (self.graph,))
        return final[: self.graph.n_users], final[self.graph.n_users :]

    def record_losses(self, params: Params, records: Tensor | None = None) -> Tensor:
        """Losses [r] of the given interactions (all if None)."""
        users, items, own = self._in_training(params, self._all() if records is None else records)
        return self.objective.bound(params).record_losses(users, items, self.graph, records) + own

    def background(self, params: Params) -> Tensor:
        users, items, _ = self._in_training(params, self._all()[:0])
        return self.objective.bound(params).background(users, items, self.graph)

    def value(self, params: Params) -> Tensor:
        users, items, own = self._in_training(params, self._all())
        function = self.objective.bound(params)
        losses = function.record_losses(users, items, self.graph).sum() + own.sum()
        return losses + function.background(users, items, self.graph) + function.penalty(params)

    def value_and_gradient(self, params: Params) -> tuple[float, Params]:
        if self.objective.bound(params) is not self.objective:  # some parameters act beside the embeddings
            return value_and_gradient(self.value, params)
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        users, items, own = self._in_training(leaves, self._all())
        value, of_users, of_items = self.objective.value_and_gradient(users.detach(), items.detach(), self.graph)
        rest = self.objective.penalty(leaves) + own.sum()
        gradients = torch.autograd.grad(
            [users, items, rest], list(leaves.values()), [of_users, of_items, torch.ones_like(rest)]
        )
        return value + float(rest.detach()), dict(zip(leaves, gradients, strict=True))

    def sampled_losses(self, params: Params, records: Tensor, *, epoch: int, batch: int) -> Tensor:
        """Losses [r] of the given interactions in a step of stochastic training, with the draws of that step."""
        users, items, own = self._in_training(params, records, epoch=epoch, batch=batch)
        function, graph = self.objective.bound(params), self.graph
        assert isinstance(function, SampledObjective)
        losses = function.sampled_losses(users, items, graph, records, epoch=epoch, batch=batch)
        return (losses if graph.weights is None else losses * graph.weights[records]) + own

    def _in_training(
        self, params: Params, records: Tensor, *, epoch: int = 0, batch: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of users and items as training sees them, and the model's own losses [r] of the records."""
        final, own = self.model.training_pass(params, self.graph, records, epoch=epoch, batch=batch)
        if own is None:
            own = final.new_zeros(len(records))
        elif self.graph.weights is not None:
            own = own * self.graph.weights[records]
        return final[: self.graph.n_users], final[self.graph.n_users :], own

    def _all(self) -> Tensor:
        return torch.arange(self.graph.n_edges, device=self.graph.rows.device)


@dataclass(frozen=True, eq=False)
class WholeDataLoss(ModelLoss):
    """That of `whole_data` on a linear model, of which derivatives, a line search and a bound have closed forms."""

    model: LinearRecommender
    objective: WholeData


def model_loss(model: Recommender, objective: Objective, graph: BipartiteGraph) -> ModelLoss:
    """The loss of this model under this objective, of the kind of which most is known."""
    if isinstance(model, LinearRecommender) and isinstance(objective, WholeData):
        return WholeDataLoss(model, objective, graph)
    return ModelLoss(model, objective, graph)
