"""What a report shows of the models themselves. Imported by the command when it runs: it loads everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsys.commands.case import Case
from recsys.views import RankingSurroundings, record_groups
from unlearn.audit.reference import OTHER_START
from unlearn.audit.views import collect
from unlearn.methods.base import Unlearner


def views(cases: Mapping[int, Case], methods: Mapping[str, Unlearner], *, examples: int) -> dict[str, Any]:
    """The views of the first seed's request: its model, two cold retrains, and every method, by its label.

    A method that retrains is there already, as what the others are seen beside.

    The groups of records are those of the examples that attacks were asked about, seed after seed, in their order.
    """
    seed, case = next(iter(cases.items()))
    scorer, model = case.scorer, case.model.fit()
    forget = model.resolve(case.requests[0])
    remaining = model.without(forget)
    panel = scorer.panel(model, forget, seed=seed)
    found = collect(
        model,
        [scorer.polish(remaining, seed=seed + start * OTHER_START) for start in (1, 2)],
        {
            name: one.forget(model, forget, one.prepare(model)).problem
            for name, one in methods.items()
            if one.name != "retrain"
        },
        panel,
        RankingSurroundings(model, forget, panel.left),
        seed=seed,
    )
    groups = [_groups(case, examples=examples, seed=seed) for seed, case in cases.items()]
    joined = {
        name: {"levels": group["levels"], "of": [level for each in groups for level in each[name]["of"]]}
        for name, group in groups[0].items()
    }
    return found | {"records": {"groups": joined}}


def _groups(case: Case, *, examples: int, seed: int) -> dict[str, dict[str, list[str]]]:
    forget = case.model.resolve(case.requests[0])
    asked = case.scorer.examples(case.model, forget, seed=seed, most=examples, unknown=case.unknown)
    return record_groups(asked, case.model.data)
