"""What forget sets are made of: units by activity, popularity, memorisation and gradient variance, in thirds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unlearn.methods.base import MissingRequirement
from unlearn.problem import Problem
from unlearn.worst_case.budget import Room
from unlearn.worst_case.most_memorised import memorisation
from unlearn.worst_case.opposing import gradient_sketch

__all__ = ["NAMES", "activity", "gradient_variance", "memorisation", "popularity", "shares", "thirds"]

NAMES = ("low", "middle", "high")


def activity(room: Room) -> Tensor:
    """How many records each unit has, float64 [k]."""
    return torch.from_numpy(room.units.counts)[room.rows].double()


def popularity(problem: Problem, room: Room) -> Tensor:
    """How many records the items of each unit's records have, on average, float64 [k].

    Raises:
        ValueError: the problem has no items.
    """
    items = problem.units("item")
    of_records = torch.from_numpy(items.counts[items.owners]).double()
    return room.means(of_records, torch.arange(len(of_records)))


def gradient_variance(problem: Problem, room: Room, *, directions: int = 32, seed: int = 0) -> Tensor:
    """Variance over the stored checkpoints of the norm of each unit's gradient, float64 [k].

    After Agarwal, D'souza and Hooker, "Estimating example difficulty using variance of gradients", 2022, arXiv
    2008.11600. Norms are estimated in random directions, the same at every checkpoint.

    **Differences from the paper:** gradients in the parameters, not in the input, which a recommender has none of;
    their norms, over all checkpoints; no normalisation by class.

    Raises:
        MissingRequirement: training kept fewer than two checkpoints.
    """
    kept = problem.history.checkpoints
    if len(kept) < 2:
        raise MissingRequirement(
            f"`gradient_variance` needs at least two checkpoints (got {len(kept)}); train again with them kept "
            "(see `TrainingOptions.keep`)"
        )
    norms = [gradient_sketch(problem.with_params(one.params), room, directions, seed=seed).norm(dim=1) for one in kept]
    return torch.stack(norms).var(dim=0)


def thirds(scores: Tensor) -> Tensor:
    """The stratum [k] of each unit, 0 to 2, by its place among the scores [k]; equal scores share a stratum.

    It is the one in which the first of them would be, so strata are of equal size as far as ties allow.
    """
    ordered = scores.sort().values
    place = torch.searchsorted(ordered, scores.contiguous())
    return (3 * place) // max(len(scores), 1)


def shares(strata: Tensor, chosen: Tensor) -> Mapping[str, float]:
    """The share of the units `chosen` (places in [0, k)) that lie in each stratum; a third each for a random set."""
    found = torch.bincount(strata[chosen], minlength=len(NAMES)).double() / max(len(chosen), 1)
    return dict(zip(NAMES, found.tolist(), strict=True))
