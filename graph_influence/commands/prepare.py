"""unlearn influence prepare"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Planned, Taught
from unlearn.command import Json, command, terminal
from unlearn.typed_ids import typed

if TYPE_CHECKING:
    from graph_influence.standing_surrogate import StandingSurrogate


@command
def prepare(
    *,
    source: GraphFile,
    out: Annotated[Path, typer.Option(help="Folder for the graph, its reverse-reachable sets and the seeds.")],
    planned: Planned,
    taught: Taught,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Make a workspace whose seeds stand while people leave: a target of the deletion-request service.

    With `--surrogate`, one that learns from this graph is part of it, and forgets by the same requests.
    """
    from graph_influence import workspace

    workspace.at(out).check()
    network = planned.build(source, *taught.read(planned.model), progress=not json_)
    workspace.save(network, out)
    standing, surrogate = network.standing, network.surrogate
    if not json_:
        console = terminal(soft_wrap=True)
        console.print(source.title(network.graph))
        console.print(f"Seeds, best first: {typed(standing.nodes)}")
        spread = standing.spread
        console.print(f"Spread: {spread.mean:,.2f} (95 %: {spread.low:,.2f} to {spread.high:,.2f})")
        console.print(f"Proven: at least {standing.ratio:.3f} of the best spread of {planned.k} seeds")
        if surrogate is not None:
            kind, file = surrogate.problem.surrogate.name, workspace.surrogate_file(out)
            console.print(
                f"Surrogate: {kind}, of {len(surrogate.labels.sets)} seed sets; --surrogate {kind}:path={file}"
            )
        console.print(f"{len(standing.collections):,} sets of {network.graph!r}, kept in {out}")
    return {
        **source.described(network.graph),
        "out": str(out),
        **asdict(network.plan),
        "seeds": list(standing.nodes),
        "spread": asdict(standing.spread),
        "ratio": standing.ratio,
        "sets": len(standing.collections),
        "surrogate": None if surrogate is None else _told(surrogate, out),
    }


def _told(standing: StandingSurrogate, out: Path) -> dict[str, Any]:
    from graph_influence import workspace

    surrogate, history = standing.problem.surrogate, standing.problem.history
    return {
        "surrogate": surrogate.name,
        "arguments": surrogate.arguments(),
        **asdict(standing.lessons),
        "path": str(workspace.surrogate_file(out)),
        "residual": history.residual,
        "seconds": history.seconds,
    }
