"""The damping that an early-stopped Adam amounts to."""

from __future__ import annotations

from torch import Tensor

from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.solvers.adam import Adam


def adam_damping(problem: Problem) -> Tensor:
    """The diagonal [p] by which training with Adam has left the objective's curvature damped.

        damping = n sqrt(v') / (sum of the learning rates),    v' = v / (1 - b2^steps)

    Adam moves by lr P^-1 g with P = sqrt(v'), for a time T = sum of lr over its steps. Along a direction of curvature c
    that is time to arrive where c exceeds P / T, and too little to leave the start where c is below. To first order it
    ends at the minimum of the objective plus 1/2 |x - start|^2 in the norm P / T: the kinship of early stopping and L2
    (Santos, "Equivalence of regularization and truncated iteration for general ill-posed problems", 1996). A request is
    then served by (H + damping)^-1, which moves what training had the time to move.

    The trainers here give Adam the gradient of the objective over its n records; n takes it back to the sum.

    Reads `history.optimizer`, which training keeps on request.

    Raises:
        ValueError: training kept no such state.
    """
    kept = problem.history.optimizer
    if kept is None:
        raise ValueError("`history.optimizer` must be kept for `adam_damping` (got none); train again and keep it")
    unbiased = flatten(kept.square).div_(1.0 - Adam.beta2**kept.steps)
    return unbiased.sqrt_().mul_(problem.n_records / kept.rates)
