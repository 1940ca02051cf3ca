"""The twelve views in their order, one file each; every file has a `VIEW` and a `body(document, looks)`."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View
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

Body = Callable[[Node, Looks], Markup]

SECTIONS: tuple[tuple[View, Body], ...] = tuple(
    (module.VIEW, module.body)
    for module in (
        verdicts,
        screening,
        frontier,
        records,
        ranks,
        ripple,
        attack,
        representation,
        power,
        sequence,
        provenance,
        reading,
    )
)

__all__ = ["SECTIONS"]
