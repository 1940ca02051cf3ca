"""The recommender as a target: every step of the contract on a workspace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys import store
from recsys.commands import workspace
from recsys.data import Interactions
from recsys.errors import InvalidInteractions
from recsys.plugin import sealed
from recsys.plugin.place import Place
from recsys.plugin.verification import examine
from unlearn.blocklist import Blocklist
from unlearn.forget import ForgetSet
from unlearn.invalid import Problems
from unlearn.methods.base import Unlearner, method
from unlearn.specification import unlearner
from unlearn.target import Batch, Counts, Pseudonyms, Removal, StaleVersion, Subject, Verdict, Version
from unlearn.vocabulary import Id

_METHODS = ("native", "reconverge", "two_level")


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> RecommenderTarget:
    """The target that a table of settings describes.

    Raises:
        InvalidInteractions: an option is unknown or has no usable value; the message lists all of them.
    """
    problems = Problems("the options of a recommender", InvalidInteractions)
    known = {"workspace", "identity_type", "method"}
    for name in sorted(set(options) - known):
        problems.add(f"`{name}` must be one of {', '.join(sorted(known))}")
    for name in sorted(known & set(options)):
        if not isinstance(options[name], str) or not options[name]:
            problems.add(f"`{name}` must be text (got {options[name]!r})")
    if "workspace" not in options:
        problems.add("`workspace` must be the folder that `unlearn train` made (got none)")
    problems.raise_any()
    folder = Path(options["workspace"])
    workspace.require(folder)
    chosen = None if "method" not in options else unlearner(options["method"])
    return RecommenderTarget(folder, pseudonyms, options.get("identity_type", "controller_customer_id"), chosen)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of new interactions: stored, refused because of whom they are about, or of ids that are unknown."""

    stored: int
    refused: int
    unknown: int


class RecommenderTarget:
    """A workspace that people can be deleted from: see `unlearn.target.Target`.

    Args:
        method: what unlearns; None for the first of `native`, `reconverge` and `two_level` that can be applied.
    """

    def __init__(
        self, folder: Path, pseudonyms: Pseudonyms, identity_type: str, method: Unlearner | None = None
    ) -> None:
        self.place = Place(folder.resolve())
        self.identity_type = identity_type
        self._method = method
        self._blocked = Blocklist(self.place.beside / "blocked", pseudonyms)

    @property
    def identity_types(self) -> frozenset[str]:
        return frozenset({self.identity_type})

    def blocks(self, user: Id) -> bool:
        """Whether the user is suppressed or erased."""
        return Subject(self.identity_type, str(user)) in self._blocked

    # ---- the contract ------------------------------------------------------------------------------------------------

    def resolve(self, batch: Batch) -> Counts:
        data = self.place.data()
        users = self._known(batch, data)
        return {"users": len(users), "interactions": len(data.positions(ForgetSet(users=tuple(users))))}

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.add(subjects)}

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.discard(subjects)}

    def remove(self, batch: Batch) -> Removal:
        seal = self.place.seal(batch.id)
        with workspace.held(self.place.workspace):
            data = self.place.data()
            users = self._known(batch, data)
            if users and not seal.exists:
                seal.write(sealed.packed(data, users))
            gone = seal.read() if seal.exists else None
            if users:
                data = data.without(ForgetSet(users=tuple(users)))
                self.place.store_data(data)
        removed = 0 if gone is None else sealed.interactions(gone)
        drift = self.place.manifest()["training"]["removed"] + removed
        return Removal(
            counts={"users": 0 if gone is None else len(sealed.ids(gone)), "interactions": removed},
            share=removed / max(1, len(data) + removed),
            drift=drift / max(1, len(data) + drift),
        )

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        with workspace.held(self.place.workspace):
            remaining, gone = self.place.data(), self.place.outstanding()
            staged = self.place.facts(batch.id)
            if staged is not None and (staged["retrain"], staged["without"]) == (retrain, sorted(gone)):
                return _version(batch, staged)
            before = self.place.published(sealed.put_back(remaining, list(gone.values())))
            replaces = self.place.manifest()["digest"]
        # The long part, during which others may read and take in.
        forget = ForgetSet(users=tuple(one for content in gone.values() for one in sealed.ids(content)))
        after, made = _retrained(before, forget) if retrain else self._unlearned(before, forget)
        made |= {"retrain": retrain, "without": sorted(gone), "replaces": replaces}
        return _version(batch, made | {"digest": self.place.stage(batch.id, after, made)})

    def verify(self, batch: Batch, version: Version) -> Verdict:
        data = self.place.data()
        gone = sum(map(sealed.interactions, self.place.outstanding().values()))
        folder = self.place.staged(batch.id) / "model"
        before, after = self.place.published(data), store.load(folder, data)
        return examine(before, after, store.user_ids(folder), share=gone / max(1, len(data) + gone))

    def publish(self, batch: Batch, version: Version) -> Counts:
        with workspace.held(self.place.workspace):
            staged = self.place.facts(batch.id)
            if staged is None or staged["digest"] != version.digest:
                if self.place.manifest()["digest"] != version.digest:
                    raise StaleVersion(f"version {version.id} is neither staged nor published")
            else:
                if not self.place.outstanding().keys() <= set(staged["without"]):
                    raise StaleVersion(f"more was removed since version {version.id} was made")
                self.place.swap(batch.id)
                self.place.unstage(batch.id)
        return {"versions": 1}

    def rollback(self, batch: Batch, version: Version) -> Counts:
        self.place.unstage(batch.id)
        return {"versions": 1}

    def purge(self, batch: Batch) -> Counts:
        seal = self.place.seal(batch.id)
        with workspace.held(self.place.workspace):
            seal.destroy()
            self.place.unstage(batch.id)
            users = self.place.known(self._ids(batch, self.place.data()))
        return {"seals": seal.left(), "versions": int(self.place.staged(batch.id).exists()), "users": users}

    def people(self) -> list[Subject]:
        """Everybody in the stored data or in the published version: see `unlearn.target.Listing`."""
        known = self.place.data().users, store.user_ids(workspace.model_folder(self.place.workspace))
        held = dict.fromkeys(user for ids in known for user in ids.take(ids.alive.nonzero()[0]))
        return [Subject(self.identity_type, str(user)) for user in held]

    # ---- new interactions --------------------------------------------------------------------------------------------

    def take_in(self, frame: pd.DataFrame) -> Taken:
        """Store new interactions (columns user, item and those that the data have), but none of anybody blocked.

        What is of users or items that the model does not know is counted and left to the next training. A pair that is
        stored already stays as it is. The next version that is made learns from them.

        Raises:
            InvalidInteractions: a column is missing or a value cannot be used; nothing was stored.
        """
        with workspace.held(self.place.workspace):
            data = self.place.data()
            blocked = frame["user"].map({user: self.blocks(user) for user in frame["user"].unique()}).astype(bool)
            rows = (
                ids.rows(frame[name].tolist(), unknown="mark")
                for ids, name in ((data.users, "user"), (data.items, "item"))
            )
            users, items = rows
            known = ~blocked.to_numpy() & (users >= 0) & (items >= 0)
            new = known & ~data.contains(users, items)
            arrived = frame[new].drop_duplicates(["user", "item"], keep="last")
            if len(arrived):
                columns: Any = {name: name for name in ("weight", "time") if getattr(data, name) is not None}
                added = Interactions.from_frame(arrived, users=data.users, items=data.items, **columns)
                self.place.store_data(data.merge(added))
        refused = int(blocked.sum())
        return Taken(stored=len(arrived), refused=refused, unknown=len(frame) - refused - int(known.sum()))

    # ---- helpers -----------------------------------------------------------------------------------------------------

    def _ids(self, batch: Batch, data: Interactions) -> list[Id]:
        """The batch's people as ids of this data's kind; 007 is not 7, for suppression goes by what was written."""
        values = [subject.value for subject in batch.subjects if subject.type == self.identity_type]
        return [user for user, value in zip(data.users.parse(values), values, strict=True) if str(user) == value]

    def _known(self, batch: Batch, data: Interactions) -> list[Id]:
        return [user for user in self._ids(batch, data) if user in data.users]

    def _unlearned(self, before: store.Storable, forget: ForgetSet) -> tuple[store.Storable, dict[str, Any]]:
        chosen = self._method or next(one for one in map(method, _METHODS) if one.obstacle(before) is None)
        result = chosen.forget(before, forget)
        assert isinstance(result.problem, store.Storable)
        facts = {
            "interactions_removed": result.records_removed,
            "residual_before": result.residual_before,
            "residual_after": result.residual_after,
            "seconds": result.seconds,
        }
        return result.problem, {"method": chosen.name, "facts": facts}


def _version(batch: Batch, staged: Mapping[str, Any]) -> Version:
    return Version(
        id=batch.id,
        method=staged["method"],
        digest=staged["digest"],
        replaces=staged["replaces"],
        facts=staged["facts"],
    )


def _retrained(before: store.Storable, forget: ForgetSet) -> tuple[store.Storable, dict[str, Any]]:
    removed, started = int(before.records(forget).numel()), time.perf_counter()
    after = before.without(forget).fit()
    facts = {
        "interactions_removed": removed,
        "residual_before": None,
        "residual_after": after.history.residual,
        "seconds": time.perf_counter() - started,
    }
    return after, {"method": "retrain", "facts": facts}
