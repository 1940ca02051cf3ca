"""unlearn audit"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import WIDE, Seed, Setup, Track, opened
from unlearn.command import command, terminal

if TYPE_CHECKING:
    from recsys.commands.case import Case
    from unlearn.audit.attacks import Metric
    from unlearn.audit.auditing import Audit
    from unlearn.audit.inquiry import Inquiry
    from unlearn.methods.base import Unlearner


@command
def audit(
    *,
    delete: Annotated[
        str, typer.Option(help="random:0.05, users:20, items:20, user:ID or corrupted:0.05; one request a seed.")
    ],
    setup: Setup,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            "--method",
            help="Methods with commas between, as `unlearn evaluate` takes them; no_op is added.",
        ),
    ] = "reconverge",
    seeds: Annotated[
        int, typer.Option(help="How many seeds, each with a request and a pool of its own; judged together.")
    ] = 3,
    models: Annotated[int, typer.Option(help="Models in the pool of one seed, a multiple of four.")] = 16,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the pool here, and go on from what is there (default: nowhere).")
    ] = None,
    examples: Annotated[int, typer.Option(help="At most so many examples of each kind are asked about.")] = 500,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Metrics with commas between, of forget_auc, retain_auc, u_lira, reinsertion, rmia, swap, "
            "two_snapshot, klom, klom_20_bins, epsilon, one_run, f_ine, relearn, challenge_uncalibrated and "
            "corrective (default: all that can be measured)."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that train the pool; -1 is one a core.")] = 1,
    known: Annotated[
        float, typer.Option(help="Share of a corruption that the request names; the rest's effect is measured.")
    ] = 1.0,
    seed: Seed = 0,
    track: Track = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the whole audit here; - prints it.")] = None,
) -> Mapping[str, Any]:
    """Attack what methods leave behind, with calibrated tests, and compare them with retraining."""
    import tempfile

    from recsys.commands.case import Case
    from recsys.commands.evaluate import compared
    from recsys.commands.viewing import views
    from unlearn.audit import Comparison, record
    from unlearn.audit.repeated import findings
    from unlearn.audit.views import provenance
    from unlearn.jsonable import without_nan
    from unlearn.outputs import require_writable, write_json
    from unlearn.specification import labels, unlearners

    asked, served = chosen(metrics), unlearners(methods)
    wrong = [
        f"`{name}` must be a positive integer for `audit` (got {value})"
        for name, value in (("seeds", seeds), ("examples", examples))
        if value < 1
    ]
    if jobs < 1 and jobs != -1:
        wrong.append(f"`jobs` must be a positive integer, or -1 for one a core, for `audit` (got {jobs})")
    if not served:
        wrong.append(f"`methods` must name a method for `audit` (got {methods!r})")
    if wrong:
        raise ValueError("\n".join(wrong))
    require_writable(json=json_)
    cases = {n: Case.drawn(setup, served, delete, n, known=known) for n in range(seed, seed + seeds)}
    tracker = opened(track)
    with tempfile.TemporaryDirectory() as scratch:
        size = _Size(folder or Path(scratch), models, examples, jobs)
        found = attacked(cases, served, asked, size, strict=metrics is not None)
    comparison = Comparison.join([compared(case, served, n) for n, case in cases.items()])
    found = found.with_findings(findings(comparison))
    named = zip(labels(served), served, strict=True)
    shown = views(cases, {name: one for name, one in named if name not in found.not_audited}, examples=examples)
    content = found.content() | {
        "comparison": json.loads(comparison.to_json()),
        "settings": comparison.settings | {"models": models, "examples": examples, "known": known, "seed": seed},
        "digests": comparison.digests,
        "provenance": provenance(),
        "views": without_nan(shown),
    }
    if str(json_) != "-":
        console = terminal(stderr=json_ is not None)
        console.print(found.table())
        console.print(comparison.table(spread=console.width >= WIDE))
    try:
        write_json(json_, content)
    finally:  # one place that cannot keep it costs the other nothing
        if tracker is not None:
            record(comparison, tracker, name=f"audit {setup.model.partition(':')[0]}", audit=content)
    return content


@dataclass(frozen=True)
class _Size:
    """What an audit may cost."""

    folder: Path
    models: int
    examples: int
    jobs: int


def chosen(names: str | None) -> list[Metric]:
    """The metrics of these names; all where there are none.

    Raises:
        ValueError: listing every name that is no metric's.
    """
    from unlearn.audit.attacks import metrics

    there = metrics()
    asked = list(there) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    if wrong := [name for name in asked if name not in there]:
        raise ValueError(f"`metrics` must be among {', '.join(there)} (got {', '.join(wrong)})")
    return [there[name]() for name in dict.fromkeys(asked)]


def attacked(
    cases: Mapping[int, Case], methods: list[Unlearner], metrics: list[Metric], size: _Size, *, strict: bool
) -> Audit:
    """Every metric of no_op, of the methods and of the first one misdirected, on the cases by seed.

    A method that cannot be applied, or leaves nothing that can be asked, has its reason instead.

    Raises:
        CannotMeasure: `strict`, and a metric lacks what it compares with.
        MissingRequirement: no method can be applied; raised when one model of a pool is trained, not all.
        ValueError: a request is none that attacks can be asked about, or the model is no problem.
    """
    from unlearn.audit.auditing import CONTROL, MISDIRECTED, audit
    from unlearn.audit.runner import obstacles
    from unlearn.audit.signals import NoAnswer
    from unlearn.methods.base import method
    from unlearn.specification import labels

    inquiries = [inquiry(case, size, seed) for seed, case in cases.items()]
    reasons = obstacles(methods, inquiries[0].pool.model(0))
    nothing = method(CONTROL)
    evidence = {CONTROL: [each.of(nothing) for each in inquiries]}  # fails where the pool itself is of no use
    named = dict(zip(labels(methods), methods, strict=True))
    for name, one in named.items():
        if name not in evidence and name not in reasons:
            try:
                evidence[name] = [each.of(one) for each in inquiries]
            except NoAnswer as error:
                reasons[name] = str(error)
    for one in (one for name, one in named.items() if name in evidence):
        with suppress(NoAnswer):
            evidence[MISDIRECTED] = [
                each.of(one, instead=case.scorer.placebo(each.problem, each.forget, seed=each.seed))
                for each, case in zip(inquiries, cases.values(), strict=True)
            ]
            break
    return audit(evidence, metrics, strict=strict, not_audited=reasons)


def inquiry(case: Case, size: _Size, seed: int) -> Inquiry:
    """What the models of a pool are asked about the one request of a case.

    Raises:
        ValueError: there is more than one request, or the model is one in closed form.
    """
    from recsys.problem import RecommenderProblem
    from unlearn.audit.inquiry import Inquiry

    if len(case.requests) != 1:
        raise ValueError(f"`delete` must be one request for `audit` (got {len(case.requests)}); see `unlearn evaluate`")
    problem, (forget,) = case.model, case.requests
    if not isinstance(problem, RecommenderProblem):
        raise ValueError(f"`model` must be one that an objective trains for `audit` (got {case.settings['model']})")
    return Inquiry(
        problem=problem,
        forget=forget,
        examples=case.scorer.examples(problem, forget, seed=seed, most=size.examples, unknown=case.unknown),
        folder=size.folder,
        models=size.models,
        unknown=case.unknown,
        seed=seed,
        jobs=size.jobs,
    )
