"""What every maximiser is: a method by name with its arguments, and the seeds that it answers with."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from graph_influence.diffusion import Model
from graph_influence.errors import InvalidGraph, InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.evaluation import evaluated
from graph_influence.rrsets import Spread
from unlearn.forget import Id
from unlearn.invalid import Problems
from unlearn.registry import Registry, hyper_parameters


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a method has found: rows in the order picked, and what it knows about them by its own sampling.

    ratio: proven share of the best spread; None where the method proves nothing. sets: how many were drawn. spread:
    estimated on sets that had no part in the choice; None where there were none.
    """

    rows: NDArray[np.int32]
    ratio: float | None = None
    sets: int = 0
    spread: Spread | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Seeds:
    """People to start from, in the order in which they were picked, and how far that reaches.

    spread is estimated on reverse-reachable sets that had no part in the choice. ratio: the spread is at least this
    share of the best that `k` people can have, with probability 1 - delta of the method; None where nothing is proven.
    sets: drawn for choosing and proving, not for an estimate of the spread alone; seconds: wall time of all.
    """

    nodes: tuple[Id, ...]
    spread: Spread
    ratio: float | None
    sets: int
    seconds: float
    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Maximizer(ABC):
    """A method of selecting seeds; a subclass is a frozen dataclass of its arguments and implements `_choose`.

    model: "ic", independent cascade, or "lt", linear threshold: by which the spread is estimated, and by which seeds
    are chosen where the method simulates. seed: of everything random; the same seed gives the same seeds, on any number
    of threads.
    """

    name: ClassVar[str]

    model: Model = "ic"
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        return hyper_parameters(self)

    def maximize(self, graph: SocialGraph, k: int) -> Seeds:
        """`k` different people who are there, for a large expected spread.

        Raises:
            InvalidRequest: listing every problem: `k` is not from 1 to the number of people who are there, in-weights
                of somebody sum to more than 1 under "lt", an argument of the method is out of its range.
        """
        self.check(graph, k)
        began = time.perf_counter()
        choice = self._choose(graph, k)
        spread = evaluated(graph, choice.rows, self.model, self.seed) if choice.spread is None else choice.spread
        return Seeds(
            nodes=tuple(graph.nodes.take(choice.rows)),
            spread=spread,
            ratio=choice.ratio,
            sets=choice.sets,
            seconds=time.perf_counter() - began,
            method=self.name,
            arguments=self.arguments() | {"k": k},
        )

    def check(self, graph: SocialGraph, k: int) -> None:
        """Raises: InvalidRequest, as `maximize` does; nothing has been computed then."""
        problems = Problems("these arguments", InvalidRequest)
        check_model(problems, graph, self.model)
        if not 1 <= k <= graph.num_alive:
            problems.add(f"`k` must be from 1 to the {graph.num_alive} people who are there (got {k}); ask for fewer")
        problems.found.extend(self._wrong())
        problems.raise_any()

    def _wrong(self) -> list[str]:
        """What is wrong with the arguments of the method."""
        return []

    @abstractmethod
    def _choose(self, graph: SocialGraph, k: int) -> Choice: ...


_MAXIMIZERS = Registry(
    Maximizer,
    "method of selecting seeds",
    # Its module imports torch, which takes longer than to select seeds without it.
    on_demand=dict.fromkeys(("gradient_greedy", "gradient_relaxed"), "graph_influence.maximize.gradient"),
)
register, maximizers = _MAXIMIZERS.register, _MAXIMIZERS.names


def maximizer(name: str, /, **arguments: Any) -> Maximizer:
    """The method of choosing seeds of that name with these arguments: `maximizer("imm", eps=0.2)`.

    `maximizers()` lists the names; what one does and takes is in its class's docstring, `help(type(maximizer(name)))`.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _MAXIMIZERS.make(name, **arguments)


def maximize(graph: SocialGraph, k: int, method: str = "opim", **arguments: Any) -> Seeds:
    """`k` people whose expected spread is large: `maximizer(method, **arguments).maximize(graph, k)`."""
    return maximizer(method, **arguments).maximize(graph, k)


def check_model(problems: Problems, graph: SocialGraph, model: Model) -> None:
    """Adds what keeps a graph from being read as one of this model."""
    if model not in get_args(Model):
        problems.add(f"`model` must be one of {', '.join(get_args(Model))} (got {model!r})")
    elif model == "lt":
        try:
            graph.require_weights()
        except InvalidGraph as error:
            problems.found.extend(error.problems)


def ranked(graph: SocialGraph) -> NDArray[np.int32]:
    """Rows of the people who are there, by descending number of arcs that leave them, then by row."""
    order = np.argsort(-graph.out_degree(), kind="stable")
    return order[graph.nodes.alive[order]].astype(np.int32)
