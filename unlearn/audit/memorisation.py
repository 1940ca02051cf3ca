"""How much of what a model says about an example is there only because it was trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from torch import Tensor

from unlearn.audit.signals import Signals


@dataclass(frozen=True, eq=False)
class Memorisation:
    """Per example, over all models: see `memorisation`."""

    value: Tensor  # float64 [examples]
    standard_error: Tensor  # float64 [examples]; NaN where the models come from fewer than two independent draws
    inside: Tensor  # int64 [examples]: models trained on the example
    outside: Tensor  # int64 [examples]: models trained without it


def memorisation(signals: Signals) -> Memorisation:
    """Label memorisation by subsampling.

    Feldman and Zhang, "What Neural Networks Memorize and Why: Discovering the Long Tail via Influence Estimation",
    2020, arXiv 2008.03703.

        mem(i) = mean of the signal about i over models trained on i - mean over models trained without i

    The signal is correctness (0 or 1) in the paper; for a recommender hit@K, a percentile rank or a margin. Positive:
    the example is answered better for having been trained on.

    Raises:
        ValueError: some examples were in all models or in none.

    **Differences from the paper:** any signal in place of correctness; balanced halves by default (`Plan.halves`; the
    paper draws 70 %, its `share`), so that both means have equally many models; a standard error, clustered by `blocks`
    because a subset and its complement, or one subset under two seeds, are one draw.
    """
    values, member = signals.values.double(), signals.member.double()
    inside, outside = member.sum(0), (1.0 - member).sum(0)
    if one_sided := int(((inside == 0) | (outside == 0)).sum()):
        raise ValueError(
            f"`signals` must have models trained with and without each example for `memorisation` "
            f"(got {one_sided} of {len(inside)} examples in all models or in none); leave those out, or add models"
        )
    means = (member * values).sum(0) / inside, ((1.0 - member) * values).sum(0) / outside
    # By how much each model moves the difference of means, to first order.
    moves = member * (values - means[0]) / inside - (1.0 - member) * (values - means[1]) / outside
    return Memorisation(means[0] - means[1], _clustered(moves, signals.blocks), inside.long(), outside.long())


def _clustered(moves: Tensor, blocks: Tensor | None) -> Tensor:
    """Standard error of a sum [examples] over models [models, examples], of which those of one block go together.

    With the usual correction G/(G - 1) (N - 1)/(N - 2) for G blocks of N models and two means.
    """
    n = len(moves)
    if blocks is not None:
        number = blocks.unique(return_inverse=True)[1]
        moves = moves.new_zeros(int(number.max()) + 1, moves.shape[1]).index_add(0, number, moves)
    g = len(moves)
    if g < 2 or n < 3:
        return moves.new_full(moves.shape[1:], nan)
    return (moves.square().sum(0) * (g / (g - 1)) * ((n - 1) / (n - 2))).sqrt()
