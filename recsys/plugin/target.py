"""The recommender as a target: every step of the contract on a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recsys import store
from recsys.commands import workspace
from recsys.plugin import sealed
from recsys.plugin.making import trained, unlearned
from recsys.plugin.options import Options
from recsys.plugin.place import Place
from recsys.plugin.stored import Stored, arrived
from recsys.plugin.tracked import Tracked
from recsys.plugin.verification import examine
from unlearn.blocklist import Blocklist
from unlearn.forget import ForgetSet
from unlearn.target import (
    INTERACTION,
    Batch,
    Counts,
    Pseudonyms,
    Removal,
    StaleVersion,
    Subject,
    Verdict,
    Version,
    interaction,
)
from unlearn.vocabulary import Id


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> RecommenderTarget:
    """The target that a table of settings describes.

    Raises:
        InvalidInteractions: see `Options.read`.
        FileNotFoundError: the workspace is none.
    """
    return RecommenderTarget(Options.read(options), pseudonyms)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of new interactions: stored, or refused because of whom they are about; users that are new now."""

    stored: int
    refused: int
    new_users: int


class RecommenderTarget:
    """A workspace that people can be deleted from: see `unlearn.target.Target`."""

    def __init__(self, options: Options, pseudonyms: Pseudonyms) -> None:
        self.place = Place(options.workspace)
        self.identity_type = options.identity_type
        self._method = options.method
        self._tracked = Tracked(options.tracking, options.registered_model, options.old_versions, pseudonyms)
        self._blocked = Blocklist(self.place.beside / "blocked", pseudonyms)

    @property
    def identity_types(self) -> frozenset[str]:
        return frozenset({self.identity_type, INTERACTION})

    def blocks(self, user: Id, item: Id | None = None) -> bool:
        """Whether the user, or their interaction with the item, is suppressed or erased."""
        person = Subject(self.identity_type, str(user))
        return (person if item is None else interaction(person, str(item))) in self._blocked

    # ---- the contract ------------------------------------------------------------------------------------------------

    def resolve(self, batch: Batch) -> Counts:
        stored = self.place.stored()
        held = stored.holds(self._asked(batch, stored))
        return {"users": len(held.users), "interactions": stored.count(held)}

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.add(map(_as_written_here, subjects))}

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return {"people": self._blocked.discard(map(_as_written_here, subjects))}

    def remove(self, batch: Batch) -> Removal:
        seal = self.place.seal(batch.id)
        with workspace.held(self.place.workspace):
            stored, manifest = self.place.stored(), self.place.manifest()
            held = stored.holds(self._asked(batch, stored))
            if held and not seal.exists:
                seal.write(sealed.packed(stored, held, since=manifest["digest"]))
            gone = seal.read() if seal.exists else None
            if held:
                stored = stored.without(held)
                self.place.store(stored)
        removed, learned = 0 if gone is None else sealed.interactions(gone), len(stored.data)
        drift = manifest["training"]["removed"] + removed
        return Removal(
            counts={"users": 0, "interactions": 0} if gone is None else sealed.counts(gone),
            share=removed / max(1, learned + removed),
            drift=drift / max(1, learned + drift),
        )

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        with workspace.held(self.place.workspace):
            stored, gone = self.place.stored(), self.place.outstanding()
            staged, manifest = self.place.facts(batch.id), self.place.manifest()
            same = {"retrain": retrain, "without": sorted(gone), "replaces": manifest["digest"]}
            if staged is not None and same.items() <= staged.items():
                return _version(batch, staged)
            whole = sealed.put_back(stored.data, list(gone.values()))
            forget = sealed.forget_set(whole, list(gone.values()))
            before = self.place.untrained(stored.everything()) if retrain else self.place.published(whole)
        # The long part, during which others may read and take in.
        after, made = trained(before) if retrain else unlearned(before, forget, self._method)
        made["facts"] |= {
            "interactions_removed": sum(map(sealed.interactions, gone.values())),
            # Interactions forgotten approximately since the last full training.
            "debt_before": manifest["training"]["removed"],
            "debt_after": after.history.removed,
        }
        made |= same
        return _version(batch, made | {"digest": self.place.stage(batch.id, after, made)})

    def verify(self, batch: Batch, version: Version) -> Verdict:
        stored, folder = self.place.stored(), self.place.staged(batch.id) / "model"
        gone = sum(map(sealed.interactions, self.place.outstanding().values()))
        users = store.user_ids(folder)
        before = self.place.published(stored.data)
        after = store.load(folder, stored.over(users, store.item_ids(folder)).data)
        return examine(before, after, users, share=gone / max(1, len(stored.data) + gone))

    def publish(self, batch: Batch, version: Version) -> Counts:
        with workspace.held(self.place.workspace):
            staged, published = self.place.facts(batch.id), self.place.manifest()["digest"]
            if published != version.digest:
                if staged is None or staged["digest"] != version.digest:
                    raise StaleVersion(f"version {version.id} is neither staged nor published")
                # Another version that was published meanwhile was made without people whom this one may know.
                if staged["replaces"] != published or not self.place.outstanding().keys() <= set(staged["without"]):
                    raise StaleVersion(f"more was removed since version {version.id} was made")
                self.place.swap(batch.id)
            self.place.unstage(batch.id)
            # After the version that it follows: killed in between, this is called again and finds the version there.
            self._tracked.publish(self.place, batch, version)
        return {"versions": 1}

    def rollback(self, batch: Batch, version: Version) -> Counts:
        self.place.unstage(batch.id)
        return {"versions": 1}

    def purge(self, batch: Batch) -> Counts:
        seal = self.place.seal(batch.id)
        with workspace.held(self.place.workspace):
            seal.destroy()
            self.place.unstage(batch.id)
            tracked = self._tracked.purge(self.place.manifest()["digest"])
            stored = self.place.stored()
            asked = self._asked(batch, stored)
            known = self.place.user_ids()
            left = {
                "users": sum(user in known for user in asked.users),
                "interactions": stored.count(stored.holds(asked)),
            }
        return {"seals": seal.left(), "versions": int(self.place.staged(batch.id).exists())} | left | tracked

    # ---- new interactions --------------------------------------------------------------------------------------------

    def take_in(self, frame: pd.DataFrame) -> Taken:
        """Store new interactions (columns user, item and those that the data have), but none of anybody blocked.

        Users that the model does not know are answered by what they have in common with it (`recsys.newcomers`), and
        learned with new items by the next retrain. A pair that is stored already stays as it is. The next version
        learns from new pairs of what it knows.

        Raises:
            InvalidInteractions: a column is missing or a value cannot be used; nothing was stored.
        """
        if not len(frame):
            return Taken(0, 0, 0)
        with workspace.held(self.place.workspace):
            stored = self.place.stored()
            came = arrived(frame, stored)
            users = {user: self.blocks(user) for user in came["user"].unique().tolist()}
            pairs = zip(came["user"].tolist(), came["item"].tolist(), strict=True)
            refused = np.array([users[user] or self.blocks(user, item) for user, item in pairs])
            after = stored.joined(came[~refused])
            if len(after) > len(stored):
                self.place.store(after)
        new_users = after.newcomers().n_users - stored.newcomers().n_users
        return Taken(len(after) - len(stored), int(refused.sum()), new_users)

    # ---- helpers -----------------------------------------------------------------------------------------------------

    def _asked(self, batch: Batch, stored: Stored) -> ForgetSet:
        """What the batch asks for, as ids of the kinds that are stored; 007 is not 7, for suppression goes by text."""
        parts = [part for subject in batch.subjects if (part := subject.part) is not None]
        people = [(subject, None) for subject in batch.subjects] + parts
        wanted = [(person.value, item) for person, item in people if person.type == self.identity_type]
        users, items = stored.data.users, stored.data.items
        found = [
            (user, None if item is None else items.parse([item])[0])
            for value, item in wanted
            if str(user := users.parse([value])[0]) == value
        ]
        return ForgetSet(
            users=tuple(user for user, item in found if item is None),
            interactions=tuple((user, item) for user, item in found if item is not None),
        )


def _as_written_here(subject: Subject) -> Subject:
    """The same interaction in the one spelling that serving and taking in ask for."""
    return subject if (part := subject.part) is None else interaction(*part)


def _version(batch: Batch, staged: Mapping[str, Any]) -> Version:
    return Version(
        id=batch.id,
        method=staged["method"],
        digest=staged["digest"],
        replaces=staged["replaces"],
        facts=staged["facts"],
    )
