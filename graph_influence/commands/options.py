"""Options that several commands share, and what they make of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.typed_ids import QUOTED, separated

if TYPE_CHECKING:
    from graph_influence.graph import SocialGraph
    from graph_influence.network import Network
    from graph_influence.standing_surrogate import Lessons
    from graph_influence.surrogate import Surrogate
    from unlearn.forget import Id

Seeds = Annotated[list[str], typer.Option(help=f"Ids with commas between; may be given more than once; {QUOTED}.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Model = Annotated[str, typer.Option(help="ic (independent cascade) or lt (linear threshold).")]


@dataclass(frozen=True, kw_only=True)
class GraphFile:
    """Which graph, how its file is meant, and where its probabilities come from."""

    graph: Annotated[Path, typer.Argument(help="Text of ties: SNAP, METIS, RecBole's .net, CSV; gzip too.")]
    format: Annotated[str | None, typer.Option(help="edges, headed or metis (default: by content).")] = None
    undirected: Annotated[bool, typer.Option(help="Ties go both ways.")] = False
    reverse: Annotated[bool, typer.Option(help="Ties point at the one who influences.")] = False
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="The first line names columns (default: by content).")
    ] = None
    parallel: Annotated[str, typer.Option(help="Several ties of one pair: first, combine, sum or raise.")] = "first"
    scheme: Annotated[
        str,
        typer.Option(
            help="Probabilities: weighted_cascade, constant, trivalency, or given (by the file); with arguments as in "
            "weighted_cascade:c=2 or constant:p=0.05."
        ),
    ] = "weighted_cascade"

    def load(self) -> SocialGraph:
        """The graph with its probabilities.

        Raises:
            ValueError: the file cannot be read, or there is no such scheme.
        """
        from graph_influence.readers import read
        from graph_influence.schemes import SCHEMES
        from unlearn.specification import read as read_specification
        from unlearn.specification import typed

        name, arguments = read_specification(self.scheme)
        if name not in SCHEMES:
            raise ValueError(f"`scheme` must be one of {', '.join(SCHEMES)} (got {name!r})")
        given = typed(name, SCHEMES[name], arguments)
        graph = read(
            self.graph,
            format=self.format,  # pyright: ignore[reportArgumentType]
            undirected=self.undirected,
            reverse=self.reverse,
            parallel=self.parallel,  # pyright: ignore[reportArgumentType]
            header=self.header,
            probability=None if name == "given" else False,
        )
        return SCHEMES[name](graph, **given)

    def title(self, graph: SocialGraph) -> str:
        """The first line of an answer: whatever the file says of probabilities, those of the scheme were taken."""
        return (
            f"{self.graph.name}: {graph.num_alive:,} nodes, {int(graph.alive.sum()):,} arcs, "
            f"probabilities: {self.scheme}"
        )

    def described(self, graph: SocialGraph) -> dict[str, Any]:
        """What a result says of the graph; the name of the file only, not where it lies."""
        return {
            "graph": self.graph.name,
            "nodes": graph.num_alive,
            "arcs": int(graph.alive.sum()),
            "parallel": self.parallel,
            "scheme": self.scheme,
        }


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How many seeds are to stand, by which model, and what a deletion means."""

    k: Annotated[int, typer.Option("--k", help="How many seeds.")] = 50
    model: Model = "ic"
    semantics: Annotated[
        str,
        typer.Option(
            help="When somebody leaves, probabilities of the others' ties are frozen, or renormalised to those of "
            "weighted cascade on what is left."
        ),
    ] = "frozen"
    share: Annotated[
        float, typer.Option(help="Draw sets until this share of the ratio that the graph allows is proven.")
    ] = 0.95
    seed: Seed = 0

    def build(
        self,
        source: GraphFile,
        surrogate: Surrogate | None = None,
        lessons: Lessons | None = None,
        *,
        progress: bool = False,
    ) -> Network:
        """The network of a graph file, with a surrogate of that kind, if any, that has learned from it.

        Raises:
            ValueError: the file cannot be read, or an option is out of its range.
        """
        from graph_influence.network import Network, Plan

        graph = source.load()
        plan = Plan(
            k=self.k,
            model=self.model,  # pyright: ignore[reportArgumentType]
            semantics=self.semantics,  # pyright: ignore[reportArgumentType]
            scheme=source.scheme,
            share=self.share,
        )
        return Network.build(graph, plan, surrogate=surrogate, lessons=lessons, seed=self.seed, progress=progress)


@dataclass(frozen=True, kw_only=True)
class Taught:
    """Which surrogate learns from the graph, from what, and for how long."""

    surrogate: Annotated[
        str | None,
        typer.Option(
            help="One that learns from the graph and is kept with it: gcn, capped or hybrid; with arguments as in "
            "gcn:depth=4:width=16 (default: none)."
        ),
    ] = None
    seed_sets: Annotated[
        int | None, typer.Option(min=1, help="How many seed sets the surrogate learns from (default: 24).")
    ] = None
    runs: Annotated[int | None, typer.Option(min=1, help="How many cascades label each seed set (default: 10000).")] = (
        None
    )
    epochs: Annotated[int | None, typer.Option(min=1, help="How many steps it learns (default: 400).")] = None

    def read(self, model: str) -> tuple[Surrogate | None, Lessons]:
        """The untrained surrogate, if there is to be one, and what it is to learn.

        Raises:
            ValueError: there is no such surrogate, it is to come from a file, or an option has nothing to be for.
        """
        from graph_influence.commands.specified import surrogate_of
        from graph_influence.standing_surrogate import Lessons
        from unlearn.specification import read

        named = {"sets": self.seed_sets, "runs": self.runs, "epochs": self.epochs}
        given = {name: value for name, value in named.items() if value is not None}
        if self.surrogate is None:
            if given:
                raise ValueError("`surrogate` must be named where `seed-sets`, `runs` or `epochs` are (got none)")
            return None, Lessons()
        if "path" in read(self.surrogate)[1]:
            raise ValueError(
                f"`surrogate` must be trained on this graph (got {self.surrogate!r}); one from a file has learned from "
                "others, and needs no place here: name it to `estimate` and `minimize`"
            )
        return surrogate_of(self.surrogate, model), Lessons(**given)


def listed(graph: SocialGraph, texts: list[str]) -> list[Id]:
    """Ids of the graph's own kind from texts that may each hold several with commas between.

    Raises:
        ValueError: a text is not as a line of CSV, or nobody is named.
    """
    named = [part for text in texts for part in separated(text) if part]
    if not named:
        raise ValueError(f"`seeds` must name at least one of the graph (got {', '.join(map(repr, texts))})")
    return graph.nodes.parse(named)
