"""unlearn influence minimize"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graph_influence.commands.options import GraphFile, Model, Seed, Seeds, listed
from unlearn.command import Json, command, terminal

if TYPE_CHECKING:
    from graph_influence.minimize import Blocked, Optimality, Verdict

_BESIDE = ("seed_adjacent", "random")  # what every choice is compared with


@command
def minimize(
    *,
    source: GraphFile,
    seeds: Seeds,
    budget: Annotated[int, typer.Option(help="How many arcs to remove, or nodes to block.")],
    unit: Annotated[str, typer.Option(help="What is taken away: arcs or nodes.")] = "arcs",
    method: Annotated[
        str,
        typer.Option(
            help="auto, advanced_greedy, greedy_replace, ris, diffim, diffim_plus, diffim_plus_plus, relaxed, "
            "seed_adjacent, mds, key_edge, betweenness, pagerank, out_degree or random; with arguments as in "
            "ris:eps=0.2."
        ),
    ] = "auto",
    surrogate: Annotated[
        str | None,
        typer.Option(
            help="What diffim and relaxed methods read: mean_field, non_backtracking:rounds=15, or one that "
            "train-surrogate has written, as in gcn:path=FILE."
        ),
    ] = None,
    model: Model = "ic",
    runs: Annotated[int, typer.Option(min=2, help="How many coupled cascades judge a choice.")] = 20_000,
    prove: Annotated[
        bool, typer.Option(help="Also bound, in expectation, what any choice could do. Loose where activity takes off.")
    ] = False,
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Find ties to remove, or people to block, so that a rumour from given seeds reaches few."""
    from graph_influence.commands.specified import minimizer_of
    from graph_influence.minimize import Outbreak, Referee, minimizer, optimality
    from graph_influence.seeds import seed_rows
    from graph_influence.surrogate import SupercriticalWarning

    shared: dict[str, Any] = {"unit": unit, "model": model, "seed": seed}
    chosen_by = minimizer_of(method, surrogate, **shared)
    graph = source.load()
    started_by = listed(graph, seeds)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SupercriticalWarning)
        blocked = chosen_by.minimize(graph, started_by, budget)
    warned = [str(one.message) for one in told]
    outbreak = Outbreak(graph, seed_rows(graph, started_by), chosen_by.unit, chosen_by.model)
    referee = Referee(outbreak, runs=runs, seed=seed + 1)
    verdict = referee.judge(blocked.units)
    beside = {name: referee.judge(minimizer(name, **shared).choose(outbreak, budget)) for name in _BESIDE}
    bound = optimality(outbreak, blocked.units.tolist(), seed=seed) if prove else None
    result = {
        **source.described(graph),
        "model": model,
        "seeds": started_by,
        "runs": runs,
        "seed": seed,
        "method": blocked.method,
        "arguments": blocked.arguments,
        "arcs_removed": blocked.arcs,
        "nodes_blocked": blocked.nodes,
        "seconds": blocked.seconds,
        **asdict(verdict),
        "beside": {name: asdict(one) for name, one in beside.items()},
        "optimality": asdict(bound) if bound else None,
        "warnings": warned,
    }
    if not json_:
        _print(source.title(graph), blocked, {blocked.method: verdict, **beside}, bound, warned)
    return result


def _print(
    title: str, blocked: Blocked, verdicts: Mapping[str, Verdict], bound: Optimality | None, warned: list[str]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("without", "spread", "reduced by"):
        table.add_column(column, justify="left" if column == "without" else "right")
    before = verdicts[blocked.method].before
    table.add_row("nothing", f"{before.mean:.2f} ± {before.standard_error:.2f}", "")
    for name, one in verdicts.items():
        table.add_row(name, f"{one.after.mean:.2f}", f"{one.reduced_ratio:.1%} ± {one.standard_error:.1%}")
    if bound:
        at_most = bound.reduced_ratio_at_most
        least = f"at least {bound.least.mean:.2f}"
        table.add_row("any other choice", least, f"at most {at_most.mean:.1%} ± {at_most.standard_error:.1%}")
    console = terminal(highlight=False)
    console.print(title)
    console.print(table)
    console.print(*([f"{tail} -> {head}" for tail, head in blocked.arcs] or blocked.nodes), sep="\n")
    for warning in warned:
        console.print(f"warning: {warning}")
