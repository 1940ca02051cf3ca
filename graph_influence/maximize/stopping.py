"""When enough sets were drawn: at a guaranteed ratio, at a share of what the graph allows, or when time is up."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, log

from graph_influence.maximize import bounds


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look at two independent collections of sets says about the seeds chosen on the first.

    certified: their proven share of the best spread there is, if no bound of any look so far fails; attainable: what
    this share tends to with the number of sets, because the bound on the best is not tight.
    """

    low: float
    high: float
    attainable: float

    @property
    def certified(self) -> float:
        return self.low / self.high


class Rule(ABC):
    """Decides after each look whether it was the last; all its looks together fail with probability at most delta."""

    @abstractmethod
    def log_inverse(self, look: int) -> float:
        """ln(1 / p) of each bound of the `look`-th look, from 1."""

    @abstractmethod
    def done(self, look: int, evidence: Evidence) -> bool: ...

    def certified(self, look: int, evidence: Evidence) -> float:
        """The ratio that is proven when the `look`-th was the last."""
        return evidence.certified


@dataclass(frozen=True, slots=True)
class Guarantee(Rule):
    """At `ratio`, which the sets of the last of `looks` reach with probability 1 - delta / 3 whatever they show."""

    ratio: float
    looks: int
    delta: float

    def log_inverse(self, look: int) -> float:
        return log(3 * self.looks / self.delta)

    def done(self, look: int, evidence: Evidence) -> bool:
        return evidence.certified >= self.ratio or look >= self.looks

    def certified(self, look: int, evidence: Evidence) -> float:
        return max(evidence.certified, self.ratio) if look >= self.looks else evidence.certified


@dataclass(frozen=True, slots=True)
class Share(Rule):
    """At a share of the attainable ratio, however many looks that takes."""

    share: float
    delta: float

    def log_inverse(self, look: int) -> float:
        return bounds.spent(self.delta, look)

    def done(self, look: int, evidence: Evidence) -> bool:
        return evidence.certified >= self.share * evidence.attainable


@dataclass(frozen=True, slots=True)
class StandingShare(Share):
    """A `Share` whose sets are looked at further when it is done: as people leave, and for other seeds.

    At which look it was done the sets decide themselves, and so how many they are at look t: one of t numbers. A bound
    can fail for each of them (as the number of sets of IMM must be reckoned with: Chen 2018, arXiv 1808.09363), so it
    spends a t-th part of what it spends elsewhere.
    """

    def log_inverse(self, look: int) -> float:
        return bounds.spent(self.delta, look) + log(look)


class Budget(Rule):
    """Before the look that would end after so many seconds: each look draws as much as all before it."""

    def __init__(self, seconds: float, delta: float) -> None:
        self.seconds, self.delta = seconds, delta
        self.began = self.last = time.perf_counter()

    def log_inverse(self, look: int) -> float:
        return bounds.spent(self.delta, look)

    def done(self, look: int, evidence: Evidence) -> bool:
        now = time.perf_counter()
        took, self.last = now - self.last, now
        return now + 2 * took > self.began + self.seconds


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """When to stop: at most one of the first three is given.

    eps: at the a priori ratio of the method less eps, as in the papers. seconds: when another doubling would take
    longer than that, counted from the start. share: at this share of the ratio that is attainable (`Evidence`);
    default: 0.95. delta: probability with which the ratio may be wrong; default: 1 / n.
    """

    eps: float | None = None
    seconds: float | None = None
    share: float | None = None
    delta: float | None = None

    def wrong_rule(self, ratio: float) -> list[str]:
        """What is wrong with these arguments, for a method of this a priori ratio."""
        wrong: list[str] = []
        given = [name for name in ("eps", "seconds", "share") if getattr(self, name) is not None]
        if len(given) > 1:
            wrong.append(f"at most one of `eps`, `seconds` and `share` may say when to stop (got {', '.join(given)})")
        ranges = {
            "eps": (bounds.LEAST_EPS, ratio),
            "seconds": (0.0, inf),
            "share": (0.0, 1.0),
            "delta": (bounds.LEAST_DELTA, 1.0),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least < value < most:
                wrong.append(f"`{name}` must be above {least:.4g} and below {most:.4g} (got {value})")
        return wrong

    def rule(self, n: int, ratio: float, log_choices: float, optimum: float) -> tuple[Rule, int]:
        """The rule, and how many sets the first look takes of each collection: arguments as in `bounds.sets_enough`."""
        delta = self.delta or 1 / n
        first = bounds.sets_enough(n, ratio, log_choices, n, 1.0, delta)
        if self.eps is not None:
            most = bounds.sets_enough(n, ratio, log_choices, optimum, self.eps, delta)
            return Guarantee(ratio - self.eps, bounds.doublings(most, first), delta), int(first)
        rule = Share(self.share or 0.95, delta) if self.seconds is None else Budget(self.seconds, delta)
        return rule, int(first)
