"""What training minimises: a loss over final embeddings and the interactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from unlearn.params import Params
from unlearn.registry import Registry


@dataclass(frozen=True)
class Objective(ABC):
    """A sum over interactions, a term of all pairs, and L2: never a mean, so its scale stays when records leave.

    Where the graph carries weights [e], every interaction's loss is multiplied by its own.
    """

    name: ClassVar[str]
    row_parameters: ClassVar[frozenset[str]] = frozenset()  # of those it brings, the ones with one row a node
    # Whose rows are zero at the optimum, in a linear model, where no edge reaches them; sampled training stops short.
    at_rest: ClassVar[frozenset[Literal["user", "item"]]] = frozenset()
    l2: float  # penalty l2 * |table|^2

    def initial(self, graph: BipartiteGraph, seed: int, *, std: float = 0.1) -> Params:
        """Initial values of the parameters that the objective brings beside the model's; most bring none."""
        return {}

    def bound(self, params: Mapping[str, Tensor]) -> Self:
        """This objective at these parameters; itself, where it brings none."""
        return self

    def reseeded(self, by: int) -> Self:
        """This objective with the seed of its own draws moved on by `by`; itself, where it draws nothing."""
        return self

    def counted(self, graph: BipartiteGraph) -> Self:
        """This objective with what it counts in the data taken from that graph for good; itself, where it does not."""
        return self

    @abstractmethod
    def record_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor | None = None
    ) -> Tensor:
        """Losses [r] of the given interactions (all if None), for embeddings [n_users, d] and [n_items, d]."""

    def background(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> Tensor:
        """The part that belongs to no interaction, a scalar."""
        return users.new_zeros(())

    def penalty(self, params: Mapping[str, Tensor]) -> Tensor:
        return self.l2 * torch.stack([value.square().sum() for value in params.values()]).sum()

    def value_and_gradient(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> tuple[float, Tensor, Tensor]:
        """Loss without the penalty and its gradients [n_users, d], [n_items, d]."""
        users, items = users.detach().requires_grad_(), items.detach().requires_grad_()
        value = self.record_losses(users, items, graph).sum() + self.background(users, items, graph)
        of_users, of_items = torch.autograd.grad(value, [users, items])
        return float(value.detach()), of_users, of_items

    def arguments(self) -> dict[str, Any]:
        """Its hyper-parameters: the fields that compare, of which what `bound` and `counted` set is none."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}


@dataclass(frozen=True)
class SampledObjective(Objective):
    """An objective with random negatives, for the stochastic trainer.

    As a deterministic function (`record_losses`) it uses the negatives of epoch 0, which training never draws.
    """

    seed: int = 0

    def reseeded(self, by: int) -> Self:
        return replace(self, seed=self.seed + by)

    @abstractmethod
    def sampled_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> Tensor:
        """Losses [r] of the given interactions against the negatives of that epoch and batch."""

    def record_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor | None = None
    ) -> Tensor:
        chosen = torch.arange(graph.n_edges, device=users.device) if records is None else records
        losses = self.sampled_losses(users, items, graph, chosen, epoch=0, batch=0)
        return losses if graph.weights is None else losses * graph.weights[chosen]


_OBJECTIVES = Registry(Objective, "objective")
register, registered = _OBJECTIVES.register, _OBJECTIVES.kinds


def objective(name: str, /, **arguments: Any) -> Objective:
    """The objective of that name with these hyper-parameters: `objective("multinomial", l2=2.0)`.

    `registered()` has the class of each, whose docstring says what it is and takes.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _OBJECTIVES.make(name, **arguments)
