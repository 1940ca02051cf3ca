"""Where a recommender's versions, seals and stored data lie, and what is in them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import store
from recsys.commands import workspace
from recsys.data import Interactions, from_parquet, to_parquet
from recsys.plugin import sealed
from recsys.recommend import BaseRanker
from unlearn import durable
from unlearn.seal import Seal
from unlearn.vocabulary import Id


@dataclass(frozen=True)
class Place:
    """A workspace, whose snapshot is the stored data, and the folder beside it with what is not published."""

    workspace: Path

    @property
    def beside(self) -> Path:
        """The folder of everything but the workspace."""
        return self.workspace.with_name(f"{self.workspace.name}.service")

    # ---- the workspace -----------------------------------------------------------------------------------------------

    def data(self) -> Interactions:
        """The stored data: what remains of those that the published version was made from, and what came in since."""
        with workspace.held(self.workspace):
            return from_parquet(self.workspace / workspace.SNAPSHOT)

    def store_data(self, data: Interactions) -> None:
        """Put data in the place of the stored ones, whole; the model stays. Call it inside `workspace.held`."""
        to_parquet(data, self.workspace / workspace.SNAPSHOT)
        durable.sync_folder(self.workspace / workspace.SNAPSHOT)
        durable.sync_folder(self.workspace)

    def manifest(self) -> dict[str, Any]:
        """Of the published version."""
        return json.loads((workspace.model_folder(self.workspace) / "manifest.json").read_text("utf-8"))

    def published(self, data: Interactions) -> store.Storable:
        """The published version over these data."""
        return store.load(workspace.model_folder(self.workspace), data)

    def ranker(self, data: Interactions) -> BaseRanker:
        """What the published version serves with: its tables as they were stored, whatever has left the data since."""
        if "closed_form" in self.manifest():
            return self.published(data).ranker()
        return store.load_ranker(workspace.model_folder(self.workspace))

    def swap(self, batch_id: str) -> None:
        """Publish a staged model over the data that are stored now."""

        def write(new: Path) -> None:
            # Linked, not moved: should this process be killed, the staged version is still there.
            shutil.copytree(self.staged(batch_id) / "model", workspace.model_folder(new), copy_function=_link)
            for file in self.workspace.glob("interactions*.parquet"):
                _link(file, new / file.name)

        workspace.replace(self.workspace, write)

    # ---- what is removed and not purged ------------------------------------------------------------------------------

    def seal(self, batch_id: str) -> Seal:
        """The seal of a batch."""
        return Seal(self.beside / "sealed", batch_id)

    def outstanding(self) -> dict[str, bytes]:
        """What is sealed of batches whose users the published version still has, by batch."""
        ids = store.user_ids(workspace.model_folder(self.workspace))
        opened = {seal.name: seal.read() for seal in Seal.all(self.beside / "sealed")}
        return {name: content for name, content in opened.items() if any(one in ids for one in sealed.ids(content))}

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

    def known(self, users: list[Id]) -> int:
        """How many of the users are in the stored data or in the published version."""
        held = self.data().users, store.user_ids(workspace.model_folder(self.workspace))
        return sum(any(user in ids for ids in held) for user in users)


def _link(source: Any, destination: Any) -> None:
    Path(destination).hardlink_to(source)
