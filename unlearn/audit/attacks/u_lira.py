"""An attack example by example: a likelihood ratio between having unlearned an example and never having had it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from unlearn.audit.attacks.base import Evidence, Metric, register
from unlearn.audit.attacks.groups import SHARE, Mask, auc_of_sorted, by_membership, usable, without_own
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.statistics import Floats

_OWN_VARIANCE_FROM = 64  # models a side: below, one variance is shared by all examples (LiRA, section VI-C)
_TINY = 1e-12
_RATES = {"tpr_at_1_percent": 0.01, "tpr_at_0.1_percent": 0.001}


def likelihood_ratios(
    values: Floats, member: Mask, blocks: Sequence[int], form: Literal["online", "offline"] = "online"
) -> Floats:
    """log p(x | unlearned) - log p(x | never had it), by Gaussians of the models of other blocks.

    Of `values` [models, examples], for each membership [..., models, examples] and of its shape.

    "offline" knows models that never had the example alone: (x - mean) / sd of those. Every example must leave three
    models on each side.
    """
    # Centred before squaring, so that nothing is lost where signals are large and close together.
    values = values - values.mean(0)
    squares, own = values * values, member.astype(np.float64)

    def fitted(own: Floats) -> tuple[Floats, Floats, Floats]:
        """Count, mean and sum of squared deviations of the others of one kind."""
        n, mean = without_own(own, blocks), without_own(own * values, blocks)
        mean /= n
        return n, mean, np.maximum(without_own(own * squares, blocks) - n * mean * mean, 0.0)

    n_in, mean_in, spread_in = fitted(own)
    n_out, mean_out, spread_out = fitted(1 - own)
    if min(n_in.min(), n_out.min()) >= _OWN_VARIANCE_FROM - 1:
        variance_in, variance_out = spread_in / (n_in - 1), spread_out / (n_out - 1)
    else:
        variance_in = spread_in.sum(-1, keepdims=True) / (n_in - 1).sum(-1, keepdims=True)
        variance_out = spread_out.sum(-1, keepdims=True) / (n_out - 1).sum(-1, keepdims=True)
    variance_in, variance_out = (np.maximum(one, _TINY) for one in (variance_in, variance_out))
    from_out = (values - mean_out) ** 2 / variance_out
    if form == "offline":
        return np.sign(values - mean_out) * np.sqrt(from_out)
    return 0.5 * (from_out - (values - mean_in) ** 2 / variance_in + np.log(variance_out / variance_in))


def figures(scores: Floats, member: Mask) -> Floats:
    """AUC, balanced accuracy at ratio 0, and the true-positive rates at 1 % and .1 % false positives [b, 4].

    Of scores and membership [b, models, examples], as many of them members in each. A rate at a level that so few
    negatives cannot have (fewer than 100, 1,000) is NaN.
    """
    positive, negative = (np.sort(scores[side].reshape(len(scores), -1)) for side in (member, ~member))
    m = negative.shape[1]

    def above(bar: Floats) -> Floats:
        return (positive > bar[:, None]).mean(1)

    zero = np.zeros(len(scores))
    rates = [
        above(negative[:, m - 1 - int(level * m + 1e-9)]) if m >= 1 / level - 1e-9 else zero + np.nan
        for level in _RATES.values()
    ]
    areas = np.array([auc_of_sorted(mine, others) for mine, others in zip(positive, negative, strict=True)])
    return np.stack([areas, 0.5 * (above(zero) + (negative <= 0).mean(1)), *rates], axis=1)


@dataclass(frozen=True)
class LikelihoodRatio(Metric):
    """U-LiRA's figures on one part of the evidence."""

    part: ClassVar[str]
    form: Literal["online", "offline"] = "online"
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`; the balanced accuracy of an "offline" score, which has no own threshold, is at 0."""
        signals = evidence[self.part]
        member = signals.member.numpy()
        columns = usable(member, least=4)
        values, member = signals.values.numpy()[:, columns], member[:, columns]
        found, null = by_membership(
            lambda labels: figures(likelihood_ratios(values, labels, signals.draws, self.form), labels),
            member,
            signals.draws,
            draws=self.draws,
            seed=self.seed + evidence.seed,
        )
        sides = ("both", "both", "upper", "upper")
        return {
            name: Relabelling(float(value), null[:, place], side=side, within=SHARE)
            for place, (name, value, side) in enumerate(zip(self.names(), found, sides, strict=True))
        }

    def names(self) -> tuple[str, ...]:
        """Of the four figures."""
        return tuple(f"{self.name}_{figure}" for figure in ("auc", "balanced_accuracy", *_RATES))

    def limits(self, name: str) -> str:
        """See `Metric.limits`; of a rate, also how many negatives (models x examples) it takes."""
        for figure, level in _RATES.items():
            if name.endswith(figure):
                need = f"it exists from {1 / level:,.0f} negatives on and can be read from {3 / level:,.0f} on"
                return f"{self.does_not_show}; {need}"
        return self.does_not_show


@register
@dataclass(frozen=True)
class ULiRA(LikelihoodRatio):
    """Whether a model that unlearned an example can be told from one that never had it, example by example.

    Hayes, Shumailov, Triantafillou, Khalifa, Papernot, "Inexact Unlearning Needs More Careful Evaluations to Avoid a
    False Sense of Privacy" (2024, arXiv 2403.01218), after Carlini et al., "Membership Inference Attacks From First
    Principles" (2022, arXiv 2112.03570):

        log N(x; m_in, s_in) - log N(x; m_out, s_out)

    with the signal x of one model and Gaussians fitted, for this example, to the *other* models that unlearned it and
    to those that never had it. Pooled over examples: AUC, balanced accuracy, true-positive rate at 1 % and .1 % false
    positives (which exist from 100 and 1,000 negatives on, and take about three times that to be read).

    **Differences from the paper:** one pool of random halves gives both kinds of models for every example, and each
    model is judged by all others but its complement, where the paper trains shadow models apart from the targets. Below
    64 models on a side the examples share one variance, as LiRA does. The floor is not one half but what the same
    attack reads when models exchange who had been trained on what: leaving one out pulls it slightly below.
    """

    name = "u_lira"
    part = "unlearned.forget"
    requires = ("unlearned.forget",)
    does_not_show = "what an attacker with the parameters, or with another signal, could tell"


@register
@dataclass(frozen=True)
class Reinsertion(LikelihoodRatio):
    """The same attack once the deleted data is back in place: what only its absence had hidden comes out again.

    The unlearned parameters are asked over the data *with* the deleted part (for a recommender: with its edges back in
    the graph). A method that dropped edges and left the parameters as they were then reads as if nothing had been done;
    a retrain reads as before, for its parameters know nothing of who was deleted.
    """

    name = "reinsertion"
    part = "reinserted.forget"
    requires = ("reinserted.forget",)
    does_not_show = "traces that no return of the data brings out; see u_lira for the model as it is served"
