"""What every target must keep: a test class of a target inherits these tests and says how to make one.

Ids of people must be random 128-bit numbers in hexadecimal, so that a search of the files cannot find them by chance.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.oracles.traces import holders
from tests.unlearn.target.crashes import killed_at
from unlearn.target import Batch, Listing, StaleVersion, Subject, Target, Version

STRANGER = "0123456789abcdef0123456789abcdef"


class TargetContract(ABC):
    """The tests; `folder` holds everything that the target stores."""

    every_change = 1  # of the changes to files, each of how many the process is killed at

    @abstractmethod
    def create(self, folder: Path) -> None:
        """Store data and publish a version."""

    @abstractmethod
    def open(self, folder: Path) -> Target:
        """The target as a process that has just been started finds it."""

    @abstractmethod
    def people(self) -> tuple[Subject, ...]:
        """Four people that it holds."""

    @abstractmethod
    def published(self, folder: Path) -> str:
        """Digest of the published version."""

    @abstractmethod
    def answers_to(self, target: Target, subject: Subject) -> bool:
        """Whether the person gets an answer from it."""

    @abstractmethod
    def takes_in(self, target: Target, subject: Subject) -> bool:
        """Whether it takes in something new about the person; it is refused without an error."""

    def mentioned(self, folder: Path, subjects: Iterable[Subject]) -> set[str]:
        """Files in which the people's ids can be found."""
        return holders(folder, [subject.value for subject in subjects])

    # ---- helpers -----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        self.create(tmp_path / "target")
        return tmp_path / "target"

    def batch(self, *numbers: int, id: str = "b1") -> Batch:
        return Batch(id, tuple(self.people()[number] for number in numbers))

    def serve(
        self, folder: Path, batch: Batch, *, retrain: bool = False, log: Path | None = None, done: Iterable[str] = ()
    ) -> Version:
        """All steps that are not done, in a target opened anew; each is written to the log when it has ended."""
        target = self.open(folder)
        versions: list[Version] = []

        def version() -> Version:
            if not versions:  # as the ledger would know it; making it again gives the same
                versions.append(target.unlearn(batch, retrain=retrain))
            return versions[0]

        steps: dict[str, Callable[[], object]] = {
            "resolve": lambda: target.resolve(batch),
            "suppress": lambda: target.suppress(batch.subjects),
            "remove": lambda: target.remove(batch),
            "unlearn": version,
            "verify": lambda: target.verify(batch, version()),
            "publish": lambda: target.publish(batch, version()),
            "purge": lambda: target.purge(batch),
        }
        for name, step in steps.items():
            if name not in done:
                step()
                if log is not None:
                    with log.open("ab", buffering=0) as file:
                        file.write(f"{name}\n".encode())
        return versions[0] if versions else version()

    # ---- the tests ---------------------------------------------------------------------------------------------------

    def test_people_are_gone_after_purge_and_were_there_before(self, folder: Path) -> None:
        batch, target = self.batch(0, 1), self.open(folder)
        for subject in batch.subjects:
            assert self.mentioned(folder, [subject]) and self.answers_to(target, subject)
        assert any(target.resolve(batch).values())
        self.serve(folder, batch)
        assert self.mentioned(folder, batch.subjects) == set()
        after = self.open(folder)
        assert not any(self.answers_to(after, subject) for subject in batch.subjects)
        assert not any(after.resolve(batch).values())
        others = self.people()[2:]
        assert self.mentioned(folder, others) and all(self.answers_to(after, subject) for subject in others)

    def test_nobody_is_mentioned_between_remove_and_purge_but_in_the_published_version(self, folder: Path) -> None:
        batch = self.batch(0, 1)
        target = self.open(folder)
        target.suppress(batch.subjects)
        target.remove(batch)
        version = target.unlearn(batch, retrain=False)
        target.publish(batch, version)
        assert self.mentioned(folder, batch.subjects) == set()

    def test_every_step_can_be_repeated_by_another_process(self, folder: Path) -> None:
        batch = self.batch(0, 2)

        def twice(step: Callable[[Target], object]) -> object:
            first = step(self.open(folder))
            content = _content(folder)
            assert step(self.open(folder)) == first
            assert _content(folder) == content
            return first

        twice(lambda target: target.suppress(batch.subjects))
        twice(lambda target: target.remove(batch))
        version = twice(lambda target: _timeless(target.unlearn(batch, retrain=False)))
        assert isinstance(version, Version)
        twice(lambda target: target.verify(batch, version))
        twice(lambda target: target.publish(batch, version))
        twice(lambda target: target.purge(batch))

    def test_killed_at_any_change_it_goes_on_with_the_step_it_died_in(self, folder: Path, tmp_path: Path) -> None:
        batch = self.batch(0, 1)
        self.create(tmp_path / "whole")
        self.serve(tmp_path / "whole", batch)
        expected = self.published(tmp_path / "whole")
        kills = change = 0
        while True:
            there, log = tmp_path / f"killed{change}", tmp_path / f"log{change}"
            self.create(there)
            before = self.published(there)
            killed = killed_at(change, lambda there=there, log=log: self.serve(there, batch, log=log))
            done = log.read_text("utf-8").split() if log.exists() else []
            if "publish" not in done and (now := self.published(there)) != before:
                assert now == expected  # the step was done and not yet written down
            self.serve(there, batch, done=done)
            assert self.published(there) == expected
            assert self.mentioned(there, batch.subjects) == set()
            assert not any(self.answers_to(self.open(there), subject) for subject in batch.subjects)
            if not killed:
                break
            kills, change = kills + 1, change + self.every_change
        assert kills * self.every_change > 5

    def test_nothing_but_publish_changes_what_is_published(self, folder: Path) -> None:
        batch, target, before = self.batch(0), self.open(folder), self.published(folder)
        target.suppress(batch.subjects)
        target.remove(batch)
        version = target.unlearn(batch, retrain=False)
        assert version.replaces == before
        target.verify(batch, version)
        assert self.published(folder) == before
        target.publish(batch, version)
        assert self.published(folder) == version.digest != before
        target.purge(batch)
        assert self.published(folder) == version.digest

    def test_a_version_rolled_back_is_gone_and_a_retrain_takes_its_place(self, folder: Path) -> None:
        batch, target, before = self.batch(0), self.open(folder), self.published(folder)
        target.remove(batch)
        version = target.unlearn(batch, retrain=False)
        assert target.rollback(batch, version) == target.rollback(batch, version)
        assert self.published(folder) == before
        with pytest.raises(StaleVersion):
            target.publish(batch, version)
        second = target.unlearn(batch, retrain=True)
        assert second.method != version.method
        for step in (target.verify, target.publish):
            with pytest.raises(StaleVersion):
                step(batch, replace(second, digest="that of none"))
        assert target.verify(batch, second).passed
        target.publish(batch, second)
        assert self.published(folder) == second.digest

    def test_a_version_made_before_another_batch_was_removed_is_stale(self, folder: Path) -> None:
        first, second = self.batch(0, id="b1"), self.batch(1, id="b2")
        target, before = self.open(folder), self.published(folder)
        target.remove(first)
        version = target.unlearn(first, retrain=False)
        target.remove(second)
        for step in (target.verify, target.publish):
            with pytest.raises(StaleVersion):
                step(first, version)
        assert self.published(folder) == before
        target.rollback(first, version)
        for batch in (first, second):
            target.publish(batch, target.unlearn(batch, retrain=False))
            target.purge(batch)
        assert self.mentioned(folder, [*first.subjects, *second.subjects]) == set()

    def test_a_publication_that_died_does_not_undo_a_later_one(self, folder: Path, tmp_path: Path) -> None:
        first, second = self.batch(0, id="b1"), self.batch(1, id="b2")
        change, killed = 0, True
        while killed:
            there = tmp_path / f"died{change}"
            self.create(there)
            self.open(there).remove(first)
            version = self.open(there).unlearn(first, retrain=False)
            killed = killed_at(change, lambda there=there, version=version: self.open(there).publish(first, version))
            self.serve(there, second)
            after, target = self.published(there), self.open(there)
            try:
                target.publish(first, version)
            except StaleVersion:
                target.rollback(first, version)
                target.publish(first, target.unlearn(first, retrain=True))
            else:
                assert self.published(there) == after
            target.purge(first)
            assert self.mentioned(there, [*first.subjects, *second.subjects]) == set()
            change += self.every_change

    def test_a_later_batch_takes_along_one_that_was_not_published(self, folder: Path) -> None:
        stuck, later = self.batch(0, id="b1"), self.batch(1, id="b2")
        self.open(folder).remove(stuck)
        self.serve(folder, later)
        assert self.mentioned(folder, [*stuck.subjects, *later.subjects]) == set()
        self.serve(folder, stuck, retrain=True)
        assert self.mentioned(folder, [*stuck.subjects, *later.subjects]) == set()

    def test_whom_it_lists_it_holds(self, folder: Path) -> None:
        target, people = self.open(folder), self.people()
        if not isinstance(target, Listing):
            pytest.skip("it does not say whom it holds")
        assert set(people) <= set(target.people())
        self.serve(folder, self.batch(0, 1))
        after = self.open(folder)
        assert isinstance(after, Listing) and set(people) & set(after.people()) == set(people[2:])
        # What one batch has sealed and not yet purged is purged with the next that names any of the same people.
        stuck = self.batch(2, 3, id="b2")
        self.open(folder).remove(stuck)
        self.serve(folder, self.batch(3, id="b3"))
        later = self.open(folder)
        assert isinstance(later, Listing) and set(people) & set(later.people()) == set(people[4:])

    def test_strangers_are_counted_as_nothing(self, folder: Path) -> None:
        batch = Batch("b1", tuple(Subject(kind, STRANGER) for kind in ("roku_publisher_id", self.people()[0].type)))
        target = self.open(folder)
        assert not any(target.resolve(batch).values())
        removal = target.remove(batch)
        assert not any(removal.counts.values()) and removal.share == 0
        version = target.unlearn(batch, retrain=False)
        assert target.verify(batch, version).passed
        target.publish(batch, version)
        assert not any(target.purge(batch).values())
        assert all(self.answers_to(self.open(folder), subject) for subject in self.people())

    def test_a_retrain_on_schedule_is_a_batch_of_nobody(self, folder: Path) -> None:
        self.serve(folder, self.batch(0))
        target, nobody = self.open(folder), Batch("b2", ())
        version = target.unlearn(nobody, retrain=True)
        assert target.verify(nobody, version).passed
        target.publish(nobody, version)
        assert not any(target.purge(nobody).values())
        assert self.published(folder) == version.digest
        assert all(self.answers_to(self.open(folder), subject) for subject in self.people()[1:])

    def test_a_version_made_before_another_was_published_is_stale(self, folder: Path) -> None:
        first, second = self.batch(0, id="b1"), self.batch(1, id="b2")
        target = self.open(folder)
        target.remove(first)
        version = target.unlearn(first, retrain=False)
        self.serve(folder, second)  # without the people of both
        after = self.published(folder)
        with pytest.raises(StaleVersion):
            target.publish(first, version)
        assert self.published(folder) == after
        self.serve(folder, first)
        assert self.mentioned(folder, [*first.subjects, *second.subjects]) == set()

    def test_a_version_that_was_overtaken_keeps_nobody_of_the_later_batch(self, folder: Path) -> None:
        first, second = self.batch(0, id="b1"), self.batch(1, id="b2")
        target = self.open(folder)
        target.remove(first)
        version = target.unlearn(first, retrain=False)
        self.serve(folder, second)  # while the first one's verification raises, say
        assert self.mentioned(folder, second.subjects) == set()
        for step in (target.verify, target.publish):
            with pytest.raises(StaleVersion):
                step(first, version)
        target.rollback(first, version)
        self.serve(folder, first, retrain=True)
        assert self.mentioned(folder, [*first.subjects, *second.subjects]) == set()

    def test_a_purge_repeated_late_leaves_later_versions_alone(self, folder: Path) -> None:
        first, second = self.batch(0, id="b1"), self.batch(1, id="b2")
        target = self.open(folder)
        self.serve(folder, first)
        target.remove(second)
        version = target.unlearn(second, retrain=False)
        assert not any(target.purge(first).values())
        assert target.verify(second, version).passed
        target.publish(second, version)
        assert self.published(folder) == version.digest

    def test_a_late_purge_leaves_what_a_later_batch_of_the_same_people_needs(self, folder: Path) -> None:
        first, second, nobody = self.batch(0, id="b1"), self.batch(0, id="b2"), Batch("b3", ())
        self.serve(folder, first, done=["purge"])
        target = self.open(folder)
        target.release(first.subjects)
        assert self.takes_in(target, first.subjects[0])
        target.publish(nobody, target.unlearn(nobody, retrain=True))  # which learns of them again
        target.suppress(second.subjects)
        target.remove(second)
        target.purge(first)
        self.serve(folder, second)
        assert self.mentioned(folder, second.subjects) == set()

    def test_suppression_is_seen_by_other_processes_and_outlives_them(self, folder: Path) -> None:
        person, other = self.people()[:2]
        serving = self.open(folder)
        assert self.answers_to(serving, person) and self.takes_in(serving, person)
        self.open(folder).suppress([person])
        for target in (serving, self.open(folder)):
            assert not self.answers_to(target, person) and not self.takes_in(target, person)
            assert self.answers_to(target, other) and self.takes_in(target, other)
        self.open(folder).release([person])
        assert self.answers_to(serving, person)

    def test_the_erased_are_not_taken_in_again(self, folder: Path) -> None:
        batch = self.batch(0)
        self.serve(folder, batch)
        target = self.open(folder)
        assert not self.takes_in(target, batch.subjects[0])
        assert self.mentioned(folder, batch.subjects) == set()

    def test_steps_that_come_late_do_no_harm(self, folder: Path) -> None:
        batch = self.batch(0)
        old = self.serve(folder, batch)
        after, target = self.published(folder), self.open(folder)
        target.resolve(batch)
        target.suppress(batch.subjects)
        target.remove(batch)
        target.publish(batch, old)
        target.rollback(batch, old)
        assert not any(target.purge(batch).values())
        assert self.published(folder) == after
        self.serve(folder, self.batch(1, id="b2"))
        with pytest.raises(StaleVersion):
            target.publish(batch, old)
        assert self.mentioned(folder, [*batch.subjects, self.people()[1]]) == set()


def _timeless(version: Version) -> Version:
    facts = {name: value for name, value in version.facts.items() if name != "seconds"}
    return replace(version, facts=facts)


def _content(folder: Path) -> dict[str, str]:
    """Every file by its digest; locks, which hold nothing, are left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lock" not in path.name
    }
