"""One model of a pool: found in the store, or trained and put there. This is what runs in a worker process."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from unlearn.audit.pool.plan import Plan
from unlearn.audit.pool.store import Store, Stored
from unlearn.devices import elapsed
from unlearn.digests import digest
from unlearn.forget import ForgetSet
from unlearn.interruption import whole_or_not_at_all
from unlearn.memory import peak_bytes
from unlearn.problem import Problem


@dataclass(frozen=True)
class Trainer:
    """All that it takes to come by model `j`, wherever that happens."""

    problem: Problem
    plan: Plan
    store: Store
    identity: str | None

    def untrained(self, j: int) -> Problem:
        """Model `j` before its training: its own remaining data and seed."""
        left_out = self.problem.units(self.plan.unit).forget_set((~self.plan.member[j]).nonzero().flatten().numpy())
        remaining = self.problem.without(left_out)
        return remaining.with_options(replace(remaining.options, seed=self.plan.seeds[j]))

    def address(self, untrained: Problem) -> str:
        """What names the model: the digest of all that its training depends on."""
        if self.identity is None:
            return digest(untrained.digest())
        keys = untrained.units(self.plan.unit).keys
        return digest(self.identity, self.plan.unit, np.sort(keys[keys != 0]), untrained.options)

    def model(self, j: int) -> Problem:
        """Model `j` as training left it: found, or trained and stored."""
        untrained = self.untrained(j)
        address = self.address(untrained)
        device = next(iter(untrained.params.values())).device
        stored = self.store.load(address, device, untrained.history.hooks)
        if stored is not None:
            settled = untrained.with_options(replace(untrained.options, **stored.options))
            return settled.with_params(stored.params, history=stored.history)
        started = time.perf_counter()
        with _one_thread(), whole_or_not_at_all():
            trained = untrained.fit()
        seconds = elapsed(started)
        settled = _settled(untrained.options, trained.options)
        self.store.save(address, Stored(trained.params, trained.history, settled, seconds, peak_bytes()))
        return trained

    def train(self, j: int) -> None:
        """See to it that model `j` is in the store."""
        self.model(j)

    def stored(self, j: int) -> Stored | None:
        """What is in the store of model `j`."""
        return self.store.load(self.address(self.untrained(j)))

    def address_without(self, j: int, forget: ForgetSet) -> str | None:
        """The name of model `j` if nothing of `forget` is in its data, None otherwise."""
        untrained = self.untrained(j)
        return None if untrained.resolve(forget, unknown="skip") else self.address(untrained)


def _settled(asked: Any, settled: Any) -> dict[str, Any]:
    """Options that training has fixed."""
    return {
        one.name: value for one in fields(asked) if (value := getattr(settled, one.name)) != getattr(asked, one.name)
    }


@contextmanager
def _one_thread() -> Generator[None]:
    """Every core has a model of its own, and sums are the same whichever process takes them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
