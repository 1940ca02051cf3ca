"""Methods to compare, a tracker that remembers what it was told, and a table as text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from unlearn.audit import Comparison
from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner
from unlearn.problem import Problem

KEY = b"a key of these tests"


@dataclass(frozen=True)
class Prepared(Unlearner):
    """Takes fifty seconds to prepare, by its own account, and then drops the graph's edges."""

    name = "prepared"

    def prepare(self, problem: Problem) -> State | None:
        return State(payload=None, seconds=50.0, megabytes=3.0)

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return remaining, state


@dataclass(frozen=True)
class Diverging(Unlearner):
    """Ends where no number is."""

    name = "diverging"

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return remaining.with_params({name: value * torch.nan for name, value in problem.params.items()}), state


class Memory:
    """A tracker that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    @contextlib.contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None, nested: bool = False) -> Iterator[Memory]:
        self.told.append((name, {"tags": tags, "nested": nested}))
        yield self

    def params(self, values: Mapping[str, object]) -> None:
        self.told[-1][1]["params"] = dict(values)

    def metrics(self, values: Mapping[str, float | None], *, step: int | None = None) -> None:
        self.told[-1][1]["metrics"] = dict(values)

    def artifact(self, name: str, content: object) -> None:
        self.told[-1][1][name] = content

    def dataset(self, name: str, *, digest: str, counts: Mapping[str, int], context: str) -> None:
        self.told[-1][1][f"dataset {name}"] = (digest, dict(counts))


def render(comparison: Comparison, width: int = 240, *, spread: bool = True) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(comparison.table(spread=spread))
    return captured.get()
