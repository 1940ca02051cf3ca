"""What the deletion-request service asks of a plug-in: one class that holds data about people, and can lose them.

A package offers a target through the entry-point group `unlearn.targets`. What the entry point names is called once, as
`factory(options, pseudonyms)`: the options are the table `[targets.<name>]` of the service's settings, unchecked. What
it cannot use of them it refuses by a `ValueError`, whose message operators read; anything else counts as a defect.

The service takes a batch of people through the steps in this order, each of them again after a crash:

    resolve -> suppress -> remove -> unlearn -> verify -> publish -> purge
                                        ^         |
                                        +-- rollback (a version that failed; then once more, by retraining)

A target has nothing to remember about that order but its own state. What it must keep, and what
`tests.unlearn.target.contract.TargetContract` checks of any implementation:

- Every step may be called again with the same batch, whether it ended, was killed halfway or never began, and then
  ends in the same state and says the same. A step that comes late, after its batch was purged, does no harm.
- A person that the target does not hold is no error: it is counted as nothing.
- The published version changes in `publish` alone, as a whole: a reader finds the old or the new, never parts of both.
- After `remove` nothing can read the people's records without the seal of the batch; after `purge` nothing can.
- Logs, counts, versions, verdicts and exceptions name nobody. `Subject` and `Batch` do not print what they hold.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

Counts = Mapping[str, int]
"""What a step did, by name: interactions, ties, files... It goes into the ledger, the certificate and the metrics."""

Fact = str | int | float | None

INTERACTION = "interaction"
"""The type of an identity that names one interaction of a person, and no more of them: see `interaction`."""

_COMPACT = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, as a request names them: the type of the identity and its value.

    Types are those of OpenDSR (`controller_customer_id`, `email`, ...); a target says which ones it knows. An
    interaction has one spelling here, however it was written: that of `interaction`.
    """

    type: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if (part := self.part) is not None:
            object.__setattr__(self, "value", _spelled(*part))

    def known_by(self, types: Collection[str]) -> bool:
        """Whether a target that knows people by these types can tell whom it names, and in an interaction whose."""
        if self.type != INTERACTION:
            return self.type in types
        part = self.part
        return part is not None and part[0].type != INTERACTION and {INTERACTION, part[0].type} <= set(types)

    @property
    def part(self) -> tuple[Subject, str] | None:
        """Whose interaction it is, and with what; None where it names a whole person, or nothing that can be read."""
        if self.type != INTERACTION:
            return None
        try:
            named: Any = json.loads(self.value)
            if not isinstance(named, list) or [type(one) for one in cast("list[object]", named)] != [str, str, str]:
                return None
            "".join(cast("list[str]", named)).encode()  # JSON can escape half of a surrogate pair
        except ValueError:
            return None
        return Subject(named[0], named[1]), named[2]


def interaction(person: Subject, item: str) -> Subject:
    """One interaction of a person, as a request names it: a JSON array of the person's type, their id and the item's.

    Such a request asks for less than the person: nothing but the interaction is suppressed and forgotten. A hold on the
    person holds it, too.
    """
    return Subject(INTERACTION, _spelled(person, item))


def _spelled(person: Subject, item: str) -> str:
    return _COMPACT.encode([person.type, person.value, item])


@dataclass(frozen=True, slots=True)
class Batch:
    """The people of several requests, served together under one id; of nobody, where a retrain is on schedule."""

    id: str
    subjects: tuple[Subject, ...] = field(repr=False)


class Pseudonyms:
    """Names for people that reveal nobody without the key: HMAC-SHA256 (hex) over the type and the value.

    Whoever has the key can still recognise a person that they know, so a pseudonym remains personal data.

    Raises:
        ValueError: the key is shorter than 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError(f"`key` must have at least 32 bytes for `Pseudonyms` (got {len(key)})")
        self._key = key

    def of(self, subject: Subject) -> str:
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        content = len(subject.type).to_bytes(4, "big") + (subject.type + subject.value).encode()
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What left the stored data.

    `share` is what this batch took, of all records that there were before it; `drift` is what has been forgotten
    approximately since the model was last trained in full, this batch included, of what was trained on then. The
    service retrains instead of unlearning where either is above the limit that it was given.
    """

    counts: Counts
    share: float
    drift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that was made and can be verified and published: what the certificate says of it.

    `digest` changes with any change of the model; `replaces` is the digest of the version that was published when this
    one was made. `facts` are figures of its making (`residual_before`, `seconds`, ...), by name.
    """

    id: str
    method: str
    digest: str
    replaces: str | None
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure of a verification, beside its limit: passed where `low <= value <= high`; a missing end is open."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        # NaN is within no limits.
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high) and self.value == self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one verification, and what they do not cover, in words."""

    checks: tuple[Check, ...]
    not_covered: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed; a verification without any has shown nothing."""
        return bool(self.checks) and all(check.passed for check in self.checks)


class StaleVersion(RuntimeError):
    """More was removed, or published, after the version was made: publishing it would bring people back."""


class Target(Protocol):
    """One place that holds people, and a model or an index made from them."""

    @property
    def identity_types(self) -> frozenset[str]:
        """Types of identity by which it knows people; it counts others as people that it does not hold."""
        ...

    def resolve(self, batch: Batch) -> Counts:
        """How much it holds about them. Changes nothing."""
        ...

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        """From the moment that this returns, answer nothing to or about them, and take in nothing new about them.

        Called before a request is acknowledged, for several requests at once, and again with the batch. It holds across
        processes, and until `release`: that somebody has been erased is remembered by pseudonym.
        """
        ...

    def release(self, subjects: Iterable[Subject]) -> Counts:
        """Take a suppression back: the request was cancelled before anything was removed."""
        ...

    def remove(self, batch: Batch) -> Removal:
        """Take their records out of the stored data, physically, and keep them under a seal until `purge`.

        Unlearning and its verification need them; the published version is as it was.
        """
        ...

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        """Make a version without anybody that has been removed so far, and stage it.

        Args:
            retrain: train it from the beginning on the remaining data.
        """
        ...

    def verify(self, batch: Batch, version: Version) -> Verdict:
        """Examine a staged version, without a retrain. Changes nothing.

        Raises:
            StaleVersion: more was removed since it was made, or another one was published: there is nothing to judge.
        """
        ...

    def publish(self, batch: Batch, version: Version) -> Counts:
        """Put the staged version in the place of the published one, which is destroyed.

        Raises:
            StaleVersion: more was removed since it was made, or another one was published; nothing was changed.
        """
        ...

    def rollback(self, batch: Batch, version: Version) -> Counts:
        """Destroy a version that is staged and not published."""
        ...

    def purge(self, batch: Batch) -> Counts:
        """Destroy the seal of the batch and everything derived from its people, and count what is left of them.

        Versions of other batches that were staged before are derived from them, too. The service goes on when every
        count is zero, and calls again where one is not.
        """
        ...


@runtime_checkable
class Listing(Protocol):
    """What a target may offer besides: who is in it. Whoever was erased and came back with a backup is found by it."""

    def people(self) -> Iterable[Subject]:
        """Everybody that it holds anything about, in the stored data, in the published version or under a seal.

        And every single interaction, where one may be erased alone.
        """
        ...
