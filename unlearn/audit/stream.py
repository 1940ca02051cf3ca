"""Many requests, one after another: how far a method drifts from the retrain, and when one is due."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from tqdm import tqdm

from unlearn.audit.comparison import FORMAT, short
from unlearn.audit.contract import Scorer
from unlearn.audit.measures import auc
from unlearn.audit.reference import Reference, reference
from unlearn.audit.retrain_rule import RetrainRule
from unlearn.audit.runner import obstacles
from unlearn.audit.timing import without_collection
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.jsonable import without_nan
from unlearn.methods.base import Unlearner
from unlearn.problem import Fitted
from unlearn.specification import labels


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a stream, served.

    `removed` counts the records forgotten approximately since the last training. `values` are the figures of the model
    after it where they were asked for: utility, `forget_auc`, `retrain_auc`, `retrain_gap` and `gap_floor`, against
    the retrain without everything so far, and in units of its distance from the model before the first request.
    """

    number: int
    seconds: float
    residual_before: float | None
    residual_after: float | None
    removed: int
    values: dict[str, float | None] | None = None
    due: str | None = None  # why a retrain is due
    retrained: bool = False  # whether it followed
    retrain_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """What serving a stream by one method came to."""

    method: str
    arguments: dict[str, Any]
    seed: int
    steps: tuple[Step, ...]
    prepare_seconds: float

    def content(self) -> dict[str, Any]:
        """Everything, as values for JSON; what is no finite number is null."""
        return without_nan(asdict(self))


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams of one or several methods and seeds; `reasons` says of methods that could not be applied why."""

    streams: tuple[Stream, ...]
    settings: dict[str, Any]
    digests: dict[str, str]
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: Sequence[Streams]) -> Streams:
        """Those of all seeds from those of each.

        Raises:
            ValueError: no parts, or parts whose data differ.
        """
        if not parts or any(part.digests != parts[0].digests for part in parts):
            raise ValueError(f"`parts` must be streams on the same data for `join` (got {len(parts)} parts)")
        return replace(parts[0], streams=tuple(one for part in parts for one in part.streams))

    def to_json(self) -> str:
        """{"streams", "settings", "digests", "reasons"}; what is no finite number is null."""
        return json.dumps(without_nan({"format": FORMAT, **asdict(self)}), indent=1, allow_nan=False)

    def table(self, *, spread: bool = True) -> Table:
        """For a terminal: what the first and the last measured request left, and when a retrain was due.

        `spread` adds columns that do not fit into 80.
        """
        length = max((len(one.steps) for one in self.streams), default=0)
        shown = Table(
            title=f"{length} requests, one after another", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        wide = ("seed", "residual", "forget AUC") if spread else ()
        for name in ("method", "seconds", "gap, first", "gap, last", "NDCG@20", "retrain due", *wide):
            shown.add_column(name, justify="left" if name == "method" else "right", overflow="fold")
        for one in self.streams:
            measured = [step.values for step in one.steps if step.values is not None] or [{}]
            first, last = measured[0], measured[-1]
            due = next((f"after {step.number}" for step in one.steps if step.due is not None), "-")
            told = (str(one.seed), short(one.steps[-1].residual_after), short(last.get("forget_auc")))
            shown.add_row(
                one.method,
                short(median(step.seconds for step in one.steps)),
                short(first.get("retrain_gap")),
                short(last.get("retrain_gap")),
                short(last.get("ndcg_at_20")),
                due,
                *(told if spread else ()),
            )
        lines = ["seconds: median of a request; gap: to a retrain without everything so far", *self.reasons.values()]
        shown.caption = "\n".join(lines)
        return shown


class Yardstick:
    """Retrains without everything so far, each trained once whichever methods are measured against it."""

    def __init__(self, scorer: Scorer, *, seed: int) -> None:
        self._scorer, self.seed = scorer, seed
        self._continued: dict[int, tuple[Fitted, Fitted]] = {}  # the model is kept, so that its id stays its own
        self._made: dict[tuple[int, ForgetSet], Reference] = {}

    def values(self, original: Fitted, model: Fitted, everything: ForgetSet) -> dict[str, float | None]:
        """Figures of a model that has forgotten `everything` since it was `original`."""
        against = self._against(original, original.resolve(everything))
        panel = against.panel
        return {
            **panel.utility(model),
            "forget_auc": auc(*panel.forget_scores(model)),
            "retrain_auc": against.retrain_auc,
            "retrain_gap": against.gap(model),
            "gap_floor": against.gap_floor,
        }

    def _against(self, original: Fitted, forget: ForgetSet) -> Reference:
        name = id(original)
        if name not in self._continued:
            self._continued[name] = original, self._scorer.continued(original)
        if (name, forget) not in self._made:
            panel = self._scorer.panel(original, forget, seed=self.seed)
            continued = self._continued[name][1]
            self._made[name, forget] = reference(original, continued, forget, self._scorer, panel, seed=self.seed)
        return self._made[name, forget]


def stream(
    problem: Fitted,
    requests: Sequence[ForgetSet],
    method: Unlearner,
    yardstick: Yardstick,
    *,
    measure: Collection[int] = (),
    rule: RetrainRule | None = None,
) -> Stream:
    """Serve the requests one after another, each on what the one before it left.

    Args:
        yardstick: what the model is measured against; share it where several methods serve the same stream.
        measure: numbers (from 1) of the requests after which the model is compared with a retrain.
        rule: says after every request whether a retrain is due, and where it does so the model is trained anew on what
            remains, after measuring. None: it is only noted when one was due, by the default rule.

    Raises:
        UnknownIds: a request names what is not there, or not any more.
        MissingRequirement: the method cannot be applied to the model; raised before any work.
    """
    state = method.prepare(problem)
    prepared = state.seconds if state else 0.0
    original = method.subject(problem, state)
    current: Fitted = problem
    everything = ForgetSet()
    residuals: list[tuple[float, float]] = []
    steps: list[Step] = []
    for number, forget in enumerate(tqdm(requests, desc=method.name, disable=None, leave=False), start=1):
        everything = everything | forget
        with without_collection():
            result = method.forget(current, forget, state)
        current, state = result.problem, result.state
        before, after = result.residual_before, result.residual_after
        # What removed nothing left nothing, and would only lower the mean that a debt is held against.
        if before is not None and after is not None and (result.records_removed or result.n_rows_changed):
            residuals.append((before, after))
        removed = current.history.removed
        values = yardstick.values(original, current, everything) if number in measure else None
        reason = (rule or RetrainRule()).due(residuals, removed, current.n_records)
        retrain_seconds = 0.0
        if rule is not None and reason is not None:
            started = time.perf_counter()
            current = current.fit()
            state = method.prepare(current)
            residuals = []
            retrain_seconds = elapsed(started)
        retrained = rule is not None and reason is not None
        steps.append(Step(number, result.seconds, before, after, removed, values, reason, retrained, retrain_seconds))
    return Stream(method.name, method.arguments(), yardstick.seed, tuple(steps), prepared)


def streams(
    problem: Fitted,
    requests: Sequence[ForgetSet],
    methods: Sequence[Unlearner],
    scorer: Scorer,
    *,
    seed: int,
    measure: Collection[int] = (),
    settings: Mapping[str, object] | None = None,
    report: Callable[[Streams], object] = lambda found: None,
) -> Streams:
    """The same stream served by each of the methods.

    A method that cannot be applied gets its reason instead of a stream.

    Args:
        report: told after each method what there is so far, for all together may take hours.

    Raises:
        MissingRequirement: none of the methods can be applied; raised before any work.
    """
    reasons = obstacles(methods, problem)
    yardstick = Yardstick(scorer, seed=seed)
    found = Streams((), dict(settings or {}), dict(scorer.digests(problem)), reasons)
    for name, one in zip(labels(methods), methods, strict=True):
        if name not in reasons:
            served = replace(stream(problem, requests, one, yardstick, measure=measure), method=name)
            found = replace(found, streams=(*found.streams, served))
            report(found)
    return found
