"""Where a recommender's versions, seals and stored data lie, and what is in them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys import store
from recsys.commands import workspace
from recsys.data import Interactions, from_parquet, to_parquet
from recsys.plugin import sealed
from recsys.plugin.stored import Stored
from recsys.recommend import BaseRanker
from unlearn import durable
from unlearn.seal import Seal
from unlearn.vocabulary import Vocabulary

ARRIVED = "interactions-arrived.parquet"


@dataclass(frozen=True)
class Place:
    """A workspace, whose snapshot is the stored data, and the folder beside it with what is not published."""

    workspace: Path

    @property
    def beside(self) -> Path:
        """The folder of everything but the workspace."""
        return self.workspace.with_name(f"{self.workspace.name}.service")

    # ---- the workspace -----------------------------------------------------------------------------------------------

    @property
    def model(self) -> Path:
        """The folder of the published version."""
        return workspace.model_folder(self.workspace)

    def stored(self) -> Stored:
        """What is stored of people: what the published version was made from and remains, and what came in since."""
        with workspace.held(self.workspace):
            data = from_parquet(self.workspace / workspace.SNAPSHOT)
            path = self.workspace / ARRIVED
            arrived = pd.read_parquet(path) if path.is_file() else data.frame()[:0]
        return Stored(data, arrived)

    def store(self, stored: Stored) -> None:
        """Put this in the place of what is stored, each file whole; the model stays. To be called while it is held."""
        _write(stored, self.workspace)
        for file in self.workspace.glob("interactions*.parquet"):
            durable.sync_folder(file)
        durable.sync_folder(self.workspace)

    def manifest(self) -> dict[str, Any]:
        """Of the published version."""
        return json.loads((self.model / "manifest.json").read_text("utf-8"))

    def published(self, data: Interactions) -> store.Storable:
        """The published version over these data."""
        return store.load(self.model, data)

    def untrained(self, data: Interactions) -> store.Storable:
        """A model made like the published one, over any data."""
        return store.untrained(self.model, data)

    def user_ids(self) -> Vocabulary:
        """The users that the published version knows."""
        return store.user_ids(self.model)

    def ranker(self, data: Interactions) -> BaseRanker:
        """What the published version serves with: its tables as they were stored, whatever has left the data since."""
        if "closed_form" in self.manifest():
            return self.published(data).ranker()
        return store.load_ranker(self.model)

    def swap(self, batch_id: str) -> None:
        """Publish a staged model over what is stored now."""
        model = self.staged(batch_id) / "model"
        stored = self.stored().over(store.user_ids(model), store.item_ids(model))

        def write(new: Path) -> None:
            # Linked, not moved: should this process be killed, the staged version is still there.
            shutil.copytree(model, workspace.model_folder(new), copy_function=_link)
            _write(stored, new)

        workspace.replace(self.workspace, write)

    # ---- what is removed and not purged ------------------------------------------------------------------------------

    def seal(self, batch_id: str) -> Seal:
        """The seal of a batch."""
        return Seal(self.beside / "sealed", batch_id)

    def outstanding(self) -> dict[str, bytes]:
        """What is sealed of batches that the published version was made with, by batch.

        Whatever is published later was made without every batch that was sealed by then.
        """
        published = self.manifest()["digest"]
        opened = {seal.name: seal.read() for seal in Seal.all(self.beside / "sealed")}
        return {name: content for name, content in opened.items() if sealed.since(content) == published}

    # ---- what is staged ----------------------------------------------------------------------------------------------

    def staged(self, batch_id: str) -> Path:
        """The folder of a batch's staged version."""
        return self.beside / "staged" / batch_id

    def stage(self, batch_id: str, model: store.Storable, facts: dict[str, Any]) -> str:
        """Write a model and what is known of its making; returns its digest. It counts once the facts are there."""
        self.unstage(batch_id)
        folder = self.staged(batch_id)
        digest = store.save(model, folder / "model")
        durable.sync_tree(folder)
        durable.replace(folder / "facts.json", json.dumps(facts | {"digest": digest}).encode())
        return digest

    def facts(self, batch_id: str) -> dict[str, Any] | None:
        """What was written with the staged version; None where there is none that is complete."""
        path = self.staged(batch_id) / "facts.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def unstage(self, batch_id: str) -> None:
        """Destroy a staged version, or what there is of it."""
        durable.remove(self.staged(batch_id) / "facts.json")
        shutil.rmtree(self.staged(batch_id), ignore_errors=True)


def _write(stored: Stored, folder: Path) -> None:
    to_parquet(stored.data, folder / workspace.SNAPSHOT)
    if len(stored.arrived):
        unfinished = folder / f"{ARRIVED}.unfinished"
        stored.arrived.to_parquet(unfinished, index=False)
        unfinished.replace(folder / ARRIVED)
    else:
        (folder / ARRIVED).unlink(missing_ok=True)


def _link(source: Any, destination: Any) -> None:
    Path(destination).hardlink_to(source)
