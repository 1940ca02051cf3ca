"""What every surrogate is: a torch module that answers how probably each node becomes active, with gradients."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graph_influence.surrogate.tensors import TensorGraph
from unlearn.registry import Registry


class Surrogate(nn.Module, ABC):
    """A differentiable estimate of the spread under independent cascade ("ic") or linear threshold ("lt").

    A subclass sets `name` and implements `forward`; what it learns, if anything, are its parameters, so that one
    surrogate serves many graphs. The expected spread is linear in each arc probability by itself, in each arc's
    retention and in each node's susceptibility; hence the gradient in one of them times its value estimates by how much
    the spread drops without that arc or node, and is exact where the surrogate is.
    """

    name: ClassVar[str]

    def __init__(self, model: str = "ic") -> None:
        super().__init__()
        if model not in ("ic", "lt"):
            raise ValueError(f"`model` must be ic or lt for `{self.name}` (got {model!r})")
        self.model = model
        # Where it computes, also without parameters: `to` moves it.
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes: the device that a graph's tensors must be on."""
        return self.get_buffer("_anchor").device

    def arguments(self) -> dict[str, Any]:
        """What builds another of the same kind: an attribute for each argument of its constructor."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())

    @abstractmethod
    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        """How probably each node becomes active, [b, n].

        Args:
            seeds: how probably each node is active from the start, independently, [b, n]; 0 and 1 for a seed set.
            probability: of each arc, [m] or [b, m]; by default the graph's. An arc that is kept with probability r,
                independently, counts with r times its own.
            susceptible: how probably each node can be activated at all, [n] or [b, n]; by default 1. A blocked node
                has 0.
        """

    def spread(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        """Expected number of active nodes, seeds included, [b]; arguments as in `forward`."""
        return self(graph, seeds, probability, susceptible).sum(-1)


_SURROGATES = Registry(Surrogate, "surrogate")
register, surrogates = _SURROGATES.register, _SURROGATES.names


def surrogate(name: str, /, **arguments: Any) -> Surrogate:
    """The surrogate of that name with these arguments: `surrogate("mean_field", rounds=3)`.

    `surrogates()` lists the names; what one is and takes is in its class's docstring, `help(type(surrogate(name)))`.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _SURROGATES.make(name, **arguments)
