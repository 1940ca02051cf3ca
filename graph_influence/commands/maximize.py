"""unlearn influence maximize"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Model, Seed
from unlearn.command import Json, command, terminal
from unlearn.typed_ids import typed


@command
def maximize(
    *,
    source: GraphFile,
    k: Annotated[int, typer.Option("--k", help="How many people.")],
    method: Annotated[
        str,
        typer.Option(
            help="opim, hist, imm, celf, celf++, gradient_greedy, gradient_relaxed, degree, degree_discount, pagerank "
            "or k_shell; with arguments as in opim:eps=0.1 or opim:seconds=2."
        ),
    ] = "opim",
    model: Model = "ic",
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Select the people from whom activity spreads furthest, with what is proven of them.

    A proof errs with a chance of one in the number of people, or what the method's arguments say.
    """
    from dataclasses import asdict

    from graph_influence.maximize import Maximizer, maximizer
    from unlearn.specification import built

    def make(name: str, **given: Any) -> Maximizer:
        return maximizer(name, **({"model": model, "seed": seed} | given))

    chosen = built(method, make)
    graph = source.load()
    found = chosen.maximize(graph, k)
    if not json_:
        console = terminal()
        console.print(source.title(graph))
        console.print(f"Seeds, best first: {typed(found.nodes)}")
        spread = found.spread
        console.print(f"Spread: {spread.mean:,.2f} (95 %: {spread.low:,.2f} to {spread.high:,.2f})")
        if found.ratio is not None:
            console.print(f"Proven: at least {found.ratio:.3f} of the best spread of {k} seeds")
        console.print(f"{found.method}, {found.sets:,} reverse-reachable sets, {found.seconds:.2f} s")
    return {
        **source.described(graph),
        "method": found.method,
        "arguments": found.arguments,
        "seeds": list(found.nodes),
        "spread": asdict(found.spread),
        "ratio": found.ratio,
        "sets": found.sets,
        "seconds": found.seconds,
    }
