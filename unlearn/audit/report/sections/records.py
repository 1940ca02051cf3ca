"""4: what each single user's data still tells, sorted, with strata."""

from __future__ import annotations

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import Section


def section(document: Node, looks: Looks) -> Section:
    section = Section(
        "records",
        "Single records",
        "One line a user.",
        missing="`unlearn audit --pool N --json` trains the shadow models that a statement about single users needs.",
        does_not_show="Each line stands on few models; among many users some are far out by chance.",
    )
    return section
