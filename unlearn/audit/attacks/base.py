"""What every metric of an audit has in common: the evidence that it asks for, its reading, its verdict; the registry.

Evidence is a set of signals by name, `<stage>.<examples>`:

- `before`: the models as they were trained; `unlearned`: the same models after the method; `retrained`: *other* models
  of the pool, retrained without what is forgotten; `reinserted`: the unlearned models asked with the deleted data back
  in place; `clean`: other models that saw neither the known nor the unknown part of a corruption.
- `forget`: what the request names; `retain`: what stays; `held_out`: what no model was trained on; `unknown`: the part
  of a corruption that the request does not name; `relearning`: minus the loss on the forgotten at every step of a
  training on it.

Every model of the pool was trained on a random half of the units. So there are two null hypotheses, each tested by
relabelling what it makes exchangeable: that a model which unlearned an example looks like one that never had it (rows
of `member`), and that an unlearned model looks like a retrained one (rows of two disjoint sets of models).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearn.audit.chance import Chance, Reading
from unlearn.audit.finding import Finding, Verdict
from unlearn.audit.signals import Signals
from unlearn.invalid import require
from unlearn.registry import Registry

Readings = dict[str, list[Reading]]  # by figure, one a seed that has it


class CannotMeasure(ValueError):
    """The metric has no figure here: what it compares with is missing, or there is too little of it."""


class MissingReference(CannotMeasure):
    """The metric compares with something that was not collected; nothing stands in for it."""


class TooFew(CannotMeasure):
    """Fewer models or examples than the metric can say anything about."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Signals of one seed by name; the seed sets its relabelling apart from that of other seeds."""

    parts: Mapping[str, Signals]
    seed: int = 0

    def __getitem__(self, name: str) -> Signals:
        """The part of that name.

        Raises:
            MissingReference: it was not collected.
        """
        if name not in self.parts:
            raise MissingReference(
                f"`{name}` must be in the evidence (got {', '.join(sorted(self.parts)) or 'nothing'})"
            )
        return self.parts[name]


class Metric(ABC):
    """A pure function of evidence.

    A subclass is a frozen dataclass of its settings, each with a default, which are held to their kinds
    (`unlearn.invalid.require`).
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]  # names of the evidence
    does_not_show: ClassVar[str]
    judged: ClassVar[bool] = True  # False: the figure is no test, and its verdict is always inconclusive

    def __post_init__(self) -> None:
        require(self)

    @abstractmethod
    def readings(self, evidence: Evidence) -> Mapping[str, Reading]:
        """What one seed's evidence reads, by figure, most often one of the metric's own name.

        Raises:
            MissingReference: evidence that it requires is not there.
            TooFew: there are too few models or examples for it.
        """

    def read(self, *evidence: Evidence) -> dict[str, Chance]:
        """The figures of all seeds together, by name.

        Raises:
            MissingReference: evidence that it requires is not there.
            TooFew: there are too few models or examples for it, under any of the seeds.
        """
        return pooled(self.by_figure(evidence))

    def findings(self, *evidence: Evidence, control: Sequence[Evidence] = ()) -> list[Finding]:
        """The figures of all seeds together, with their verdicts.

        Args:
            evidence: one for each seed.
            control: the evidence of doing nothing (`no_op`) on the same models and examples, seed by seed. What it
                shows to be visible and the method does not show passes; without it, or where nothing is visible even
                there, what raises no alarm is inconclusive.
        """
        return self.judged_beside(self.read(*control) if control else {}, self.by_figure(evidence))

    def by_figure(self, evidence: Sequence[Evidence]) -> Readings:
        """The readings of every seed, by figure.

        Raises:
            MissingReference: evidence that it requires is not there.
            TooFew: there are too few models or examples for it, under any of the seeds.
        """
        missing = [part for part in self.requires if any(part not in one.parts for one in evidence)]
        if missing:
            there = sorted(set.intersection(*(set(one.parts) for one in evidence)))
            raise MissingReference(
                f"`{self.name}` must have {', '.join(missing)} to compare with "
                f"(got {', '.join(there) or 'nothing'}); nothing stands in for it"
            )
        every = [self.readings(one) for one in evidence]
        return {name: [found[name] for found in every if name in found] for found in every for name in found}

    def judged_beside(self, control: Mapping[str, Chance], readings: Readings) -> list[Finding]:
        """Findings from the readings of every seed, beside what doing nothing reads."""
        found = pooled(readings)
        return [
            self._judged(name, found[name], control.get(name), tuple(one.alone() for one in every))
            for name, every in readings.items()
        ]

    def limits(self, name: str) -> str:
        """What the figure of that name does not show."""
        return self.does_not_show

    def _judged(self, name: str, found: Chance, control: Chance | None, by_seed: tuple[float, ...]) -> Finding:
        verdict: Verdict = "inconclusive"
        if self.judged and found.alarm:
            verdict = "fail"
        elif self.judged and control is not None and control.alarm:
            verdict = "pass"
        return Finding(
            metric=name,
            value=found.value,
            low=found.low,
            high=found.high,
            null_floor=found.floor,
            resolution=found.resolution,
            requires=self.requires,
            verdict=verdict,
            does_not_show=self.limits(name),
            p_value=found.p_value if self.judged and found.p_value == found.p_value else None,
            by_seed=by_seed,
        )


def pooled(readings: Readings) -> dict[str, Chance]:
    """Each figure of all seeds together."""
    return {name: type(found[0]).pooled(found) for name, found in readings.items()}


_METRICS = Registry(Metric, "metric", group="unlearn.methods", bare=True)
register, metrics = _METRICS.register, _METRICS.kinds
