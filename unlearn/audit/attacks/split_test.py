"""A threshold chosen on one half of the models and judged on the other: bounds that no search has inflated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.attacks.groups import LEAST, Mask
from unlearn.audit.statistics import LEVEL, Floats, clopper_pearson
from unlearn.streams import uniforms

DELTA = 1e-5  # of the NeurIPS 2023 unlearning challenge


@dataclass(frozen=True, slots=True)
class Errors:
    """A threshold attack on fresh models: how often it erred on those of each kind.

    `direction` is 1 where the first kind scores higher, else -1. Bounds are by the upper Clopper-Pearson ends of both
    rates, each exceeded with probability 2.5 %.
    """

    false_positives: int
    negatives: int
    false_negatives: int
    positives: int
    direction: int

    @classmethod
    def joined(cls, parts: Sequence[Errors]) -> Errors:
        """Of several attacks, each on models and with a threshold of its own, as one: their errors are added.

        Who plays one of them by lot is an attacker, too, so a bound on what any attack can do holds for the sum, as
        long as all are judged by as many models of each kind.
        """
        total = {f.name: sum(getattr(one, f.name) for one in parts) for f in fields(cls)}
        return cls(**total | {"direction": 1 if total["direction"] >= 0 else -1})

    def pointing(self, direction: int) -> Errors:
        """Those of the attack that takes the first kind for the higher one (1) or the lower (-1)."""
        if direction == self.direction:
            return self
        wrong = self.negatives - self.false_positives, self.positives - self.false_negatives
        return Errors(wrong[0], self.negatives, wrong[1], self.positives, direction)

    def none(self) -> Errors:
        """The same attack without an error: complete separation."""
        return Errors(0, self.negatives, 0, self.positives, self.direction)

    def rates(self) -> tuple[float, float]:
        """Upper ends of the false-positive and the false-negative rate."""
        counts = (self.false_positives, self.negatives), (self.false_negatives, self.positives)
        first, second = (clopper_pearson(errors, trials, level=LEVEL)[1] for errors, trials in counts)
        return first, second

    def epsilon(self, delta: float = DELTA) -> float:
        """Lower bound: an (epsilon, delta)-indistinguishable pair would not have let the attack err so rarely."""
        a, b = self.rates()
        return max(0.0, *(log((1 - delta - x) / y) if x < 1 - delta and y > 0 else 0.0 for x, y in ((a, b), (b, a))))

    def mu(self) -> float:
        """Lower bound on the mu of a Gaussian trade-off curve, Phi^-1(1 - a) - Phi^-1(b)."""
        a, b = self.rates()
        return max(0.0, float(ndtri(1 - a) - ndtri(b)))


def split_test(
    values: Floats, first: Mask, blocks: Sequence[int], *, seed: int, by: Literal["epsilon", "mu"] = "epsilon"
) -> Errors:
    """Tell two kinds of models apart by one example and one threshold.

    Half of the models choose example, threshold and direction; the other half counts errors at these, once. Of the
    first half's choices the one with the largest bound on epsilon (or mu, `by`) wins.

    Args:
        values: [models, examples]; first: which models are of the first kind, for each example; blocks: the
            independent draw of each model.

    Raises:
        TooFew: there is no example, or none has three models of each kind in each half.
    """
    if not values.shape[1]:
        raise TooFew("`examples` must include one that models are asked about for a split test (got none)")
    chosen, judged = _halves(first[:, 0], blocks, seed)
    counts = np.stack([mask.sum(0) for half in (chosen, judged) for mask in (first[half], ~first[half])])
    columns = np.flatnonzero((counts >= LEAST).all(0))
    if not len(columns):
        raise TooFew(
            f"`models` must give an example {LEAST} of each kind in each half for a split test (got {len(values)} "
            f"models in all); enlarge the pool"
        )
    column, threshold, direction = _best(values[chosen][:, columns], first[chosen][:, columns], by)
    column = int(columns[column])
    guess = direction * (values[judged, column] - threshold) > 0
    truth = first[judged, column]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    wrong = int((guess & ~truth).sum()), int((~guess & truth).sum())
    return Errors(wrong[0], negatives, wrong[1], positives, direction)


def _halves(first: Mask, blocks: Sequence[int], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a random half of the blocks, and of the other; blocks of either kind alone are halved apart."""
    names, place = np.unique(blocks, return_inverse=True)
    draw = uniforms(seed, "audit/halves", np.arange(len(names)))
    share = np.bincount(place, first) / np.bincount(place)
    chosen = np.zeros(len(names), dtype=np.bool_)
    for kind in np.unique(share):
        mine = np.flatnonzero(share == kind)
        chosen[mine[np.argsort(draw[mine])][: len(mine) // 2]] = True
    return np.flatnonzero(chosen[place]), np.flatnonzero(~chosen[place])


def _best(values: Floats, first: Mask, by: Literal["epsilon", "mu"]) -> tuple[int, float, int]:
    """The example, threshold and direction of the largest bound."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, 0)
    mine = np.take_along_axis(first, order, 0)
    n, m = mine.sum(0), (~mine).sum(0)
    below_first, below_second = mine.cumsum(0)[:-1], (~mine).cumsum(0)[:-1]  # at or below each gap
    tied = ordered[1:] == ordered[:-1]
    best = (0, 0.0, 1)
    largest = -inf
    for direction, false_negative, false_positive in (
        (1, below_first, m - below_second),
        (-1, n - below_first, below_second),
    ):
        b, a = _upper(false_negative, n), _upper(false_positive, m)
        with np.errstate(divide="ignore"):
            told = np.log(np.maximum((1 - a) / b, (1 - b) / a)) if by == "epsilon" else ndtri(1 - a) - ndtri(b)
        found = np.where(tied, -inf, told)
        place, column = np.unravel_index(int(found.argmax()), found.shape)
        if found[place, column] > largest:
            largest = float(found[place, column])
            best = (int(column), float(ordered[place : place + 2, column].mean()), direction)
    return best


def _upper(errors: NDArray[np.intp], trials: NDArray[np.intp]) -> Floats:
    """Upper Clopper-Pearson ends, as those that the other half is judged by."""
    left = trials - errors
    return np.where(left > 0, betaincinv(errors + 1, np.maximum(left, 1), 1 - LEVEL / 2), 1.0)
