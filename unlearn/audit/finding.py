"""One claim of an audit: a figure, how sure it is, what chance alone would read, and what it does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one metric says about one method.

    `pass`: no more than chance would read, at a resolution at which an effect would have been seen; `fail`: the
    interval excludes what chance reads; `inconclusive`: the sample cannot tell the two apart.
    """

    metric: str
    value: float
    low: float  # 95 % interval; an infinite end is not known
    high: float
    null_floor: float  # the same figure between two models that both never saw the data
    resolution: float  # the smallest distance from the floor that this sample could have told from chance
    requires: tuple[str, ...]  # the references that were used
    verdict: Verdict
    does_not_show: str
    p_value: float | None = None  # of the test behind the verdict, before any correction for several metrics
    by_seed: tuple[float, ...] = ()  # the same figure under each seed alone; the verdict is that of all together
