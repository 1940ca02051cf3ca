"""What every minimiser is: a method by name with its arguments, and what it answers to take away."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from graph_influence.diffusion import Model
from graph_influence.errors import InvalidBlocking
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import check_model
from graph_influence.outbreak import Outbreak, Unit
from graph_influence.seeds import seed_rows
from unlearn.forget import ForgetSet, Id
from unlearn.invalid import Problems
from unlearn.registry import Registry, hyper_parameters


@dataclass(frozen=True, slots=True, eq=False)
class Blocked:
    """What to take away, in the order chosen: `arcs` by their ends, or `nodes`; the other is empty.

    units int64 [budget]: the same as ids of arcs or rows of nodes. seconds: wall time of the choice.
    """

    arcs: tuple[tuple[Id, Id], ...]
    nodes: tuple[Id, ...]
    units: NDArray[np.int64]
    seconds: float
    method: str
    arguments: dict[str, Any]

    @property
    def removal(self) -> ForgetSet:
        """What `SocialGraph.without` takes to make the graph that is left."""
        return ForgetSet(users=self.nodes, ties=self.arcs)


@dataclass(frozen=True, kw_only=True)
class Minimizer(ABC):
    """A method of containing a rumour; a subclass is a frozen dataclass of its arguments and implements `_choose`.

    model: "ic", independent cascade, or "lt", linear threshold. unit: "arcs" are removed, or "nodes" blocked; a method
    names in `units` which it can. seed: of everything random; the same seed gives the same choice, on any number of
    threads.
    """

    name: ClassVar[str]
    units: ClassVar[tuple[Unit, ...]] = get_args(Unit)

    model: Model = "ic"
    unit: Unit = "arcs"
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        return hyper_parameters(self)

    def minimize(self, graph: SocialGraph, seeds: Iterable[Id], budget: int) -> Blocked:
        """`budget` arcs or nodes without which few are reached from the seeds.

        Raises:
            UnknownIds: a seed is not in the graph.
            InvalidSeeds: a seed occurs twice, or there are more than nodes.
            InvalidBlocking: listing every problem: there are no seeds, not that much can be taken away, the method
                takes no such unit, in-weights of somebody sum to more than 1 under "lt", an argument is out of range.
        """
        rows = seed_rows(graph, seeds)
        outbreak = Outbreak(graph, rows, self.unit, self.model)
        self.check(outbreak, budget)
        began = time.perf_counter()
        chosen = np.array(self._choose(outbreak, budget), dtype=np.int64)
        seconds = time.perf_counter() - began
        arguments = self.arguments() | {"budget": budget}
        if self.unit == "nodes":
            return Blocked((), tuple(graph.nodes.take(chosen)), chosen, seconds, self.name, arguments)
        return Blocked(graph.pairs(chosen), (), chosen, seconds, self.name, arguments)

    def choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        """`budget` different removable units of the outbreak.

        Raises:
            InvalidBlocking: as `check`.
        """
        self.check(outbreak, budget)
        return self._choose(outbreak, budget)

    def check(self, outbreak: Outbreak, budget: int) -> None:
        """Raises: InvalidBlocking, as `minimize` does, or the outbreak is of another unit or model than the method."""
        problems = Problems("these arguments", InvalidBlocking)
        if not len(outbreak.seeds):
            problems.add("there must be at least one seed (got none); name where the rumour starts")
        if self.unit not in self.units:
            problems.add(f"`unit` must be {' or '.join(self.units)} for `{self.name}` (got {self.unit!r})")
        elif outbreak.unit != self.unit:
            problems.add(f"the outbreak must be one of {self.unit}, as the method is (got one of {outbreak.unit})")
        elif not (there := int(outbreak.removable.sum())):
            problems.add(f"there must be {self.unit} that can be taken away (got none); take another graph or unit")
        elif not 1 <= budget <= there:
            problems.add(f"`budget` must be from 1 to the {there} {self.unit} that can be taken away (got {budget})")
        if self.model in get_args(Model) and outbreak.model != self.model:
            problems.add(f"the outbreak must be of the model {self.model!r}, as the method is (got {outbreak.model!r})")
        else:
            check_model(problems, outbreak.graph, self.model)
        problems.found.extend(self._wrong())
        problems.raise_any()

    @abstractmethod
    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        """See `choose`; everything has been checked."""

    def _wrong(self) -> list[str]:
        """What is wrong with the arguments of the method."""
        return []


_MINIMIZERS = Registry(Minimizer, "method of containing a rumour")
register, minimizers = _MINIMIZERS.register, _MINIMIZERS.names


def minimizer(name: str, /, **arguments: Any) -> Minimizer:
    """The method of containing a rumour of that name with these arguments: `minimizer("mds", runs=1000)`.

    `minimizers()` lists the names; what one does and takes is in its class's docstring, `help(type(minimizer(name)))`.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _MINIMIZERS.make(name, **arguments)


def minimize(graph: SocialGraph, seeds: Iterable[Id], budget: int, method: str = "auto", **arguments: Any) -> Blocked:
    """What to take away so that seeds reach few: `minimizer(method, **arguments).minimize(graph, seeds, budget)`."""
    return minimizer(method, **arguments).minimize(graph, seeds, budget)
