"""The twelve views in their order, one file each; every file has `section(document, looks)`."""

from __future__ import annotations

from collections.abc import Callable

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import Section
from unlearn.audit.report.sections import (
    attack,
    frontier,
    power,
    provenance,
    ranks,
    reading,
    records,
    representation,
    ripple,
    screening,
    sequence,
    verdicts,
)

SECTIONS: tuple[Callable[[Node, Looks], Section], ...] = (
    verdicts.section,
    screening.section,
    frontier.section,
    records.section,
    ranks.section,
    ripple.section,
    attack.section,
    representation.section,
    power.section,
    sequence.section,
    provenance.section,
    reading.section,
)

__all__ = ["SECTIONS"]
