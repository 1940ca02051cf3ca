"""unlearn influence remove"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Planned
from unlearn.command import Json, command, terminal
from unlearn.typed_ids import QUOTED, pairs, typed

if TYPE_CHECKING:
    from graph_influence.graph import SocialGraph
    from graph_influence.network import Network
    from unlearn.forget import ForgetSet, Pair

Ids = Annotated[list[str] | None, typer.Option(help="May be given more than once.")]


@command
def remove(
    *,
    source: GraphFile,
    user: Ids = None,
    tie: Annotated[
        list[str] | None,
        typer.Option(
            help=f"PERSON,PERSON, in whichever direction there is one; may be given more than once; {QUOTED}."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV for the ties left of a file (no default); folder for a workspace (default: in place)."),
    ] = None,
    planned: Planned,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Take people and ties out of a graph file, or of a workspace of `prepare`, and say what that changes.

    A workspace goes on with its own sets, seeds and surrogate. For a file, seeds are chosen before and stand meanwhile.
    """
    from graph_influence import workspace
    from graph_influence.plugin.arrivals import Stored, write_arrived
    from unlearn.outputs import require_writable, write

    folder = source.graph
    if not folder.is_dir():
        if out is None:
            raise ValueError("`out` must be a file for what is left of a graph file (got none)")
        require_writable(out=out)
        network = planned.build(source)
        told = _removed(network, _asked(network.graph, user, tie)[0])
        # In quotes, an id that begins with # or % begins no comment.
        write(out, _ties(network.graph).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode())
    else:
        if source != GraphFile(graph=folder) or planned != Planned():
            raise ValueError(
                "a workspace must be named alone, for it knows its scheme, model and seeds (got options of a file)"
            )
        workspace.at(folder).require()
        workspace.at(out := out or folder).check()
        # From reading to writing: of two requests at a time, the later one must see what the earlier one removed.
        with workspace.at(folder).held() if out.resolve() == folder.resolve() else nullcontext():
            network, stored = workspace.load(folder), Stored.read(folder)
            forget, ways = _asked(network.graph, user, tie, stored.ties())
            told = _removed(network, forget)
            left = stored.without(network.graph, ways)

            def fill(new: Path) -> None:
                workspace.write(network, new)
                write_arrived(left.arrived, new)

            workspace.at(out).replace(fill)
    if not json_:
        _print(told, out)
    return {"graph": source.graph.name, "out": str(out), **asdict(network.plan), **told}


def _asked(
    graph: SocialGraph, users: list[str] | None, ties: list[str] | None, came: Sequence[Pair] = ()
) -> tuple[ForgetSet, list[Pair]]:
    """What is to leave the graph, and both ways of every tie asked for: some may be among those that came in since."""
    from unlearn.forget import ForgetSet

    wrong: list[str] = []
    tied = pairs("tie", "PERSON,PERSON", ties, wrong)
    if not users and not ties:
        wrong.append("`user` or `tie` must say who or what is to leave (got neither)")
    if wrong:
        raise ValueError("\n".join(wrong))
    parsed = list(zip(graph.nodes.parse(p[0] for p in tied), graph.nodes.parse(p[1] for p in tied), strict=True))
    both = [way for tail, head in parsed for way in ((tail, head), (head, tail))]
    there = {way for way, arc in zip(both, graph.arcs(both), strict=True) if arc >= 0}
    known = there.union(came)
    # A tie that is there in neither direction stays in the request, to be refused with all else that is unknown.
    neither = {(tail, head) for tail, head in parsed if not {(tail, head), (head, tail)} & known}
    return ForgetSet(users=tuple(graph.nodes.parse(users or [])), ties=tuple(there | neither)), both


def _removed(network: Network, forget: ForgetSet) -> dict[str, Any]:
    """Remove it, and tell what the network was and is."""

    def state() -> dict[str, Any]:
        graph, standing = network.graph, network.standing
        counted = {"nodes": graph.num_alive, "arcs": int(graph.alive.sum()), "sets": len(standing.collections)}
        return counted | {
            "seeds": list(standing.nodes), "spread": asdict(standing.spread), "ratio": standing.ratio,
        }  # fmt: skip

    before, began = state(), time.perf_counter()
    removed = network.remove(forget)
    seconds = time.perf_counter() - began
    upkeep, surrogate = removed.seeds, removed.surrogate
    pair = upkeep.selection, upkeep.judging
    rebuilt = any(one.rebuilt for one in pair)
    return {
        "before": before,
        "after": state(),
        "sets_redrawn": sum(one.redrawn for one in pair),
        "sets_changed": None if rebuilt else sum(one.changed for one in pair),  # nobody compared them
        "rebuilt": rebuilt,
        "seeds_lost": upkeep.lost,
        "chosen_anew": upkeep.chosen_anew,
        "surrogate": None if surrogate is None else asdict(surrogate),
        "seconds": seconds,
    }


def _ties(graph: SocialGraph) -> Any:
    """The ties as a table that `read` reads with `scheme` given."""
    import pandas as pd

    ends = {
        name: graph.nodes.take(side[graph.alive]) for name, side in (("source", graph.source), ("target", graph.target))
    }
    return pd.DataFrame({**ends, "probability": graph.probability[graph.alive]})


def _print(told: Mapping[str, Any], out: Path) -> None:
    from rich.table import Table

    before, after = told["before"], told["after"]
    table = Table("", "before", "after")
    for name in ("nodes", "arcs"):
        table.add_row(name, f"{before[name]:,}", f"{after[name]:,}")
    table.add_row("spread of the seeds", *(f"{one['spread']['mean']:,.2f}" for one in (before, after)))
    table.add_row("proven ratio", *(f"{one['ratio']:.3f}" for one in (before, after)))
    console = terminal(soft_wrap=True)
    console.print(table)
    otherwise = "" if told["sets_changed"] is None else f", {told['sets_changed']:,} came out otherwise"
    console.print(f"Sets: {told['sets_redrawn']:,} of {before['sets']:,} drawn again{otherwise}")
    left, come = ([one for one in a["seeds"] if one not in b["seeds"]] for a, b in ((before, after), (after, before)))
    changed = f"without {typed(left)}, with {typed(come) or 'nobody'} in their place"
    console.print(f"Seeds: {changed if left or come else 'all stand'}{', chosen anew' if told['chosen_anew'] else ''}")
    if (own := told["surrogate"]) is not None:
        also = f", {own['sets_emptied']} dropped for want of people" if own["sets_emptied"] else ""
        console.print(
            f"Surrogate: by {own['method']}, {own['labels_changed']} seed sets labelled otherwise{also}; it forgets "
            "approximately, prepare it anew after many"
        )
    console.print(f"{told['seconds'] * 1e3:,.1f} ms; kept in {out}")
