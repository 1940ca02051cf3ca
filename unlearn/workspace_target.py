"""What targets have in common whose data and published version lie in a workspace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from unlearn.blocklist import Blocklist
from unlearn.forget import ForgetSet, Id
from unlearn.invalid import InvalidInput, Problems
from unlearn.staging import Sealed, Staging
from unlearn.target import Batch, Counts, Fact, Pseudonyms, Removal, StaleVersion, Subject, Version
from unlearn.vocabulary import Vocabulary
from unlearn.workspace import Workspace

D = TypeVar("D")  # the stored data
B = TypeVar("B")  # what making a version begins with
IDENTITY = "controller_customer_id"


class InvalidOptions(InvalidInput):
    """The table cannot be read as settings of a target."""

    reads_as: ClassVar[str] = "settings of a target"


@dataclass(frozen=True, slots=True)
class Made:
    """A version that was made: how, figures of its making, and what writes it to a folder and returns its digest."""

    method: str
    facts: Mapping[str, Fact]
    write: Callable[[Path], str]


class WorkspaceTarget(ABC, Generic[D, B]):
    """The steps of `unlearn.target.Target`, all but `verify`, for a workspace that people can be deleted from.

    A subclass says what its data and its versions are. Whatever it is asked for while the workspace is held must be
    quick; `_make` is not.

    - What is *stored* are the remaining data, from `remove` on.
    - What is *outstanding* was sealed since the published version was made, which was made with it; put back, it gives
      the data of that version. Whatever is published later was made without all that was sealed by then.
    - A version is staged with the batches that it was made without, and is stale once more is outstanding.
    """

    def __init__(self, workspace: Workspace, pseudonyms: Pseudonyms, identity_type: str) -> None:
        self.workspace = workspace
        self.staging = Staging.beside(workspace.folder)
        self.identity_type = identity_type
        self._blocked = Blocklist(self.staging.blocked, pseudonyms)

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
    def _counts(self, data: D, held: ForgetSet) -> Counts:
        """How much goes with what is to be forgotten, all of which the data hold."""

    @abstractmethod
    def _pack(self, data: D, held: ForgetSet, *, since: str) -> Sealed:
        """All of that, to be sealed."""

    @abstractmethod
    def _without(self, data: D, held: ForgetSet) -> D:
        """The data without it."""

    @abstractmethod
    def _removal(self, remaining: D, gone: Sealed | None) -> Removal:
        """What left, by what was sealed of it; None where nothing was."""

    @abstractmethod
    def _published_people(self) -> Vocabulary:
        """Whom the published version knows."""

    @abstractmethod
    def _published_digest(self) -> str:
        """Digest of the published version."""

    @abstractmethod
    def _begin(self, data: D, outstanding: Sequence[Sealed], *, retrain: bool) -> B:
        """What making the next version begins with, read from the workspace."""

    @abstractmethod
    def _make(self, begun: B, *, retrain: bool) -> Made:
        """A version without what is outstanding; the workspace may change meanwhile."""

    @abstractmethod
    def _swap(self, staged: Path, new: Path) -> None:
        """Write into `new` the workspace with the staged version, and the data that are stored now."""

    # ---- the contract ------------------------------------------------------------------------------------------------

    def resolve(self, batch: Batch) -> Counts:
        with self.workspace.held():
            data = self.data()
        return self._counts(data, self._held(data, self._asked(batch, data)))

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.add(subjects)}

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.discard(subjects)}

    def remove(self, batch: Batch) -> Removal:
        seal = self.staging.seal(batch.id)
        with self.workspace.held():
            data = self.data()
            held = self._held(data, self._asked(batch, data))
            # A seal of what another version had learned says nothing of what the one that is there now has.
            if held and batch.id not in self.outstanding():
                seal.write(self._pack(data, held, since=self._published_digest()).to_bytes())
            gone = Sealed.of(seal.read()) if seal.exists else None
            if held:
                data = self._without(data, held)
                self._store(data)
            return self._removal(data, gone)

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        while True:
            with self.workspace.held():
                making, staged = self._making(retrain=retrain), self.staging.facts(batch.id)
                if staged is not None and making.items() <= staged.items():
                    return _version(batch, staged)
                begun = self._begin(self._settled(), list(self.outstanding().values()), retrain=retrain)
            # The long part, during which others may read and take in.
            made = self._make(begun, retrain=retrain)
            facts = making | {"method": made.method, "facts": dict(made.facts)}
            with self.workspace.held():
                # What was overtaken meanwhile may know people who are purged by now: it is never written.
                if making == self._making(retrain=retrain):
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
        with self.workspace.held():
            data, published = self.data(), self._published_people()
            asked, outstanding = self._asked(batch, data), self.outstanding()
            # What other batches keep of the same people goes, too: versions that this one has overtaken, which are
            # never published, and seals that no version needs any more.
            overtaken = (name for name in self.staging.versions() if self._overtaken(self.staging.facts(name)))
            versions = {batch.id, *overtaken}
            kept = {name: sealed for name, sealed in self.staging.sealed().items() if name not in outstanding}
            seals = {batch.id, *(name for name, sealed in kept.items() if sealed.holds_any(asked))}
            for name in versions:
                self.staging.unstage(name)
            for name in seals:
                self.staging.seal(name).destroy()
            left = self._counts(data, self._held(data, asked))
        return {
            "seals": sum(self.staging.seal(name).left() for name in seals),
            "versions": sum(self.staging.version(name).exists() for name in versions),
            "known": sum(person in published for person in asked.users),
            **left,
        }

    def people(self) -> Iterable[Subject]:
        """Everybody in the stored data, in the published version or under a seal: see `unlearn.target.Listing`."""
        with self.workspace.held():
            known = self._people(self.data()), self._published_people()
            sealed = self.staging.sealed().values()
        held = dict.fromkeys(person for ids in known for person in ids.take(ids.alive.nonzero()[0]))
        held |= dict.fromkeys(person for one in sealed for person in one.people)
        return [Subject(self.identity_type, str(person)) for person in held]

    # ---- for subclasses ----------------------------------------------------------------------------------------------

    def outstanding(self) -> dict[str, Sealed]:
        """What is outstanding, by batch."""
        return self.staging.outstanding(self._published_digest())

    def _settled(self) -> D:
        """The stored data, without what is outstanding: who was killed between the seal and the data left it in both.

        Its own batch need not come first, which may wait for longer than others can.
        """
        data, gone = self.data(), ForgetSet()
        for sealed in self.outstanding().values():
            gone |= ForgetSet(users=sealed.people, interactions=sealed.parts)
        if held := self._held(data, gone):
            data = self._without(data, held)
            self._store(data)
        return data

    def _making(self, *, retrain: bool) -> dict[str, Any]:
        """What a version is made by, without and after, if it is made now."""
        return {"retrain": retrain, "without": sorted(self.outstanding()), "replaces": self._published_digest()}

    def _overtaken(self, staged: Mapping[str, Any] | None) -> str | None:
        """Why a staged version of these facts must not be published; None where it may."""
        if staged is None:
            return "it is neither staged nor published"
        if staged["replaces"] != self._published_digest():
            return "another version was published since it was made"
        return None if self.outstanding().keys() <= set(staged["without"]) else "more was removed since it was made"

    def _require_fresh(self, batch: Batch, version: Version) -> None:
        """Raises: StaleVersion where the version is not staged, or not what the published one is without everybody."""
        staged = self.staging.facts(batch.id)
        if staged is not None and staged["digest"] != version.digest:
            staged = None
        if (why := self._overtaken(staged)) is not None:
            raise StaleVersion(f"version {version.id} must not be published: {why}")

    def _asked(self, batch: Batch, data: D) -> ForgetSet:
        """What the batch asks for, in ids of the data's own kind."""
        people = self._people(data)
        values = [subject.value for subject in batch.subjects if subject.type == self.identity_type]
        return ForgetSet(users=tuple(people.parse(values)))

    def _held(self, data: D, asked: ForgetSet) -> ForgetSet:
        """What of that is there."""
        people = self._people(data)
        return ForgetSet(users=tuple(person for person in asked.users if person in people))


def text_options(
    options: Mapping[str, Any], known: Iterable[str], problems: Problems, *, made_by: str
) -> dict[str, str]:
    """What a table of settings says: text under known names; everything else is a problem, and to have no workspace.

    Args:
        made_by: the command that makes workspaces, for the message.
    """
    names = sorted(known)
    for name in sorted(set(options) - set(names)):
        problems.add(f"`{name}` must be one of {', '.join(names)}")
    texts = {name: value for name, value in options.items() if name in names and isinstance(value, str) and value}
    for name in sorted(set(options) & set(names) - set(texts)):
        problems.add(f"`{name}` must be text (got {options[name]!r})")
    if "workspace" not in options:
        problems.add(f"`workspace` must be the folder that {made_by} made (got none)")
    return texts


def _version(batch: Batch, staged: Mapping[str, Any]) -> Version:
    return Version(
        id=batch.id,
        method=staged["method"],
        digest=staged["digest"],
        replaces=staged["replaces"],
        facts=staged["facts"],
    )
