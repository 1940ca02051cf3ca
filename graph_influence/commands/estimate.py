"""unlearn influence estimate"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Model, Seed, Seeds, listed
from unlearn.command import Json, command, terminal

_TRAINING_FREE = ("non_backtracking", "mean_field")


@command
def estimate(
    *,
    source: GraphFile,
    seeds: Seeds,
    surrogate: Annotated[
        list[str] | None,
        typer.Option(
            help="What estimates beside simulation, as in gcn:path=FILE; may be given more than once (default: "
            "non_backtracking and mean_field)."
        ),
    ] = None,
    model: Model = "ic",
    runs: Annotated[int, typer.Option(min=2, help="How many cascades.")] = 10_000,
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """How many nodes become active from given seeds: simulated, and by surrogates."""
    import torch

    from graph_influence.commands.specified import trained_surrogate_of
    from graph_influence.diffusion import diffusion
    from graph_influence.seeds import seed_rows
    from graph_influence.surrogate import TensorGraph, criticality

    asked = {one: trained_surrogate_of(one, model) for one in surrogate or _TRAINING_FREE}
    graph = source.load()
    ids = listed(graph, seeds)
    rows = seed_rows(graph, ids)
    spread = diffusion(model, graph, runs=runs, seed=seed).simulate_rows(rows).spread
    tensors = TensorGraph.of(graph)
    with torch.no_grad():
        by_surrogate = {name: float(one.spread(tensors, tensors.seeds(rows))) for name, one in asked.items()}
    growth, (low, high) = criticality(tensors), spread.interval()
    result = {
        **source.described(graph),
        "model": model,
        "seeds": ids,
        "runs": runs,
        "seed": seed,
        "spread": {"mean": spread.mean, "standard_error": spread.standard_error, "low": low, "high": high},
        "surrogates": by_surrogate,
        "criticality": growth,
    }
    if not json_:
        console = terminal(highlight=False)
        console.print(source.title(graph))
        console.print(f"{spread.mean:.2f} nodes of {graph.num_alive} (95 %: {low:.2f} to {high:.2f}), seeds included")
        for name, value in by_surrogate.items():
            console.print(f"{value:.2f} by {name}")
        if growth >= 1:
            console.print(
                f"note: activity grows by a factor of {growth:.2f} a step at first, and may take off: the "
                "simulation is right where surrogates differ"
            )
    return result
