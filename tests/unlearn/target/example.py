"""A third party's target, as small as the contract allows: who bought what, and how often each thing was bought.

Its model is the counts, so that unlearning is subtraction and retraining is counting anew; either is exact.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unlearn import durable
from unlearn.blocklist import Blocklist
from unlearn.seal import Seal
from unlearn.target import (
    Batch,
    Check,
    Counts,
    Pseudonyms,
    Removal,
    StaleVersion,
    Subject,
    Verdict,
    Version,
)

KIND = "controller_customer_id"


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> Purchases:
    """What an entry point of the group `unlearn.targets` would name."""
    return Purchases(Path(options["folder"]), pseudonyms, frozenset(options.get("distrusted", ())))


class Purchases:
    """`distrusted` methods fail their verification."""

    identity_types = frozenset({KIND})

    def __init__(self, folder: Path, pseudonyms: Pseudonyms, distrusted: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._distrusted = distrusted
        self._blocked = Blocklist(folder / "blocked", pseudonyms)

    @staticmethod
    def create(folder: Path, rows: Iterable[tuple[str, str]]) -> None:
        rows = list(rows)
        durable.replace(folder / "rows.json", json.dumps(rows).encode())
        durable.replace(folder / "published.json", json.dumps(_model(rows) | {"without": []}).encode())

    # ---- serving -----------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        return self._read("published.json")["counts"]

    def bought_by(self, person: str) -> list[str]:
        if Subject(KIND, person) in self._blocked:
            return []
        return [thing for who, thing in self._read("rows.json") if who == person]

    def buy(self, person: str, thing: str) -> bool:
        if Subject(KIND, person) in self._blocked:
            return False
        self._write("rows.json", [*self._read("rows.json"), [person, thing]])
        return True

    # ---- the contract ------------------------------------------------------------------------------------------------

    def resolve(self, batch: Batch) -> Counts:
        return {"purchases": len(self._of(batch))}

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.add(subjects)}

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.discard(subjects)}

    def remove(self, batch: Batch) -> Removal:
        seal = Seal(self._folder / "sealed", batch.id)
        if not seal.exists and (gone := self._of(batch)):
            seal.write(json.dumps(gone).encode())
        gone = json.loads(seal.read()) if seal.exists else []
        people = _people(batch)
        rows = self._read("rows.json")
        kept = [row for row in rows if row[0] not in people]
        if len(kept) < len(rows):
            self._write("rows.json", kept)
        return Removal(counts={"purchases": len(gone)}, share=len(gone) / max(1, len(kept) + len(gone)), drift=0.0)

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        published, rows = self._read("published.json"), self._read("rows.json")
        seals = Seal.all(self._folder / "sealed")
        # Of every batch that is removed and that the published version still counts.
        gone = [row for seal in seals if seal.name not in published["without"] for row in json.loads(seal.read())]
        model = _model(rows) if retrain else _subtracted(published, gone)
        without = [seal.name for seal in seals]
        self._write(self._staged(batch), model | {"without": without, "stands_on": _digest(rows)})
        method = "count" if retrain else "subtract"
        return Version(id=batch.id, method=method, digest=model["digest"], replaces=published["digest"])

    def verify(self, batch: Batch, version: Version) -> Verdict:
        counts = self._fresh(batch, version)["counts"]
        wrong = sum(abs(number) for number in _difference(counts, _model(self._read("rows.json"))["counts"]).values())
        return Verdict((Check(name="wrong_counts", value=wrong + (version.method in self._distrusted), high=0),))

    def publish(self, batch: Batch, version: Version) -> Counts:
        if self._read("published.json")["digest"] != version.digest or (self._folder / self._staged(batch)).exists():
            self._fresh(batch, version)
            (self._folder / self._staged(batch)).replace(self._folder / "published.json")
        return {"versions": 1}

    def rollback(self, batch: Batch, version: Version) -> Counts:
        durable.remove(self._folder / self._staged(batch))
        return {"versions": 1}

    def purge(self, batch: Batch) -> Counts:
        seal = Seal(self._folder / "sealed", batch.id)
        seal.destroy()
        durable.remove(self._folder / self._staged(batch))
        return {"sealed": seal.left(), "purchases": len(self._of(batch))}

    def people(self) -> list[Subject]:
        return [Subject(KIND, person) for person in {row[0] for row in self._read("rows.json")}]

    # ---- files -------------------------------------------------------------------------------------------------------

    def _of(self, batch: Batch) -> list[list[str]]:
        people = _people(batch)
        return [row for row in self._read("rows.json") if row[0] in people]

    def _fresh(self, batch: Batch, version: Version) -> dict[str, Any]:
        staged = self._read(self._staged(batch), {})
        if staged.get("stands_on") != _digest(self._read("rows.json")) or staged["digest"] != version.digest:
            raise StaleVersion("more was removed since this version was made, or it is not the one that is staged")
        return staged

    def _staged(self, batch: Batch) -> str:
        return f"staged-{batch.id}.json"

    def _read(self, name: str, default: Any = None) -> Any:
        path = self._folder / name
        return json.loads(path.read_bytes()) if default is None or path.exists() else default

    def _write(self, name: str, content: Any) -> None:
        durable.replace(self._folder / name, json.dumps(content).encode())


def _people(batch: Batch) -> set[str]:
    return {subject.value for subject in batch.subjects if subject.type == KIND}


def _model(rows: Iterable[Any]) -> dict[str, Any]:
    counts = dict(sorted(Counter(thing for _, thing in rows).items()))
    return {"counts": counts, "digest": _digest(counts)}


def _subtracted(model: dict[str, Any], gone: Iterable[Any]) -> dict[str, Any]:
    counts = _difference(model["counts"], _model(gone)["counts"])
    counts = {thing: number for thing, number in sorted(counts.items()) if number}
    return {"counts": counts, "digest": _digest(counts)}


def _difference(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {thing: first.get(thing, 0) - second.get(thing, 0) for thing in first.keys() | second.keys()}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
