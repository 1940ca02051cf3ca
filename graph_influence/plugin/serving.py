"""Seeds and spreads from whatever version is published at the moment, and nothing about anybody to be forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from graph_influence import workspace
from graph_influence.plugin.target import NetworkTarget
from graph_influence.rrsets import Spread
from graph_influence.seeds import seed_rows
from unlearn.forget import Id
from unlearn.workspace import Latest


class Serving:
    """Answers from memory, and from the next version as soon as one is published; any number of threads may ask."""

    def __init__(self, target: NetworkTarget) -> None:
        self._target = target
        files = (workspace.model_folder(Path()) / "manifest.json", Path(workspace.GRAPH))
        self._latest = Latest(target.workspace, files, target.network)

    def seeds(self) -> tuple[Id, ...]:
        """Whom to start from, best first; whoever is blocked is left out, and replaced by the next version."""
        return tuple(one for one in self._latest().standing.nodes if not self._target.blocks(one))

    def spread(self, people: Iterable[Id]) -> Spread | None:
        """How many become active from these people, on the sets that had no part in choosing seeds.

        None where the service answers nothing about one of them.

        Raises:
            UnknownIds, InvalidSeeds: as `Diffusion.simulate`.
        """
        asked = people if isinstance(people, str) else list(people)  # letters are nobody's ids: refused below
        if any(map(self._target.blocks, asked)):
            return None
        standing = self._latest().standing
        found = standing.collections.judging.spread(seed_rows(standing.graph, asked))
        # Asked again: a suppression that was acknowledged meanwhile counts.
        return None if any(map(self._target.blocks, asked)) else found
