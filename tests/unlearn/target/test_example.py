"""The smallest target keeps the contract."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np

from tests.unlearn.target.contract import TargetContract
from tests.unlearn.target.example import KIND, Purchases, target
from unlearn.target import Pseudonyms, Subject, Target

KEY = bytes(range(32))
PEOPLE = tuple(uuid.UUID(bytes=np.random.default_rng(5).bytes(16 * (k + 1))[-16:]).hex for k in range(6))
ROWS = [(person, f"thing {(3 * k + step) % 4}") for k, person in enumerate(PEOPLE) for step in range(3)]


class TestPurchases(TargetContract):
    def create(self, folder: Path) -> None:
        Purchases.create(folder, ROWS)

    def open(self, folder: Path) -> Purchases:
        return target({"folder": str(folder)}, Pseudonyms(KEY))

    def people(self) -> tuple[Subject, ...]:
        return tuple(Subject(KIND, person) for person in PEOPLE[:4])

    def published(self, folder: Path) -> str:
        return self.open(folder)._read("published.json")["digest"]

    def answers_to(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, Purchases)
        return bool(target.bought_by(subject.value))

    def takes_in(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, Purchases)
        return target.buy(subject.value, "thing 0")

    def test_what_is_left_is_counted_as_if_nobody_else_had_ever_been_there(self, folder: Path) -> None:
        self.serve(folder, self.batch(0, 3))
        kept = [(person, thing) for person, thing in ROWS if person not in (PEOPLE[0], PEOPLE[3])]
        assert self.open(folder).counts() == {
            thing: sum(one == thing for _, one in kept) for thing in sorted({thing for _, thing in kept})
        }
