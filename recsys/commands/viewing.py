"""What a report shows of the models themselves. Imported by the command when it runs: it loads everything."""

from __future__ import annotations

from typing import Any

from recsys.commands.build import build_model, load_split
from recsys.commands.options import Setup
from recsys.corruption import split_known
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from recsys.views import RankingSurroundings, record_groups
from unlearn.audit.reference import OTHER_START
from unlearn.audit.views import collect
from unlearn.methods.base import Unlearner


def views(
    setup: Setup, methods: list[Unlearner], delete: str, *, known: float, examples: int, seed: int
) -> dict[str, Any]:
    """The views of the first seed's request: its model, two cold retrains, and every method that applies.

    The groups of records are those of the examples that attacks were asked about, in their order.
    """
    parts = load_split(setup, 0)
    data, requests = drawn(delete, parts, seed=seed)
    required = frozenset(need.removeprefix("history.") for one in methods for need in one.requires)
    model = build_model(setup, data, seed=seed, progress=False, keep=required).fit()
    forget, unknown = split_known(requests[0], known, seed=seed)
    forget = model.resolve(forget)
    scorer = RankingScorer(parts.test)
    remaining = model.without(forget)
    panel = scorer.panel(model, forget, seed=seed)
    found = collect(
        model,
        [scorer.polish(remaining, seed=seed + start * OTHER_START) for start in (1, 2)],
        {
            one.name: one.forget(model, forget, one.prepare(model)).problem
            for one in methods
            if one.obstacle(model) is None
        },
        panel,
        RankingSurroundings(model, forget, panel.left),
        seed=seed,
    )
    asked = scorer.examples(model, forget, seed=seed, most=examples, unknown=unknown)
    return found | {"records": {"groups": record_groups(asked, model.data)}}
