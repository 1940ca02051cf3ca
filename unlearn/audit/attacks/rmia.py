"""A calibrated attack that needs few models: is the example likelier here than others, each against its own rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.groups import SHARE, Mask, by_membership, usable, without_own
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.statistics import Floats
from unlearn.invalid import require


@register
@dataclass(frozen=True)
class RMIA(Metric):
    """AUC of the relative attack between models that unlearned an example and models that never had it.

    Zarifzadeh, Liu, Shokri, "Low-Cost High-Power Membership Inference Attacks" (2024, arXiv 2312.03262):

        score(x; t) = share of population z with [p(x|t) / p(x)] / [p(z|t) / p(z)] >= gamma
        p(x) = ((1 + a) p_out(x) + 1 - a) / 2            with p_out(x) the mean over other models without x

    Signals are log-probabilities, of a recommender log softmax over the items; the population is what is held out.

    **Differences from the paper:** a = 1 is the default, p(x) = p_out(x): the other values model how a classifier's
    probability of the true label rises towards 1 with membership, and an item's probability stays far from 1. The floor
    is what the attack reads when models exchange who had been trained on what.

    Args:
        a: in [0, 1]; gamma: positive.

    Raises:
        ValueError: listing every argument that is out of range.
    """

    name = "rmia"
    requires = ("unlearned.forget", "unlearned.held_out")
    does_not_show = "what the stronger likelihood-ratio attack finds in unlearned models; see u_lira"
    a: float = 1.0
    gamma: float = 1.0
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, a=("at least 0 and at most 1", 0 <= self.a <= 1), gamma=("positive", self.gamma > 0))

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        signals, population = evidence["unlearned.forget"], evidence["unlearned.held_out"].values.numpy()
        if not population.shape[1]:
            raise TooFew("`unlearned.held_out` must hold a population for `rmia` (got no example)")
        columns = usable(signals.member.numpy())
        values, member = signals.values.numpy()[:, columns], signals.member.numpy()[:, columns]

        others = ranked(population, signals.draws, self.a)

        def statistic(labels: Mask) -> Floats:
            reached = exceeded(values, labels, others, signals.draws, a=self.a, gamma=self.gamma)
            return _auc_of_counts(reached, labels)[:, None]

        found, null = by_membership(statistic, member, signals.draws, draws=self.draws, seed=self.seed + evidence.seed)
        return {"rmia_auc": Relabelling(float(found[0]), null[:, 0], within=SHARE)}


def relative(
    values: Floats, member: Mask, others: Floats, blocks: Sequence[int], *, a: float = 1.0, gamma: float = 1.0
) -> Floats:
    """Scores of log-probabilities [models, examples]; no model of a block refers to another of it.

    For each membership [..., models, examples], and of its shape.

    Args:
        others: the population's ratios, from `ranked`.
    """
    return exceeded(values, member, others, blocks, a=a, gamma=gamma) / others.shape[1]


def exceeded(
    values: Floats, member: Mask, others: Floats, blocks: Sequence[int], *, a: float, gamma: float
) -> NDArray[np.intp]:
    """The score as the number of the population that it reaches."""
    reached = values - _marginal(values, (~member).astype(np.float64), blocks, a) - log(gamma)
    return np.stack(
        [np.searchsorted(row, reached[..., model, :], side="right") for model, row in enumerate(others)], axis=-2
    )


def _auc_of_counts(counts: NDArray[np.intp], positive: Mask) -> Floats:
    """`auc` [b] of whole numbers [b, models, examples] that are few, without sorting."""
    b, most = len(counts), int(counts.max()) + 1
    places = counts + most * np.arange(b)[:, None, None]
    mine, others = (np.bincount(places[side], minlength=b * most).reshape(b, most) for side in (positive, ~positive))
    below = others.cumsum(1) - others
    return (mine * (below + 0.5 * others)).sum(1) / (mine.sum(1) * others.sum(1))


def ranked(population: Floats, blocks: Sequence[int], a: float = 1.0) -> Floats:
    """log [p(z|t) / p(z)] of the population [models, z], ascending for each model; no model had any of it."""
    return np.sort(population - _marginal(population, np.ones_like(population), blocks, a), axis=1)


def _marginal(values: Floats, without: Floats, blocks: Sequence[int], a: float) -> Floats:
    """log p(x) for each model, from the models of other blocks that lack the example."""
    top = values.max(0)
    others = without_own(np.exp(values - top) * without, blocks) / without_own(without, blocks)
    with np.errstate(divide="ignore"):  # a = 1 leaves nothing beside p_out
        return np.logaddexp(np.log((1 + a) * others) + top, np.log(1 - a)) - log(2)
