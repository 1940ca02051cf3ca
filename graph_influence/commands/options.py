"""Options that the commands share, and the graph that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from graph_influence.graph import SocialGraph
    from unlearn.vocabulary import Id

Seeds = Annotated[str, typer.Option(help="Ids of the nodes that it starts from, with commas between.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Runs = Annotated[int, typer.Option(min=2, help="How many cascades are simulated.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A graph and how activity spreads on it."""

    graph: Annotated[Path, typer.Option(help="Edge list, with or without probabilities; gzip is fine.")]
    undirected: Annotated[bool, typer.Option("--undirected", help="Every edge goes both ways.")] = False
    reverse: Annotated[bool, typer.Option("--reverse", help="Arcs of the file point at who influences.")] = False
    scheme: Annotated[
        str, typer.Option(help="Arc probabilities: given (in the file), weighted_cascade, trivalency or constant.")
    ] = "given"
    model: Annotated[str, typer.Option(help="ic, independent cascade, or lt, linear threshold.")] = "ic"

    def read(self) -> SocialGraph:
        """The graph with its probabilities.

        Raises:
            ValueError: listing everything that is wrong with the file or the options.
        """
        from graph_influence.diffusion import MODELS
        from graph_influence.readers import read
        from graph_influence.schemes import SCHEMES

        known = (("scheme", self.scheme, SCHEMES), ("model", self.model, MODELS))
        wrong = [
            f"`{name}` must be one of {', '.join(there)} (got {came!r})"
            for name, came, there in known
            if came not in there
        ]
        if wrong:
            raise ValueError("\n".join(wrong))
        return SCHEMES[self.scheme](read(self.graph, undirected=self.undirected, reverse=self.reverse))


def ids(graph: SocialGraph, text: str) -> list[Id]:
    """Ids typed with commas between, as the graph has them: whole numbers or text."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if graph.nodes.ids.dtype.kind != "i":
        return list(parts)
    return [int(part) if part.lstrip("-").isdigit() else part for part in parts]
