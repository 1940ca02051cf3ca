"""unlearn evaluate"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import WIDE, Seed, Setup, Track, opened
from unlearn.command import command, terminal

if TYPE_CHECKING:
    from recsys.commands.case import Case
    from unlearn.audit import Comparison, Streams
    from unlearn.methods.base import Unlearner


@command
def evaluate(
    *,
    delete: Annotated[
        str,
        typer.Option(
            help="random:0.05, users:20, one-user:30, user:ID, items:5, popular-items:5, ties:50, or corrupted:0.05 "
            "(false interactions are added first and deleted; forget AUC then compares them with held-out true ones)."
        ),
    ],
    setup: Setup,
    methods: Annotated[
        str,
        typer.Option(
            help="Methods with commas between, each by name or with arguments as in iau:lr=0.02:steps=3; all for every "
            "one that applies. Baselines are added. See `unlearn methods`."
        ),
    ] = "reconverge",
    stream: Annotated[
        int | None,
        typer.Option(
            help="Serve the requests one after another, each on what the one before it left, as in --delete "
            "one-user:100 --stream 10, and measure after the first, after every so many and after the last."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Seed = 0,
    track: Track = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write every figure here; - prints it.")] = None,
) -> Mapping[str, Any]:
    """Unlearn by several methods and measure them against retraining.

    The JSON is written anew after each seed, of a stream after each method: an interruption costs what is at work.
    """
    from recsys.commands.case import Case
    from unlearn.audit import Comparison, Streams
    from unlearn.audit.log import record, record_streams
    from unlearn.outputs import require_writable, write_json
    from unlearn.specification import unlearners

    wrong = [
        f"`{name}` must be a positive integer for `evaluate` (got {value})"
        for name, value in (("seeds", seeds), ("stream", stream))
        if value is not None and value < 1
    ]
    if wrong:
        raise ValueError("\n".join(wrong))
    chosen, numbers = unlearners(methods), range(seed, seed + seeds)
    require_writable(json=json_)
    cases = [Case.drawn(setup, chosen, delete, number, progress=json_ is None) for number in numbers]
    tracker, console = opened(track), terminal(stderr=json_ is not None)
    parts: dict[int, Any] = {}

    def joined() -> Comparison | Streams:
        return (Comparison if stream is None else Streams).join(list(parts.values()))

    def keep(number: int, part: Comparison | Streams) -> None:
        parts[number] = part
        with suppress(OSError):  # the last time it is told
            write_json(json_, json.loads(joined().to_json()))

    for number, case in zip(numbers, cases, strict=True):
        if stream is None:
            keep(number, compared(case, chosen, number))
        else:
            in_turn(case, chosen, number, stream, report=partial(keep, number))
    found = joined()
    if str(json_) != "-":
        console.print(found.table(spread=console.width >= WIDE))
    result = json.loads(found.to_json())
    try:
        write_json(json_, result)
    finally:  # one place that cannot keep it costs the other nothing
        if tracker is not None:
            name = " ".join(["evaluate", *(text.partition(":")[0] for text in (setup.model, delete))])
            if isinstance(found, Comparison):
                record(found, tracker, name=name)
            else:
                record_streams(found, tracker, name=name)
    return result


def compared(case: Case, methods: list[Unlearner], seed: int) -> Comparison:
    """Train with one seed and serve its requests, each on what training left."""
    from unlearn.audit import compare

    return compare(
        case.model.fit(),  # the scorer continues it to where arithmetic ends, and says how far it moved
        case.requests,
        methods,
        case.scorer,
        seed=seed,
        settings=case.settings,
        key=secrets.token_bytes(32),  # thrown away: the digests name requests within this comparison only
    )


def in_turn(
    case: Case, methods: list[Unlearner], seed: int, every: int, *, report: Callable[[Streams], object]
) -> None:
    """Train with one seed and serve its requests one after another, by `graph_drop` beside the methods."""
    from unlearn.audit import streams
    from unlearn.methods.base import method

    if all(one.name != "graph_drop" for one in methods):
        methods = [method("graph_drop"), *methods]
    last = len(case.requests)
    streams(
        case.model.fit(),
        case.requests,
        methods,
        case.scorer,
        seed=seed,
        measure={1, last, *range(every, last, every)},
        settings=case.settings,
        report=report,
    )
