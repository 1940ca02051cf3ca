"""A threshold chosen on one half of the models and judged on the other: bounds that no search has inflated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log
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
    """A threshold attack on fresh models: upper ends of both error rates, each exceeded with probability 2.5 %.

    `direction` is 1 where the first kind scores higher, else -1.
    """

    false_positive: float
    false_negative: float
    direction: int

    def epsilon(self, delta: float = DELTA) -> float:
        """Lower bound: an (epsilon, delta)-indistinguishable pair would not have let the attack err so rarely."""
        a, b = self.false_positive, self.false_negative
        return max(0.0, *(log((1 - delta - x) / y) if x < 1 - delta and y > 0 else 0.0 for x, y in ((a, b), (b, a))))

    def mu(self) -> float:
        """Lower bound on the mu of a Gaussian trade-off curve, Phi^-1(1 - a) - Phi^-1(b)."""
        return max(0.0, float(ndtri(1 - self.false_positive) - ndtri(self.false_negative)))


def split_test(
    values: Floats, first: Mask, blocks: Sequence[int], *, seed: int, by: Literal["epsilon", "mu"] = "epsilon"
) -> tuple[Errors, Errors]:
    """Tell two kinds of models apart by one example and one threshold; with it, what complete separation would read.

    Half of the models choose example, threshold and direction; the other half counts errors at these, once. Of the
    first half's choices the one with the largest bound on epsilon (or mu, `by`) wins.

    Args:
        values: [models, examples]; first: which models are of the first kind, for each example; blocks: the
            independent draw of each model.

    Raises:
        TooFew: no example has three models of each kind in each half.
    """
    chosen, judged = _halves(blocks, seed)
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
    _, false_positive = clopper_pearson(int((guess & ~truth).sum()), negatives, level=LEVEL)
    _, false_negative = clopper_pearson(int((~guess & truth).sum()), positives, level=LEVEL)
    ideal = Errors(clopper_pearson(0, negatives)[1], clopper_pearson(0, positives)[1], direction)
    return Errors(false_positive, false_negative, direction), ideal


def _halves(blocks: Sequence[int], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a random half of the blocks, and of the other."""
    names, place = np.unique(blocks, return_inverse=True)
    rank = np.argsort(np.argsort(uniforms(seed, "audit/halves", np.arange(len(names)))))
    chosen = rank[place] < len(names) // 2
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


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


def separation(epsilon: float, delta: float = 0.0) -> float:
    """The advantage that (epsilon, delta)-indistinguishability allows: 2 (1 - (2 - 2 delta) / (e^epsilon + 1))."""
    return 2 * (1 - (2 - 2 * delta) / (exp(epsilon) + 1))
