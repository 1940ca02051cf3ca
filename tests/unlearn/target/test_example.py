"""The smallest target keeps the contract."""

from __future__ import annotations

from pathlib import Path

from tests.unlearn.target.contract import TargetContract
from tests.unlearn.target.example import KIND, Purchases, target
from tests.unlearn.target.people import PEOPLE, ROWS
from unlearn.target import Pseudonyms, Subject, Target

KEY = bytes(range(32))


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
