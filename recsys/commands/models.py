"""unlearn models"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unlearn.command import Json, command, terminal


@command
def models(json_: Json = False) -> Mapping[str, Any]:
    """Every model and training objective: what it is, its paper, its arguments."""
    from recsys import closed_form, models, objectives
    from unlearn.catalogue import describe, table

    found = {
        title: [describe(name, kind) for name, kind in kinds.items()]
        for title, kinds in (
            ("models", models.registered()),
            ("closed_forms", closed_form.registered()),
            ("objectives", objectives.registered()),
        )
    }
    if not json_:
        titles = ("Models that an objective trains", "Models in closed form", "Objectives")
        for title, entries in zip(titles, found.values(), strict=True):
            terminal().print(table(f"{title}, as in name:argument=value", entries))
    return found
