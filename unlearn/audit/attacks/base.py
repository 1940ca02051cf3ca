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
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import ClassVar, TypeVar

from unlearn.audit.finding import Finding, Verdict
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Chance

M = TypeVar("M", bound="type[Metric]")


class CannotMeasure(ValueError):
    """The metric has no figure here: what it compares with is missing, or there is too little of it."""


class MissingReference(CannotMeasure):
    """The metric compares with something that was not collected; nothing stands in for it."""


class TooFew(CannotMeasure):
    """Fewer models or examples than the metric can say anything about."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Signals by name."""

    parts: Mapping[str, Signals]

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
    """A pure function of evidence; a subclass is a frozen dataclass of its settings."""

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]  # names of the evidence
    does_not_show: ClassVar[str]
    judged: ClassVar[bool] = True  # False: the figure is no test, and its verdict is always inconclusive

    @abstractmethod
    def read(self, evidence: Evidence) -> dict[str, Chance]:
        """The figures by name, most often one of the metric's own name.

        Raises:
            MissingReference: evidence that it requires is not there.
            TooFew: there are too few models or examples for it.
        """

    def findings(self, evidence: Evidence, control: Evidence | None = None) -> list[Finding]:
        """The figures with their verdicts.

        Args:
            control: the evidence of doing nothing (`no_op`) on the same models and examples. What it shows to be
                visible and the method does not show passes; without it, or where nothing is visible even there,
                what raises no alarm is inconclusive.
        """
        missing = [part for part in self.requires if part not in evidence.parts]
        if missing:
            raise MissingReference(
                f"`{self.name}` must have {', '.join(missing)} to compare with "
                f"(got {', '.join(sorted(evidence.parts)) or 'nothing'}); nothing stands in for it"
            )
        seen = {} if control is None else self.read(control)
        return [self._judged(name, found, seen.get(name)) for name, found in self.read(evidence).items()]

    def limits(self, name: str) -> str:
        """What the figure of that name does not show."""
        return self.does_not_show

    def _judged(self, name: str, found: Chance, control: Chance | None) -> Finding:
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
            p_value=found.p_value if found.p_value == found.p_value else None,
        )


def unmeasured() -> Chance:
    """A figure that cannot be given at this sample size."""
    return Chance(nan, nan, nan, nan, nan, nan, alarm=False)


_REGISTRY: dict[str, type[Metric]] = {}


def register(cls: M) -> M:
    """Class decorator: makes a metric findable by its `name`."""
    if cls.name in _REGISTRY:
        raise ValueError(f"a metric named {cls.name!r} is registered already")
    _REGISTRY[cls.name] = cls
    return cls


def metrics() -> dict[str, type[Metric]]:
    """All metrics by name."""
    import unlearn.audit.attacks  # noqa: F401  # pyright: ignore[reportUnusedImport]

    return dict(sorted(_REGISTRY.items()))
