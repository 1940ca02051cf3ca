"""unlearn influence prepare"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Json, Planned
from unlearn.command import command


@command
def prepare(
    *,
    source: GraphFile,
    out: Annotated[Path, typer.Option(help="Folder for the graph, its reverse-reachable sets and the seeds.")],
    planned: Planned,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Make a workspace whose seeds stand while people leave: a target of the deletion-request service."""
    from rich.console import Console

    from graph_influence.commands import workspace

    workspace.at(out).check()
    network = planned.build(source)
    workspace.save(network, out)
    standing = network.standing
    if not json_:
        console = Console(markup=False, soft_wrap=True)
        console.print(f"Seeds, best first: {', '.join(map(str, standing.nodes))}")
        spread = standing.spread
        console.print(f"Spread: {spread.mean:,.2f} (95 %: {spread.low:,.2f} to {spread.high:,.2f})")
        console.print(f"Proven: at least {standing.ratio:.3f} of the best spread of {planned.k} seeds")
        console.print(f"{len(standing.collections):,} sets of {network.graph!r}, kept in {out}")
    return {
        **source.described(network.graph),
        "out": str(out),
        **asdict(network.plan),
        "seeds": list(standing.nodes),
        "spread": asdict(standing.spread),
        "ratio": standing.ratio,
        "sets": len(standing.collections),
    }
