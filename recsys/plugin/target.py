"""The recommender as a target: every step of the contract on a workspace."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recsys import store
from recsys.commands import workspace
from recsys.data import Interactions, from_parquet, to_parquet
from recsys.errors import InvalidInteractions
from recsys.plugin import sealed
from recsys.plugin.verification import examine
from recsys.recommend import BaseRanker
from unlearn import durable
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner, method
from unlearn.specification import unlearner
from unlearn.staging import link, unpacked
from unlearn.target import Batch, Counts, Pseudonyms, Removal, Verdict, Version
from unlearn.vocabulary import Id, Vocabulary
from unlearn.workspace_target import IDENTITY, Made, Taken, WorkspaceTarget, checked_options

_METHODS = ("native", "reconverge", "two_level")


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> RecommenderTarget:
    """The target that a table of settings describes.

    Raises:
        InvalidInteractions: an option is unknown or has no usable value; the message lists all of them.
        FileNotFoundError: the workspace is none.
    """
    known = ("workspace", "identity_type", "method")
    folder = checked_options(options, known, "the options of a recommender", InvalidInteractions)
    workspace.at(folder).require()
    chosen = None if "method" not in options else unlearner(options["method"])
    return RecommenderTarget(folder, pseudonyms, options.get("identity_type", IDENTITY), chosen)


class RecommenderTarget(WorkspaceTarget[Interactions, store.Storable]):
    """A workspace of `unlearn train` that people can be deleted from: see `unlearn.target.Target`.

    Args:
        method: what unlearns; None for the first of `native`, `reconverge` and `two_level` that can be applied.
    """

    def __init__(
        self, folder: Path, pseudonyms: Pseudonyms, identity_type: str, method: Unlearner | None = None
    ) -> None:
        super().__init__(workspace.at(folder), pseudonyms, identity_type)
        self._model = workspace.model_folder(folder)
        self._method = method

    def ranker(self, data: Interactions) -> BaseRanker:
        """What the published version serves with: its tables as they were stored, whatever has left the data since."""
        if "closed_form" in self._manifest():
            return store.load(self._model, data).ranker()
        return store.load_ranker(self._model)

    def verify(self, batch: Batch, version: Version) -> Verdict:
        with self.workspace.held():
            data, gone = self.data(), sum(map(sealed.interactions, self.outstanding().values()))
            before = store.load(self._model, data)
        folder = self.staging.version(batch.id) / "model"
        after = store.load(folder, data)
        return examine(before, after, store.user_ids(folder), share=gone / max(1, len(data) + gone))

    # ---- what its data and versions are ------------------------------------------------------------------------------

    def data(self) -> Interactions:
        """What remains of the data that the published version was made from, and what came in since."""
        with self.workspace.held():
            return from_parquet(self.workspace.folder / workspace.SNAPSHOT)

    def _store(self, data: Interactions) -> None:
        path = self.workspace.folder / workspace.SNAPSHOT
        to_parquet(data, path)
        durable.sync_folder(path)
        durable.sync_folder(path.parent)

    def _people(self, data: Interactions) -> Vocabulary:
        return data.users

    def _counts(self, data: Interactions, people: Sequence[Id]) -> Counts:
        return {"users": len(people), "interactions": len(data.positions(ForgetSet(users=tuple(people))))}

    def _pack(self, data: Interactions, people: Sequence[Id]) -> bytes:
        return sealed.packed(data, people)

    def _without(self, data: Interactions, people: Sequence[Id]) -> Interactions:
        return data.without(ForgetSet(users=tuple(people)))

    def _removal(self, remaining: Interactions, content: bytes | None) -> Removal:
        users, removed = (0, 0) if content is None else (len(unpacked(content)[0]), sealed.interactions(content))
        drift = self._manifest()["training"]["removed"] + removed
        return Removal(
            counts={"users": users, "interactions": removed},
            share=removed / max(1, len(remaining) + removed),
            drift=drift / max(1, len(remaining) + drift),
        )

    def _manifest(self) -> dict[str, Any]:
        return json.loads((self._model / "manifest.json").read_text("utf-8"))

    def _published_people(self) -> Vocabulary:
        return store.user_ids(self._model)

    def _published_digest(self) -> str:
        return self._manifest()["digest"]

    def _published(self, remaining: Interactions, contents: Sequence[bytes]) -> store.Storable:
        return store.load(self._model, sealed.put_back(remaining, contents))

    def _make(self, before: store.Storable, people: tuple[Id, ...], *, retrain: bool) -> Made:
        forget = ForgetSet(users=people)
        if retrain:
            return _retrained(before, forget)
        chosen = self._method or next(one for one in map(method, _METHODS) if one.obstacle(before) is None)
        result = chosen.forget(before, forget)
        assert isinstance(result.problem, store.Storable)
        residuals = result.residual_before, result.residual_after
        return _made(chosen.name, result.problem, result.records_removed, residuals, result.seconds)

    def _swap(self, staged: Path, new: Path) -> None:
        shutil.copytree(staged / "model", workspace.model_folder(new), copy_function=link)
        for file in self.workspace.folder.glob("interactions*.parquet"):
            link(file, new / file.name)

    # ---- new interactions --------------------------------------------------------------------------------------------

    def take_in(self, frame: pd.DataFrame) -> Taken:
        """Store new interactions (columns user, item and those that the data have), but none of anybody blocked.

        What is of users or items that the model does not know is counted and left to the next training. A pair that is
        stored already stays as it is. The next version that is made learns from them.

        Raises:
            InvalidInteractions: a column is missing or a value cannot be used; nothing was stored.
        """
        with self.workspace.held():
            data = self.data()
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
                self._store(data.merge(added))
        refused = int(blocked.sum())
        return Taken(stored=len(arrived), refused=refused, unknown=len(frame) - refused - int(known.sum()))


def _retrained(before: store.Storable, forget: ForgetSet) -> Made:
    removed, started = int(before.records(forget).numel()), time.perf_counter()
    after = before.without(forget).fit()
    return _made("retrain", after, removed, (None, after.history.residual), time.perf_counter() - started)


def _made(
    method: str, model: store.Storable, removed: int, residuals: tuple[float | None, float | None], seconds: float
) -> Made:
    facts = {
        "interactions_removed": removed,
        "residual_before": residuals[0],
        "residual_after": residuals[1],
        "seconds": seconds,
    }
    return Made(method, facts, lambda folder: store.save(model, folder / "model"))
