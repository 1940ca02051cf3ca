"""The parts of the service, put together as the settings say."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.metadata import entry_points
from typing import Any, Self

from sqlalchemy import inspect

from unlearn.plugins import loaded
from unlearn.requests import audit
from unlearn.requests.callers import Callers
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.database import Database
from unlearn.requests.intake import Intake, Receipt, Submission
from unlearn.requests.keyring import Keyring, UnusableKeyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.settings import Settings, UnusableSettings
from unlearn.requests.tables import AuditRow
from unlearn.requests.worker import Worker
from unlearn.target import Pseudonyms, Subject, Target

Factory = Callable[[Mapping[str, Any], Pseudonyms], Target]


@dataclass(frozen=True)
class Service:
    """A ledger and the targets that it is for."""

    settings: Settings
    ledger: Ledger
    targets: Mapping[str, Target]
    intake: Intake = field(init=False)
    cancelling: Cancelling = field(init=False)
    callers: Callers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "intake", Intake(self.ledger, self.suppress, due_within=self.settings.due_within))
        object.__setattr__(self, "cancelling", Cancelling(self.ledger, self.release))
        object.__setattr__(self, "callers", Callers(self.ledger))

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The service with everything that it works on.

        Raises:
            UnusableSettings: a target is not offered by any installed package.
            UnusableKeyring: the keys cannot be used, or are not the ledger's.
            UnreachableDatabase, UnsafeDatabase: see `open_ledger`.
        """
        keyring = Keyring.read(settings.keyring)
        targets = load_targets(settings.targets, keyring.pseudonyms)
        return cls(settings, open_ledger(settings, keyring), targets)

    @property
    def identity_types(self) -> list[str]:
        """By which some target knows people."""
        return sorted(frozenset[str]().union(*(target.identity_types for target in self.targets.values())))

    def knows(self, subject: Subject) -> bool:
        """Whether some target can tell whom it names; what none of them can tell would be acknowledged for nothing."""
        return any(subject.known_by(target.identity_types) for target in self.targets.values())

    def suppress(self, subjects: Sequence[Subject]) -> None:
        """In every target."""
        for target in self.targets.values():
            target.suppress(subjects)

    def release(self, subjects: Sequence[Subject]) -> None:
        """In every target."""
        for target in self.targets.values():
            target.release(subjects)

    def ask(
        self, subjects: Sequence[Subject], *, id: str | None = None, caller: str = "operator", regulation: str = "gdpr"
    ) -> Receipt:
        """Take in a request that did not come over HTTP; its id is its idempotency key.

        Raises:
            Refused: the id is of another request of this caller.
        """
        id = id or str(uuid.uuid4())
        content = json.dumps([id, regulation, [(one.type, one.value) for one in subjects]]).encode()
        return self.intake.submit(
            Submission(
                caller=caller,
                idempotency_key=id,
                subject_request_id=id,
                fingerprint=self.ledger.keyring.fingerprint(content),
                regulation=regulation,
                subjects=tuple(subjects),
                submitted_at=self.ledger.now(),
            )
        )

    def worker(self, *, at_once: bool = False) -> Worker:
        """One that serves batches as the settings say; `at_once`, whatever is pending, without waiting for more."""
        chosen = self.settings
        return Worker(
            self.ledger,
            self.targets,
            batching=replace(chosen.batching, window=timedelta(0)) if at_once else chosen.batching,
            escalation=chosen.escalation,
            lease=timedelta(seconds=chosen.lease_seconds),
        )

    def close(self) -> None:
        """Let go of the database, once all that wait are taken in."""
        self.intake.close()
        self.ledger.database.close()


def open_ledger(settings: Settings, keyring: Keyring) -> Ledger:
    """The ledger, its tables brought up to date.

    Raises:
        UnreachableDatabase: the database does not answer.
        UnusableKeyring: it was kept with other keys, with which requests would be taken in that nobody can serve.
        UnsafeDatabase: it may lose what it has acknowledged.
    """
    database = Database(settings.database)
    database.reach()
    ledger = Ledger(database, keyring)
    if inspect(database.engine).has_table(AuditRow.__tablename__):  # before an upgrade writes anything with these keys
        with database.read() as session:
            if not audit.fits(session, ledger):
                raise UnusableKeyring(
                    "`keyring` must be that of this ledger (its audit key does not fit the trail): name the one that "
                    "`database` has been used with from the beginning"
                )
    database.migrate(keyring)
    database.check()
    return ledger


def load_targets(tables: Mapping[str, Mapping[str, Any]], pseudonyms: Pseudonyms) -> dict[str, Target]:
    """The targets that the tables describe: of the kind named like the table, or of what its `kind` says.

    Raises:
        UnusableSettings: no installed package offers a kind.
        UnusablePlugin: the one that does cannot be imported.
    """
    offered = {point.name: point for point in entry_points(group="unlearn.targets")}
    kinds = {name: str(options.get("kind", name)) for name, options in tables.items()}
    if missing := sorted(name for name, kind in kinds.items() if kind not in offered):
        raise UnusableSettings(
            f"`targets` must be of kinds that installed packages offer (got {', '.join(missing)}; "
            f"there are {', '.join(sorted(offered)) or 'none'}): install the package, or name another `kind`"
        )
    made: dict[str, Target] = {}
    for name, options in tables.items():
        factory: Factory = loaded(offered[kinds[name]])
        made[name] = factory({key: value for key, value in options.items() if key != "kind"}, pseudonyms)
    return made
