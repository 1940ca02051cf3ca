"""Every view that needs the models themselves, computed once while they are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unlearn.audit.contract import Panel
from unlearn.audit.views.contract import Surroundings
from unlearn.audit.views.ranks import rank_shift
from unlearn.audit.views.representation import representation
from unlearn.audit.views.ripple import ripple
from unlearn.problem import Fitted


def collect(
    original: Fitted,
    retrained: Sequence[Fitted],
    unlearned: Mapping[str, Fitted],
    panel: Panel,
    surroundings: Surroundings,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The views of one request, as plain values for JSON.

    There is no `representation` of models without tables, nor where nobody remains.

    Args:
        retrained: at least two models that never saw the forgotten data; the first is the reference, the second says
            how far retrains differ by themselves.
        unlearned: what each method made of `original`, by the name of its row.
        seed: of the choice of rows that are drawn.

    Raises:
        ValueError: fewer than two retrained models, or a method called like one of the other models.
    """
    problems: list[str] = []
    if len(retrained) < 2:
        problems.append(
            f"`retrained` must hold at least two models for `collect`: without a second one there is no floor "
            f"(got {len(retrained)})"
        )
    if taken := sorted({"original", "retrain", "second retrain"} & set(unlearned)):
        problems.append(f"`unlearned` must not use the names of the other models for `collect` (got {taken})")
    if problems:
        raise ValueError("\n".join(problems))
    reference = retrained[0]
    models = {"original": original, **unlearned, "second retrain": retrained[1]}
    views = {
        "ranks": rank_shift(models, reference, panel, surroundings),
        "ripple": ripple(models, reference, panel, surroundings),
        "representation": representation(models, reference, surroundings, seed=seed),
    }
    return {name: view for name, view in views.items() if view is not None}
