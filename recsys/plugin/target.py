"""The recommender as a target: every step of the contract on a workspace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys import store, workspace
from recsys.plugin import sealed
from recsys.plugin.making import Begun, trained, unlearned
from recsys.plugin.options import Options
from recsys.plugin.stored import Stored, arrived
from recsys.plugin.tracked import Tracked
from recsys.plugin.verification import examine
from recsys.recommend import BaseRanker
from unlearn.forget import ForgetSet, Id
from unlearn.staging import Sealed, link
from unlearn.target import (
    INTERACTION,
    Batch,
    Counts,
    Pseudonyms,
    Removal,
    Subject,
    Verdict,
    Version,
    interaction,
)
from unlearn.tracking.copies import Copies
from unlearn.vocabulary import Vocabulary
from unlearn.workspace_target import Made, WorkspaceTarget


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> RecommenderTarget:
    """The target that a table of settings describes.

    Raises:
        InvalidOptions: see `Options.read`.
        FileNotFoundError: the workspace is none.
    """
    return RecommenderTarget(Options.read(options), pseudonyms)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of new interactions: stored, or refused because of whom they are about; users that are new now."""

    stored: int
    refused: int
    new_users: int


class RecommenderTarget(WorkspaceTarget[Stored, Begun]):
    """A workspace of `unlearn train` that people can be deleted from: see `unlearn.target.Target`."""

    def __init__(self, options: Options, pseudonyms: Pseudonyms) -> None:
        super().__init__(workspace.at(options.workspace), pseudonyms, options.identity_type)
        self.model = workspace.model_folder(options.workspace)
        self._method, self._device = options.method, options.device
        self._tracked = Tracked(options.tracking, options.registered_model, options.old_versions, pseudonyms)

    @property
    def identity_types(self) -> frozenset[str]:
        return frozenset({self.identity_type, INTERACTION})

    def blocks(self, person: Id, item: Id | None = None) -> bool:
        """Whether the user, or their interaction with the item, is suppressed or erased."""
        subject = Subject(self.identity_type, str(person))
        return (subject if item is None else interaction(subject, str(item))) in self._blocked

    def verify(self, batch: Batch, version: Version) -> Verdict:
        with self.workspace.held():
            self._require_fresh(batch, version)
            stored, gone = self.data(), sum(map(sealed.interactions, self.outstanding().values()))
            before = self.published(stored)
        folder = self.staging.version(batch.id) / "model"
        users = store.user_ids(folder)
        after = store.load(folder, stored.over(users, store.item_ids(folder)).data)
        before, after = before.to(self._device), after.to(self._device)
        return examine(before, after, users, share=gone / max(1, len(stored.data) + gone))

    def publish(self, batch: Batch, version: Version) -> Counts:
        with self.workspace.held():
            counts = super().publish(batch, version)
            # After the version that it follows: killed in between, this is called again and finds the version there.
            self._tracked.publish(self.model, batch, version)
        return counts

    def purge(self, batch: Batch) -> Counts:
        with self.workspace.held():
            left = {**super().purge(batch), **self._tracked.purge(self._published_digest())}
            # What `unlearn train` kept elsewhere of versions that this one follows.
            return {**left, "copies": len(Copies.of(self.workspace.folder).destroy())}

    # ---- what its data and versions are ------------------------------------------------------------------------------

    def data(self) -> Stored:
        """What remains of the data that the published version was made from, and what came in since."""
        with self.workspace.held():
            return Stored.read(self.workspace.folder)

    def published(self, stored: Stored) -> store.Storable:
        """The published version, over what is stored now."""
        return store.load(self.model, stored.data)

    def ranker(self, stored: Stored) -> BaseRanker:
        """What the published version serves with: its tables as they were stored, whatever has left the data since."""
        if store.solved(self.model):
            return self.published(stored).ranker()
        return store.load_ranker(self.model)

    def _store(self, data: Stored) -> None:
        data.write(self.workspace.folder)

    def _people(self, data: Stored) -> Vocabulary:
        return data.data.users

    def _asked(self, batch: Batch, data: Stored) -> ForgetSet:
        parts = [part for subject in batch.subjects if (part := subject.part) is not None]
        mine = [(person.value, item) for person, item in parts if person.type == self.identity_type]
        users, items = self._people(data), data.data.items
        interactions = zip(users.parse(user for user, _ in mine), items.parse(item for _, item in mine), strict=True)
        return super()._asked(batch, data) | ForgetSet(interactions=tuple(interactions))

    def _held(self, data: Stored, asked: ForgetSet) -> ForgetSet:
        return data.holds(asked)

    def _counts(self, data: Stored, held: ForgetSet) -> Counts:
        return {"users": len(held.users), "interactions": data.count(held)}

    def _pack(self, data: Stored, held: ForgetSet, *, since: str) -> Sealed:
        return sealed.packed(data, held, since=since)

    def _without(self, data: Stored, held: ForgetSet) -> Stored:
        return data.without(held)

    def _removal(self, remaining: Stored, gone: Sealed | None) -> Removal:
        removed, learned = 0 if gone is None else sealed.interactions(gone), len(remaining.data)
        drift = self.manifest()["training"]["removed"] + removed
        return Removal(
            counts={"users": 0, "interactions": 0} if gone is None else gone.counts,
            share=removed / max(1, learned + removed),
            drift=drift / max(1, learned + drift),
        )

    def manifest(self) -> dict[str, Any]:
        """Of the published version, whose folder is `model`."""
        return json.loads((self.model / "manifest.json").read_text("utf-8"))

    def _published_people(self) -> Vocabulary:
        return store.user_ids(self.model)

    def _published_digest(self) -> str:
        return store.digest(self.model)

    def _begin(self, data: Stored, outstanding: Sequence[Sealed], *, retrain: bool) -> Begun:
        whole = sealed.put_back(data.data, outstanding)
        model = store.untrained(self.model, data.everything()) if retrain else store.load(self.model, whole)
        return Begun(
            model.to(self._device),
            sealed.forget_set(whole, outstanding),
            removed=sum(map(sealed.interactions, outstanding)),
            debt=self.manifest()["training"]["removed"],
        )

    def _make(self, begun: Begun, *, retrain: bool) -> Made:
        return trained(begun) if retrain else unlearned(begun, self._method)

    def _swap(self, staged: Path, new: Path) -> None:
        model = staged / "model"
        shutil.copytree(model, workspace.model_folder(new), copy_function=link)
        self.data().over(store.user_ids(model), store.item_ids(model)).write(new)

    def people(self) -> Iterator[Subject]:
        """Everybody that it holds anything about, and each of their interactions, which may have been erased alone."""
        with self.workspace.held():
            stored, known, gone = self.data(), super().people(), self.staging.sealed().values()
        new = (Subject(self.identity_type, str(user)) for user in stored.arrived["user"])
        yield from dict.fromkeys([*known, *new])
        frames = (zip(frame["user"], frame["item"], strict=True) for frame in (stored.data.frame(), stored.arrived))
        for user, item in chain(*frames, *(one.parts for one in gone)):
            yield interaction(Subject(self.identity_type, str(user)), str(item))

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
        with self.workspace.held():
            stored = self.data()
            came = arrived(frame, stored)
            users = {user: self.blocks(user) for user in came["user"].unique().tolist()}
            pairs = zip(came["user"].tolist(), came["item"].tolist(), strict=True)
            refused = np.array([users[user] or self.blocks(user, item) for user, item in pairs])
            after = stored.joined(came[~refused])
            if len(after) > len(stored):
                self._store(after)
        new_users = after.newcomers().n_users - stored.newcomers().n_users
        return Taken(len(after) - len(stored), int(refused.sum()), new_users)
