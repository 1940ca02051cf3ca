"""What targets have in common whose data and published version lie in a workspace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from unlearn.blocklist import Blocklist
from unlearn.invalid import InvalidInput, Problems
from unlearn.staging import Staging, unpacked
from unlearn.target import Batch, Counts, Fact, Pseudonyms, Removal, StaleVersion, Subject, Version
from unlearn.vocabulary import Id, Vocabulary
from unlearn.workspace import Workspace

D = TypeVar("D")  # the stored data
M = TypeVar("M")  # the published version over the data that it was made from
IDENTITY = "controller_customer_id"


@dataclass(frozen=True, slots=True)
class Made:
    """A version that was made: how, figures of its making, and what writes it to a folder and returns its digest."""

    method: str
    facts: Mapping[str, Fact]
    write: Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of new records: stored, refused because of whom they are about, or about nobody who is known."""

    stored: int
    refused: int
    unknown: int


class WorkspaceTarget(ABC, Generic[D, M]):
    """The steps of `unlearn.target.Target`, all but `verify`, for a workspace that people can be deleted from.

    A subclass says what its data and its versions are. Whatever it is asked for while the workspace is held must be
    quick; `_make` is not.

    - What is *stored* are the remaining data, from `remove` on.
    - What is *outstanding* is sealed and still in the published version; put back, it gives the data of that version.
    - A version is staged with the batches that it was made without, and is stale once more is outstanding.
    """

    def __init__(self, workspace: Workspace, pseudonyms: Pseudonyms, identity_type: str) -> None:
        self.workspace = workspace
        self.staging = Staging.beside(workspace.folder)
        self.identity_type = identity_type
        self._blocked = Blocklist(self.staging.folder / "blocked", pseudonyms)

    @property
    def identity_types(self) -> frozenset[str]:
        return frozenset({self.identity_type})

    def blocks(self, person: Id) -> bool:
        """Whether the person is suppressed or erased."""
        return Subject(self.identity_type, str(person)) in self._blocked

    # ---- what a subclass says ----------------------------------------------------------------------------------------

    @abstractmethod
    def data(self) -> D:
        """The stored data."""

    @abstractmethod
    def _store(self, data: D) -> None:
        """Put data in the place of the stored ones, whole; the published version stays."""

    @abstractmethod
    def _people(self, data: D) -> Vocabulary:
        """Whom the data know."""

    @abstractmethod
    def _counts(self, data: D, people: Sequence[Id]) -> Counts:
        """How much the data hold about these people, who are there."""

    @abstractmethod
    def _pack(self, data: D, people: Sequence[Id]) -> bytes:
        """All that the data hold about them, by `unlearn.staging.packed`."""

    @abstractmethod
    def _without(self, data: D, people: Sequence[Id]) -> D:
        """The data without them."""

    @abstractmethod
    def _removal(self, remaining: D, content: bytes | None) -> Removal:
        """What left, by what was packed of it; None where nothing was."""

    @abstractmethod
    def _published_people(self) -> Vocabulary:
        """Whom the published version knows."""

    @abstractmethod
    def _published_digest(self) -> str:
        """Digest of the published version."""

    @abstractmethod
    def _published(self, remaining: D, contents: Sequence[bytes]) -> M:
        """The published version, over the remaining data with what was packed of others put back."""

    @abstractmethod
    def _make(self, before: M, people: tuple[Id, ...], *, retrain: bool) -> Made:
        """A version without these people."""

    @abstractmethod
    def _swap(self, staged: Path, new: Path) -> None:
        """Write into `new` the workspace with the staged version, and the data that are stored now."""

    # ---- the contract ------------------------------------------------------------------------------------------------

    def resolve(self, batch: Batch) -> Counts:
        with self.workspace.held():
            data = self.data()
        return self._counts(data, self._known(batch, data))

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.add(subjects)}

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.discard(subjects)}

    def remove(self, batch: Batch) -> Removal:
        seal = self.staging.seal(batch.id)
        with self.workspace.held():
            data = self.data()
            people = self._known(batch, data)
            if people and not seal.exists:
                seal.write(self._pack(data, people))
            content = seal.read() if seal.exists else None
            if people:
                data = self._without(data, people)
                self._store(data)
            return self._removal(data, content)

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        with self.workspace.held():
            gone = self.outstanding()
            making = {"retrain": retrain, "without": sorted(gone), "replaces": self._published_digest()}
            staged = self.staging.facts(batch.id)
            if staged is not None and making.items() <= staged.items():
                return _version(batch, staged)
            before = self._published(self.data(), list(gone.values()))
        # The long part, during which others may read and take in.
        people = tuple(person for content in gone.values() for person in unpacked(content)[0])
        made = self._make(before, people, retrain=retrain)
        facts = making | {"method": made.method, "facts": dict(made.facts)}
        return _version(batch, self.staging.stage(batch.id, made.write, facts))

    def publish(self, batch: Batch, version: Version) -> Counts:
        with self.workspace.held():
            # Whoever died between the swap and what follows has published it; should another one stand there by now,
            # the staged one is older than that, whoever was forgotten in between.
            if self._published_digest() != version.digest:
                self._require_fresh(batch, version)
                self.workspace.replace(lambda new: self._swap(self.staging.version(batch.id), new))
            self.staging.unstage(batch.id)
        return {"versions": 1}

    def rollback(self, batch: Batch, version: Version) -> Counts:
        self.staging.unstage(batch.id)
        return {"versions": 1}

    def purge(self, batch: Batch) -> Counts:
        seal = self.staging.seal(batch.id)
        with self.workspace.held():
            seal.destroy()
            self.staging.unstage(batch.id)
            held = self._people(self.data()), self._published_people()
        people = {person for ids in held for person in self._ids(batch, ids) if person in ids}
        return {"seals": seal.left(), "versions": int(self.staging.version(batch.id).exists()), "users": len(people)}

    # ---- for subclasses ----------------------------------------------------------------------------------------------

    def outstanding(self) -> dict[str, bytes]:
        """What is sealed of batches whose people the published version still has, by batch."""
        ids = self._published_people()
        return {
            name: content
            for name, content in self.staging.seals().items()
            if any(one in ids for one in unpacked(content)[0])
        }

    def _require_fresh(self, batch: Batch, version: Version) -> None:
        """Raises: StaleVersion where the version is not staged, or not what the published one is without everybody."""
        staged = self.staging.facts(batch.id)
        if staged is None or staged["digest"] != version.digest:
            raise StaleVersion(f"version {version.id} is neither staged nor published")
        if staged["replaces"] != self._published_digest():
            raise StaleVersion(f"another version was published since version {version.id} was made")
        if not self.outstanding().keys() <= set(staged["without"]):
            raise StaleVersion(f"more was removed since version {version.id} was made")

    def _ids(self, batch: Batch, people: Vocabulary) -> list[Id]:
        """The batch's people as ids of this kind; 007 is not 7, for suppression goes by what was written."""
        values = [subject.value for subject in batch.subjects if subject.type == self.identity_type]
        return [person for person, value in zip(people.parse(values), values, strict=True) if str(person) == value]

    def _known(self, batch: Batch, data: D) -> list[Id]:
        people = self._people(data)
        return [person for person in self._ids(batch, people) if person in people]


def checked_options(options: Mapping[str, Any], known: Iterable[str], source: str, error: type[InvalidInput]) -> Path:
    """The workspace of a table of settings, all of whose values must be text under known names.

    Raises: `error` listing everything else.
    """
    problems, names = Problems(source, error), sorted(known)
    for name in sorted(set(options) - set(names)):
        problems.add(f"`{name}` must be one of {', '.join(names)}")
    for name in sorted(set(names) & set(options)):
        if not isinstance(options[name], str) or not options[name]:
            problems.add(f"`{name}` must be text (got {options[name]!r})")
    if "workspace" not in options:
        problems.add("`workspace` must be the folder that the command made (got none)")
    problems.raise_any()
    return Path(options["workspace"]).resolve()


def _version(batch: Batch, staged: Mapping[str, Any]) -> Version:
    return Version(
        id=batch.id,
        method=staged["method"],
        digest=staged["digest"],
        replaces=staged["replaces"],
        facts=staged["facts"],
    )
