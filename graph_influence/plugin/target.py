"""A social graph as a target: every step of the contract on a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graph_influence import store, surrogate_store, workspace
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.network import Network, Plan, merged
from graph_influence.plugin import sealed
from graph_influence.plugin.arrivals import COLUMNS, Stored, among, write_arrived
from graph_influence.plugin.making import Begun, made
from graph_influence.plugin.verification import examine
from graph_influence.snapshot import from_parquet
from unlearn.forget import ForgetSet
from unlearn.invalid import Problems
from unlearn.methods.base import Unlearner
from unlearn.specification import unlearner
from unlearn.staging import Sealed, link
from unlearn.target import Batch, Counts, Pseudonyms, Removal, Verdict, Version
from unlearn.vocabulary import Vocabulary
from unlearn.workspace_target import IDENTITY, InvalidOptions, Made, WorkspaceTarget, text_options


def target(options: Mapping[str, Any], pseudonyms: Pseudonyms) -> NetworkTarget:
    """The target that a table of settings describes.

    Raises:
        InvalidOptions: an option is unknown or has no usable value; the message lists all of them.
        ValueError: there is no such method, or nothing that it could be for.
        FileNotFoundError: the workspace is none.
    """
    problems = Problems("the options of a social graph", InvalidOptions)
    known = ("workspace", "identity_type", "method")
    texts = text_options(options, known, problems, made_by="`unlearn influence prepare`")
    problems.raise_any()
    folder = Path(texts["workspace"]).resolve()
    workspace.at(folder).require()
    method = unlearner(texts["method"]) if "method" in texts else None
    found = NetworkTarget(folder, pseudonyms, texts.get("identity_type", IDENTITY), method)
    if method is not None and not found.learned:
        problems.add(
            f"`method` must be left out where no surrogate learned from the graph (got {texts['method']!r}): seeds and "
            "sets need none, for they are drawn again"
        )
    problems.raise_any()
    return found


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of new ties: stored, refused because of whom they are about, or about nobody who is known."""

    stored: int
    refused: int
    unknown: int


class NetworkTarget(WorkspaceTarget[Stored, Begun]):
    """A workspace of `unlearn influence prepare` that people can be deleted from: see `unlearn.target.Target`.

    Of sets and seeds unlearning is exact: sets that can differ are drawn again by the same coins ("replay"), seeds are
    kept where they are still proven and refilled where not. So are the labels of a surrogate that learned from the
    graph, but its parameters follow them approximately, by `method`. Drift, the share of ties that have left since
    everything was last built ("rebuild"), is that of its error; without one it counts places that are kept empty, and
    seeds that people may leave because of.
    """

    def __init__(
        self, folder: Path, pseudonyms: Pseudonyms, identity_type: str, method: Unlearner | None = None
    ) -> None:
        super().__init__(workspace.at(folder), pseudonyms, identity_type)
        self._model = workspace.model_folder(folder)
        self._method = method

    @property
    def learned(self) -> bool:
        """Whether the published version has a surrogate that learned from the graph."""
        with self.workspace.held():
            return "surrogate" in store.described(self._model)

    def network(self) -> Network:
        """The published version; sets and seeds are as they were, whoever has left the graph since."""
        with self.workspace.held():
            return store.load(self._model, self.data().graph)

    def verify(self, batch: Batch, version: Version) -> Verdict:
        with self.workspace.held():
            self._require_fresh(batch, version)
            stored, gone = self.data(), list(self.outstanding().values())
            before = store.surrogate(self._model, sealed.put_back(stored.graph, gone, self._plan().semantics))
        folder = self.staging.version(batch.id)
        graph = from_parquet(folder / workspace.GRAPH)
        return examine(store.load(folder / self._model.name, graph), stored, gone, before)

    def purge(self, batch: Batch) -> Counts:
        with self.workspace.held():
            counts, about = super().purge(batch), store.described(self._model).get("surrogate")
            if about is None:
                return counts
            nobody = ~self._published_people().alive
            return {**counts, "labels": surrogate_store.holding(self._model, about, nobody)}

    def take_in(self, frame: pd.DataFrame) -> Taken:
        """Store new ties (columns source and target; probability, unless it is renormalised), of nobody blocked.

        What is of people that the graph does not know is counted and left to the next preparation. A tie that is there
        already stays as it is. The next version that is built anew counts on them.

        Raises:
            InvalidGraph: a column is missing or a value cannot be used; nothing was stored.
        """
        semantics = self._plan().semantics
        needed = COLUMNS[:2] if semantics == "renormalised" else COLUMNS
        if missing := [name for name in needed if name not in frame.columns]:
            raise InvalidGraph(f"new ties must have columns {', '.join(needed)} ({', '.join(missing)} are missing)")
        ends = frame[COLUMNS[:2]]
        p = pd.to_numeric(frame["probability"], errors="coerce") if "probability" in needed else np.nan
        frame = ends.assign(probability=p)
        problems = Problems("these ties", InvalidGraph)
        bad = ~frame["probability"].between(0, 1).to_numpy() & ("probability" in needed)
        problems.rows(bad, frame.index, "probabilities must be numbers from 0 to 1", "correct them")
        problems.raise_any()
        blocked = ends.isin([one for one in pd.unique(ends.to_numpy().ravel()) if self.blocks(one)]).any(axis=1)
        with self.workspace.held():
            stored = self.data()
            known = ~blocked & among(stored.graph, ends)
            arrived = pd.concat([one for one in (stored.arrived, frame[known]) if len(one)] or [stored.arrived])
            arrived = self._news(stored.graph, arrived.drop_duplicates(COLUMNS[:2]))
            whole = merged(stored.graph, arrived, semantics)
            if self._plan().model == "lt":
                whole.require_weights()
            new = len(arrived) - len(stored.arrived)
            if new:
                write_arrived(arrived, self.workspace.folder)
        refused = int(blocked.sum())
        return Taken(stored=new, refused=refused, unknown=len(frame) - refused - int(known.sum()))

    # ---- what its data and versions are ------------------------------------------------------------------------------

    def data(self) -> Stored:
        """What remains of the graph that the published version was made from, and ties that came in since."""
        with self.workspace.held():
            return Stored.read(self.workspace.folder)

    def _store(self, data: Stored) -> None:
        data.write(self.workspace.folder)

    def _people(self, data: Stored) -> Vocabulary:
        return data.graph.nodes

    def _counts(self, data: Stored, held: ForgetSet) -> Counts:
        rows = data.graph.nodes.rows(held.users)
        ties = len(sealed.arcs_of(data.graph, rows)) + int(data.about(held.users).sum())
        return {"people": len(rows), "ties": ties}

    def _pack(self, data: Stored, held: ForgetSet, *, since: str) -> Sealed:
        return sealed.packed(data.graph, held.users, int(data.about(held.users).sum()), since=since)

    def _without(self, data: Stored, held: ForgetSet) -> Stored:
        return data.without(data.graph.without(held, renormalise=self._plan().semantics == "renormalised"))

    def _removal(self, remaining: Stored, gone: Sealed | None) -> Removal:
        counts = {"people": 0, "ties": 0} if gone is None else gone.counts
        left = int(remaining.graph.alive.sum()) + len(remaining.arrived)
        return Removal(
            counts=counts,
            share=counts["ties"] / max(1, left + counts["ties"]),
            drift=float((~remaining.graph.alive).mean()) if remaining.graph.num_arcs else 0.0,
        )

    def _plan(self) -> Plan:
        return Plan(**store.described(self._model)["plan"])

    def _published_people(self) -> Vocabulary:
        return store.people(self._model)

    def _published_digest(self) -> str:
        return store.described(self._model)["digest"]

    def _begin(self, data: Stored, outstanding: Sequence[Sealed], *, retrain: bool) -> Begun:
        graph = sealed.put_back(data.graph, outstanding, self._plan().semantics)
        people = tuple(person for one in outstanding for person in one.people)
        network = store.load(self._model, graph)
        if network.surrogate is not None and self._method is not None:
            network = replace(network, surrogate=replace(network.surrogate, method=self._method))
        return Begun(network, data.arrived, people)

    def _make(self, begun: Begun, *, retrain: bool) -> Made:
        return made(begun, retrain=retrain)

    def _swap(self, staged: Path, new: Path) -> None:
        model = workspace.model_folder(new)
        model.mkdir(parents=True)
        for file in (staged / model.name).iterdir():
            link(file, model / file.name)
        link(staged / workspace.GRAPH, new / workspace.GRAPH)
        write_arrived(self._news(from_parquet(new / workspace.GRAPH), self.data().arrived), new)

    @staticmethod
    def _news(graph: SocialGraph, arrived: pd.DataFrame) -> pd.DataFrame:
        """Those of the ties that the graph does not have, and could."""
        arrived = arrived[arrived["source"] != arrived["target"]]
        return arrived[graph.arcs(zip(arrived["source"], arrived["target"], strict=True)) < 0]
