"""4: what each single user's data still tells, sorted, with strata."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View

VIEW = View(
    "records",
    "Single records",
    "One line a user.",
    missing="`unlearn audit --json` with a pool of models writes the signals that a statement about single users needs.",
    does_not_show="Each line stands on few models; among many users some are far out by chance.",
)


def body(document: Node, looks: Looks) -> Markup:
    """The lines."""
    return Markup("")
