"""Beside a workspace: whom to answer no more, what is sealed until it is purged, and versions not yet published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from unlearn import durable
from unlearn.forget import ForgetSet, Id, Pair
from unlearn.seal import Seal

_TOLD = "told"


@dataclass(frozen=True, slots=True)
class Staging:
    """The folder beside a workspace with what is not published."""

    folder: Path

    @classmethod
    def beside(cls, workspace: Path) -> Staging:
        """That of a workspace."""
        return cls(workspace.with_name(f"{workspace.name}.service"))

    @property
    def blocked(self) -> Path:
        """Who is suppressed or erased: see `unlearn.blocklist`."""
        return self.folder / "blocked"

    def seal(self, batch_id: str) -> Seal:
        """The seal of a batch."""
        return Seal(self.folder / "sealed", batch_id)

    def sealed(self) -> dict[str, Sealed]:
        """What is sealed, by batch."""
        return {seal.name: Sealed.of(seal.read()) for seal in Seal.all(self.folder / "sealed")}

    def outstanding(self, published: str) -> dict[str, Sealed]:
        """What was sealed since the version of that digest was made, which has learned from it; by batch."""
        return {name: sealed for name, sealed in self.sealed().items() if sealed.since == published}

    def version(self, batch_id: str) -> Path:
        """The folder of a batch's staged version."""
        return self.folder / "staged" / batch_id

    def versions(self) -> list[str]:
        """The batches of which a version is staged, or a part of one that a killed process left."""
        return sorted(path.name for path in (self.folder / "staged").glob("*"))

    def stage(self, batch_id: str, write: Callable[[Path], str], facts: dict[str, Any]) -> dict[str, Any]:
        """Write a version, whose digest `write` returns, and what is known of it; with the facts it counts."""
        self.unstage(batch_id)
        folder = self.version(batch_id)
        folder.mkdir(mode=0o700, parents=True)
        facts = facts | {"digest": write(folder)}
        durable.sync_tree(folder)
        durable.replace(folder / "facts.json", json.dumps(facts).encode())
        return facts

    def facts(self, batch_id: str) -> dict[str, Any] | None:
        """What was written with the staged version; None where there is none that is complete."""
        path = self.version(batch_id) / "facts.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def unstage(self, batch_id: str) -> None:
        """Destroy a staged version, or what there is of it."""
        durable.remove(self.version(batch_id) / "facts.json")
        shutil.rmtree(self.version(batch_id), ignore_errors=True)


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """What was removed by one batch, as it goes under a seal.

    since: digest of the version that was published then, which was made with it; people: who left as a whole; counts:
    of all that left; arrays: what gives the published version's data when it is put back; parts: interactions that left
    alone, by person and item.
    """

    since: str
    people: tuple[Id, ...]
    counts: Mapping[str, int]
    arrays: Mapping[str, NDArray[Any]]
    parts: tuple[Pair, ...] = ()

    def holds_any(self, asked: ForgetSet) -> bool:
        """Whether there is anything in it of what is asked for."""
        users, parts = set(asked.users), set(asked.interactions)
        if not users.union(person for person, _ in parts).isdisjoint(self.people):
            return True
        return not (parts.isdisjoint(self.parts) and users.isdisjoint(person for person, _ in self.parts))

    def to_bytes(self) -> bytes:
        told = {"since": self.since, "people": self.people, "counts": dict(self.counts), "parts": self.parts}
        return save({**self.arrays, _TOLD: np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)})

    @classmethod
    def of(cls, content: bytes) -> Sealed:
        """What `to_bytes` has written."""
        arrays = load(content)
        told = json.loads(arrays.pop(_TOLD).tobytes())
        parts = tuple((person, item) for person, item in told.get("parts", ()))  # which older versions left out
        return cls(told["since"], tuple(told["people"]), told["counts"], arrays, parts)


def link(source: Any, destination: Any) -> None:
    """Put a version's file in another place, too: not moved, so that a killed process leaves the version whole."""
    Path(destination).hardlink_to(source)
