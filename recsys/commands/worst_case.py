"""unlearn worst-case"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import Seed, Setup, Track, opened
from unlearn.command import command, terminal

if TYPE_CHECKING:
    from unlearn.audit import Comparison
    from unlearn.methods.base import Unlearner
    from unlearn.worst_case import Budget, Selection, Selector, Trial


@command
def worst_case(
    *,
    budget: Annotated[
        str,
        typer.Option(
            help="users:1%, interactions:1%, items:5, ties:1%, or users/interactions:1% (users who hold that share of "
            "them)."
        ),
    ],
    setup: Setup,
    selector: Annotated[
        str,
        typer.Option(
            help="How the set is chosen: bilevel, easiest, most_memorised, max_gap, opposing, hubs or random; with "
            "arguments as in bilevel:lower=sign:rounds=10, max_gap:by=iau or hubs:over=ties."
        ),
    ] = "bilevel",
    methods: Annotated[
        str,
        typer.Option(help="Methods with commas between, as `unlearn evaluate` takes them. Baselines are added."),
    ] = "reconverge",
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 1,
    seed: Seed = 0,
    track: Track = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything here; - prints it.")] = None,
) -> Mapping[str, Any]:
    """Find the forget set that is hardest on unlearning, and measure methods on it beside a random one.

    The JSON names the chosen ids: they are what was asked for. What --track keeps does not.
    """
    from rich.text import Text

    from unlearn.audit import Comparison
    from unlearn.outputs import require_writable, write_json
    from unlearn.specification import built, unlearners
    from unlearn.worst_case import Budget, average, record_trials
    from unlearn.worst_case import selector as found_by

    if seeds < 1:
        raise ValueError(f"`seeds` must be a positive integer for `worst-case` (got {seeds})")
    chosen, asked, served = built(selector, found_by), Budget.parse(budget), unlearners(methods)
    require_writable(json=json_)
    tracker = opened(track)
    numbers = range(seed, seed + seeds)
    parts = [one_seed(setup, chosen, asked, served, number, progress=json_ is None) for number in numbers]
    trials = [part[0] for part in parts]
    worst = Comparison.join([part[1] for part in parts])
    random = Comparison.join([part[2] for part in parts])
    figures = average(trials)
    result = {
        "selector": chosen.name,
        "arguments": chosen.arguments(),
        "budget": str(asked),
        "upper": asdict(chosen.judged_by()),
        **figures,
        "by_seed": [{"seed": one.chosen.seed} | one.figures() for one in trials],
        "chosen": [in_plain_words(one.chosen) for one in trials],
        **json.loads(worst.to_json()),
        "random": json.loads(random.to_json()),
    }
    if str(json_) != "-":
        console = terminal(stderr=json_ is not None)
        for title, one in ((f"The set that `{chosen.name}` chose", worst), ("A random set of equal budget", random)):
            console.print(title, style="bold")
            console.print(one.table(spread=False))
        console.print(
            f"Left to see of it (the lower, the more): {figures['upper_objective']:.4f}; of the easiest set "
            f"{figures['upper_objective_easiest']:.4f}, of a random one {figures['upper_objective_random']:.4f}. "
            f"{figures['overlap_with_easiest']:.0%} of it is in the easiest set."
        )
        for warning in dict.fromkeys(text for one in trials for text in one.chosen.warnings):
            console.print(Text.assemble(("warning:", "yellow"), f" {warning}"))
    try:
        write_json(json_, result)
    finally:  # one place that cannot keep it costs the other nothing
        if tracker is not None:
            name = f"worst-case {chosen.name} {setup.model.partition(':')[0]}"
            record_trials(trials, worst, random, tracker, name=name)
    return result


def one_seed(
    setup: Setup, selector: Selector, budget: Budget, methods: list[Unlearner], seed: int, *, progress: bool
) -> tuple[Trial, Comparison, Comparison]:
    """Train with one seed, find the set, and measure the methods on it and on the random one.

    Raises:
        ValueError: the model is one in closed form, or an option has no usable value.
    """
    from recsys.commands.build import build_model, described, judging_split, kept_for
    from recsys.scorer import RankingScorer
    from unlearn.audit import compare
    from unlearn.audit.runner import obstacles
    from unlearn.problem import Problem
    from unlearn.worst_case import trial

    parts = judging_split(setup)
    model = build_model(setup, parts.refit(), seed=seed, progress=progress, keep=kept_for(methods))
    if not isinstance(model, Problem):
        raise ValueError(f"`model` must be one that an objective trains for `worst-case` (got {setup.model})")
    trained = model.fit()
    obstacles(methods, trained)  # before the search, not after it
    found = trial(trained, selector, budget, seed=seed)
    key = secrets.token_bytes(32)
    compared = (
        compare(
            trained,
            [one.forget],
            methods,
            RankingScorer(parts.test),
            seed=seed,
            settings={"delete": f"{one.selector} {budget}", **described(trained), "device": setup.device},
            key=key,
        )
        for one in (found.chosen, found.random)
    )
    worst, random = compared
    return found, worst, random


def in_plain_words(selection: Selection) -> dict[str, Any]:
    """A selection in plain words, with the ids of what was chosen."""
    return {
        "seed": selection.seed,
        "forget": {name: ids for name, ids in asdict(selection.forget).items() if ids},
        "cost": selection.cost,
        "rounds": [asdict(one) for one in selection.rounds],
        "overlap_with_start": selection.overlap_with_start,
        "warnings": list(selection.warnings),
        "seconds": selection.seconds,
    }
