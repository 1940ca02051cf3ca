"""unlearn influence simulate"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Model, Seed, Seeds, listed
from unlearn.command import Json, command, terminal

_SHOWN = 10  # steps and nodes


@command
def simulate(
    *,
    source: GraphFile,
    seeds: Seeds,
    model: Model = "ic",
    runs: Annotated[int, typer.Option(help="How many cascades.")] = 10_000,
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Let activity spread from seeds: how far it comes, how fast, and whom it reaches."""
    import numpy as np
    from rich.table import Table

    from graph_influence.diffusion import diffusion
    from graph_influence.seeds import seed_rows

    graph = source.load()
    ids = listed(graph, seeds)
    found = diffusion(model, graph, runs=runs, seed=seed, progress=not json_).simulate(ids)
    spread, (low, high) = found.spread, found.spread.interval()
    mean, error = found.trajectory()
    reached = found.activation_probability
    reached[seed_rows(graph, ids)] = 0.0
    order = np.argsort(-reached, kind="stable")[:_SHOWN]
    likeliest = [
        {"node": node, "probability": float(reached[row])}
        for node, row in zip(graph.nodes.take(order), order.tolist(), strict=True)
        if reached[row] > 0
    ]
    if not json_:
        console = terminal()
        console.print(source.title(graph))
        interval = f"95 %: {low:,.2f} to {high:,.2f}, {runs:,} runs"
        console.print(f"Spread of {len(ids)} seeds: {spread.mean:,.2f} ({interval})")
        steps = Table("step", "newly active")
        for step, (new, wide) in enumerate(zip(mean[:_SHOWN].tolist(), error.tolist(), strict=False)):
            steps.add_row(str(step), f"{new:,.2f} ± {wide:.2f}")
        if len(mean) > _SHOWN:
            steps.add_row(f"{_SHOWN} to {len(mean) - 1}", f"{mean[_SHOWN:].sum():,.2f}")
        console.print(steps)
        nodes = Table("node", "becomes active")
        for row in likeliest:
            nodes.add_row(str(row["node"]), f"{row['probability']:.3f}")
        console.print(nodes)
    return {
        **source.described(graph),
        "model": model,
        "seeds": ids,
        "runs": runs,
        "seed": seed,
        "spread": {"mean": spread.mean, "standard_error": spread.standard_error, "low": low, "high": high},
        "trajectory": [{"mean": a, "standard_error": b} for a, b in zip(mean.tolist(), error.tolist(), strict=True)],
        "likeliest": likeliest,
    }
