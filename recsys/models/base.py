"""What a recommender model is: a torch module that embeds users and items; no data, no training inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call  # pyright: ignore[reportUnknownVariableType]

from recsys.data.interactions import Interactions
from recsys.graph import BipartiteGraph
from unlearn.invalid import Rules, require
from unlearn.memory import require_memory
from unlearn.params import Params
from unlearn.registry import Registry, arguments
from unlearn.streams import normals

DIM = 192  # wide enough for the optimum of `whole_data` to have room in it: a table below its rank has no proven bound


class Recommender(nn.Module, ABC):
    """Scores are dot products of final embeddings.

    `table` [n_users + n_items, dim] holds the layer-0 embeddings, users first.

    A subclass sets `name` and implements `forward`. Where its constructor takes more than sizes and `dim`, `arguments`
    returns that, too; what it sets before it calls the base's is held to its kind (`unlearn.invalid.require`). Where it
    has parameters beside the table, `initial` draws them, keyed by the seed. It runs in evaluation mode; what is drawn
    anew in every step belongs in `training_pass`. `register` makes it findable by name, without which it cannot be
    loaded from where it is stored.
    """

    name: ClassVar[str]
    row_parameters: ClassVar[frozenset[str]] = frozenset({"table"})  # those with one row a node; others are shared
    uses_ties: ClassVar[bool] = False  # whether users pass messages to those whom they are tied to
    table: nn.Parameter

    def __init__(self, n_users: int, n_items: int, *, dim: int = DIM) -> None:
        self.dim = dim
        require(self, **self._rules())
        super().__init__()
        table = f"the table of `{type(self).__name__}`, {n_users + n_items:,} rows of {dim:,} numbers,"
        require_memory(4 * (n_users + n_items) * dim, table, "choose a smaller `dim`")
        self.n_users, self.n_items = n_users, n_items
        self.table = nn.Parameter(torch.zeros(n_users + n_items, dim))

    def _rules(self) -> Rules:
        """What arguments must be, as far as their kinds do not say so."""
        return {"dim": ("a positive integer", self.dim >= 1)}

    def message_graph(self, data: Interactions, *, dtype: torch.dtype, device: torch.device | str) -> BipartiteGraph:
        """The graph of these data over which this model passes messages.

        Raises:
            ValueError: the data lack what the model needs.
        """
        return BipartiteGraph.from_interactions(data, dtype=dtype, device=device)

    @abstractmethod
    def forward(self, graph: BipartiteGraph) -> Tensor:
        """Final embeddings [n_users + n_items, d], users first."""

    def training_pass(
        self, params: Params, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> tuple[Tensor, Tensor | None]:
        """What a step of training needs, differentiable in `params`.

        Final embeddings [n_users + n_items, d] as training sees them, and the loss [r] that the model itself adds to
        each of the interactions `records`; None where it adds none. Draws are those of that epoch and batch; as a
        deterministic function it is asked for epoch 0, whose draws training never sees.
        """
        return functional_call(self, params, (graph,)), None

    def reseeded(self, by: int) -> Self:
        """This model with the seed of its own draws moved on by `by`; itself, where it draws nothing."""
        return self

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given beside the sizes: an attribute for each argument with a default."""
        return {name: getattr(self, name) for name in arguments(type(self))}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())

    def initial(self, graph: BipartiteGraph, seed: int, *, std: float = 0.1) -> Params:
        """Initial parameters N(0, std^2), each row keyed by its own external id: see `unlearn.streams`."""
        columns = np.arange(self.dim)[None, :]
        rows = [
            normals(seed, f"rows/{kind}", keys[:, None], columns)
            for kind, keys in (("users", graph.user_keys), ("items", graph.item_keys))
        ]
        table = torch.from_numpy(np.concatenate(rows) * std).to(graph.values)
        table[np.concatenate([graph.user_keys, graph.item_keys]) == 0] = 0.0  # forgotten rows stay empty
        return {"table": table}


class LinearRecommender(Recommender):
    """A model whose final embeddings are M table, with a symmetric M that depends on the graph alone."""

    @abstractmethod
    def propagate(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        """M x for x [n_users + n_items, k]."""

    @abstractmethod
    def polynomial(self) -> tuple[float, ...]:
        """Coefficients c of M = sum_l c_l A^l."""

    def forward(self, graph: BipartiteGraph) -> Tensor:
        return self.propagate(graph, self.table)


_MODELS = Registry(Recommender, "model")
register, registered = _MODELS.register, _MODELS.kinds


def build(name: str, n_users: int, n_items: int, **arguments: Any) -> Recommender:
    """The model of that name.

    Raises:
        ValueError: there is no such model; the message lists those there are.
    """
    return _MODELS.make(name, n_users, n_items, **arguments)
