"""How a stored model forgets: by which method where nobody named one, and what that must leave to be stored again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.store import Storable
    from unlearn.methods.base import Unlearner, UnlearnResult
    from unlearn.problem import Fitted

# Finer than the default of `reconverge`: attacks notice what that leaves of a large request, and errors of all requests
# until the next full training add up. Beside loading a model, verifying and storing it, it costs little.
METHODS = ("native", "reconverge:accuracy=0.05", "two_level")


def first_applicable(model: Fitted) -> Unlearner:
    """The first of `METHODS` that can be applied to the model."""
    from unlearn.specification import unlearner

    return next(one for one in map(unlearner, METHODS) if one.obstacle(model) is None)


def storable(result: UnlearnResult) -> Storable:
    """The model that a method made, which must be of a kind that can be stored.

    Raises:
        ValueError: it is of another kind, as an ensemble of shards.
    """
    from recsys.store import Storable

    if not isinstance(result.problem, Storable):
        raise ValueError(
            f"`method` must keep the kind of model (got {result.method}, which serves with a "
            f"{type(result.problem).__name__}); nothing was saved"
        )
    return result.problem
