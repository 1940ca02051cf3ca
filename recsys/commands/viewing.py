"""What a report shows of the models themselves. Imported by the command when it runs: it loads everything."""

from __future__ import annotations

from typing import Any

from recsys.commands.case import Case
from recsys.views import RankingSurroundings, record_groups
from unlearn.audit.reference import OTHER_START
from unlearn.audit.views import collect
from unlearn.methods.base import Unlearner


def views(case: Case, methods: list[Unlearner], *, examples: int, seed: int) -> dict[str, Any]:
    """The views of the case's first request: its model, two cold retrains, and every method that applies.

    The groups of records are those of the examples that attacks were asked about, in their order.
    """
    scorer, model = case.scorer, case.model.fit()
    forget = model.resolve(case.requests[0])
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
    asked = scorer.examples(model, forget, seed=seed, most=examples, unknown=case.unknown)
    return found | {"records": {"groups": record_groups(asked, model.data)}}
