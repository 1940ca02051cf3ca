"""The stored data of a network: its graph, and ties that came in after the published version was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graph_influence.graph import SocialGraph
from graph_influence.snapshot import from_parquet, to_parquet
from graph_influence.workspace import GRAPH
from unlearn import durable
from unlearn.forget import Id, Pair

ARRIVED = "arrived.parquet"
COLUMNS = ["source", "target", "probability"]


@dataclass(frozen=True, eq=False)
class Stored:
    """A graph, and a frame of further ties (COLUMNS; no probability where it is to be that of weighted cascade)."""

    graph: SocialGraph
    arrived: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Stored:
        """What lies in a workspace."""
        path = folder / ARRIVED
        arrived = pd.read_parquet(path) if path.is_file() else pd.DataFrame({name: [] for name in COLUMNS})
        return cls(from_parquet(folder / GRAPH), arrived)

    def write(self, folder: Path) -> None:
        """Put it in the place of what lies there. What came in goes first, so that the graph knows whose it was."""
        write_arrived(self.arrived, folder)
        to_parquet(self.graph, folder / GRAPH)

    def ties(self) -> list[Pair]:
        """The ties that came in."""
        return list(zip(*(self.arrived[name].tolist() for name in COLUMNS[:2]), strict=True))

    def without(self, graph: SocialGraph, ties: Sequence[Pair] = ()) -> Stored:
        """What is left of the graph, and of the ties those between people who are in it, but for `ties`."""
        gone = set(ties)
        stay = np.array([tie not in gone for tie in self.ties()], dtype=np.bool_)
        return Stored(graph, self.arrived[among(graph, self.arrived) & stay])

    def about(self, people: Sequence[Id]) -> NDArray[np.bool_]:
        """Which of the ties that came in are these people's."""
        return np.array(self.arrived[COLUMNS[:2]].isin(list(people)).any(axis=1), dtype=np.bool_)


def among(graph: SocialGraph, ties: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the ties are between people who are in the graph; all ids are looked up at once."""
    source, target = (graph.nodes.rows(ties[name].tolist(), unknown="mark") for name in COLUMNS[:2])
    return (source >= 0) & (target >= 0)


def write_arrived(arrived: pd.DataFrame, folder: Path) -> None:
    """Put the ties in the place of those that lie in the folder; where there are none, there is no file."""
    path = folder / ARRIVED
    if arrived.empty:
        durable.remove(path)
        return
    durable.replace(path, arrived.to_parquet(index=False))
