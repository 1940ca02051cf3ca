"""Runs methods on requests and measures what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tqdm import tqdm

from unlearn.audit.comparison import Comparison, Measurement, RequestFacts
from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.figures import Figures, of_method, of_other, of_placebo, of_retrain
from unlearn.audit.reference import Reference, reference
from unlearn.audit.timing import timed, without_collection
from unlearn.forget import ForgetSet
from unlearn.methods.base import MissingRequirement, State, Unlearner, method, require_finite
from unlearn.problem import Fitted, Problem
from unlearn.specification import labels


def compare(
    problem: Fitted,
    requests: Sequence[ForgetSet],
    methods: Sequence[Unlearner],
    scorer: Scorer,
    *,
    seed: int,
    settings: Mapping[str, object] | None = None,
    key: bytes | None = None,
) -> Comparison:
    """Serve every request on the trained `problem` by every method, beside two retrains and the baselines.

    Rows of baselines are added where `methods` lacks them: `no_op`, `graph_drop`, `row_drop` (users and items only),
    `retrain` (of the two retrains the one that was timed or, where training samples, the one by another seed, see
    `reference`) and `placebo` (a retrain without a random deletion of the first request's size). Each request starts
    from `problem`; results of methods that failed are kept and measured as they are. A method that cannot be applied
    gets its reason instead of figures; one that serves with a model of its own is measured against that model's
    retrain. Utility and forget AUC of both retrains are kept with the request (`raw["retrains"]`): they say what a
    difference between a method and its retrain has to exceed.

    Args:
        requests: several give figures as quantiles over requests, one gives means over seeds (see `Comparison`).
        seed: of retrains and draws; give the one that the original was trained with.
        settings: what else the reader should know; stored as it is.
        key: with it the comparison carries keyed digests of the requests.

    Raises:
        UnknownIds: a request names what does not exist; raised before any work.
        MissingRequirement: none of the methods can be applied; likewise.
        ValueError: the parameters of `problem` are no numbers; likewise.
    """
    require_finite(problem)
    resolved = [problem.resolve(forget) for forget in requests]
    reasons = obstacles(methods, problem)
    methods = _with_baselines(methods, resolved, problem)
    subjects = _subjects(problem, [one for one in methods if one.obstacle(problem) is None], scorer)
    panels = [scorer.panel(problem, forget, seed=seed) for forget in resolved]
    measurements: list[Measurement] = []
    facts: list[RequestFacts] = []
    bar = tqdm(list(zip(resolved, panels, strict=True)), desc="requests", disable=None, leave=False)
    for number, (forget, panel) in enumerate(bar):
        rounds = [_round(problem, subject, forget, panel, scorer, seed) for subject in subjects]
        rows = {label: figures for _, mine in rounds for label, figures in mine.items()}
        against = rounds[0][0]
        retrained, other = of_retrain(against), of_other(against)
        rows.setdefault("retrain", retrained)
        if number == 0:
            rows["placebo"] = of_placebo(problem, forget, scorer, panel, against.retrain_auc, seed)
        measurements += [Measurement(label, seed, number, *figures) for label, figures in rows.items()]
        others = [{"methods": list(mine)} | one.facts() for one, mine in rounds[1:]]
        both = [{name: retrained[0][name] for name in other}, other]
        raw = against.facts() | {"subjects": others, "retrains": both, "caveat": problem.caveat}
        facts.append(RequestFacts(seed, number, forget.counts(), None if key is None else forget.digest(key), raw))
    return Comparison(
        measurements=tuple(measurements),
        requests=tuple(facts),
        settings={**(settings or {}), "methods": _described(methods)},
        digests=dict(scorer.digests(problem)),
        reasons=reasons,
    )


def obstacles(methods: Sequence[Unlearner], problem: Fitted) -> dict[str, str]:
    """Of the methods that cannot be applied, by what they are called in a comparison: why.

    Raises:
        MissingRequirement: that is all of them.
    """
    named = zip(labels(methods), methods, strict=True)
    found = {name: reason for name, one in named if (reason := one.obstacle(problem)) is not None}
    if methods and len(found) == len(methods):
        raise MissingRequirement("none of the methods can be applied:\n  - " + "\n  - ".join(found.values()))
    return found


@dataclass(frozen=True, eq=False)
class Entry:
    """One row: a method that was prepared."""

    label: str
    method: Unlearner
    state: State | None


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that methods serve with: the problem itself, or what a method made of it in its place."""

    model: Fitted
    continued: Fitted  # after more of its own training
    entries: list[Entry]


def _subjects(problem: Fitted, methods: Sequence[Unlearner], scorer: Scorer) -> list[Subject]:
    """Every model that some method serves with, `problem` first, and the prepared methods of each."""
    models: dict[int, Fitted] = {id(problem): problem}
    entries: dict[int, list[Entry]] = {id(problem): []}
    for one, label in zip(methods, labels(methods), strict=True):
        with without_collection():
            state = one.prepare(problem)
        model = one.subject(problem, state)
        models[id(model)] = model
        entries.setdefault(id(model), []).append(Entry(label, one, state))
    return [Subject(model, scorer.continued(model), entries[name]) for name, model in models.items()]


def _round(
    problem: Fitted, subject: Subject, forget: ForgetSet, panel: Panel, scorer: Scorer, seed: int
) -> tuple[Reference, dict[str, Figures]]:
    """Serve the request by every method of the subject, and measure the results."""
    against = reference(subject.model, subject.continued, forget, scorer, panel, seed=seed)
    if isinstance(against.remaining, Problem):  # no method pays for what is slow only once
        against.remaining.value_and_gradient(against.remaining.params)
    rows: dict[str, Figures] = {}
    for entry in subject.entries:
        result = timed(partial(entry.method.forget, problem, forget, entry.state))
        rows[entry.label] = of_method(against, result, entry.state, exact=entry.method.exact)
    return against, rows


def _with_baselines(methods: Sequence[Unlearner], requests: Sequence[ForgetSet], problem: Fitted) -> list[Unlearner]:
    """The methods with the baselines that apply in front."""
    whole = any(forget.users or forget.items for forget in requests)
    present = {one.name for one in methods}
    baselines = [method(name) for name in ("no_op", "graph_drop", *(["row_drop"] if whole else []))]
    return [
        *(one for one in baselines if one.name not in present and one.obstacle(problem) is None),
        *methods,
    ]


def _described(methods: Sequence[Unlearner]) -> dict[str, Any]:
    return {
        label: json.loads(json.dumps(one.arguments(), default=str))
        for label, one in zip(labels(methods), methods, strict=True)
    }
