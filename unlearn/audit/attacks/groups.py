"""What the attacks share: areas under curves of many scores at once, and two disjoint groups of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.chance import Relabelling, orders, relabelled
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Floats

Mask = NDArray[np.bool_]
SHARE = (0.0, 1.0)  # between which every area and rate lies
LEAST = 3  # models on each side of a comparison: what is left when one is taken out can still vary
_AT_ONCE = 2**14  # cells of as many relabellings as are worked on together: they stay in the cache


def auc(scores: Floats, positive: Mask) -> float:
    """Probability that a score of a positive exceeds one of a negative, ties counting half; arrays of one shape."""
    return auc_of_sorted(np.sort(scores[positive]), np.sort(scores[~positive]))


def auc_of_sorted(mine: Floats, others: Floats) -> float:
    """The same of two ascending samples, which are looked up in one sweep."""
    below, not_above = (np.searchsorted(others, mine, side=side) for side in ("left", "right"))
    return float((below.sum() + not_above.sum()) / (2 * len(mine) * len(others)))


def usable(member: Mask, *, least: int = LEAST) -> NDArray[np.intp]:
    """Columns in which at least `least` models had the example and as many did not.

    Raises:
        TooFew: there is none.
    """
    counts = member.sum(0)
    found = np.flatnonzero((counts >= least) & (len(member) - counts >= least))
    if not len(found):
        raise TooFew(
            f"`models` must include {least} that were trained on an example and {least} that were not "
            f"(got {len(member)} models, at best {int(np.minimum(counts, len(member) - counts).max(initial=0))})"
        )
    return found


def apart(mine: Signals, others: Signals) -> Signals:
    """The rows of `mine` of other draws than the `others`: two groups that depend on each other in nothing.

    Raises:
        TooFew: fewer than three models on a side.
    """
    theirs = set(others.draws)
    rows = [place for place, draw in enumerate(mine.draws) if draw not in theirs]
    if min(len(rows), len(others)) < LEAST:
        raise TooFew(
            f"`models` must be at least {LEAST} on each side, none of them on both (got {len(rows)} unlearned and "
            f"{len(others)} retrained); enlarge the pool"
        )
    return mine.rows(rows)


def difference(
    left: Floats,
    right: Floats,
    blocks: Sequence[int],
    *,
    draws: int,
    seed: int,
    within: tuple[float, float] = (-inf, inf),
) -> Relabelling:
    """Mean of one group of models' figures [n] beside that of another [m], tested by exchanging the models.

    Args:
        blocks: the independent draw of each model, those of the left first [n + m].
    """
    both, n = np.concatenate([left, right]), len(left)

    def statistic(order: NDArray[np.intp]) -> Floats:
        shuffled = both[order]
        return np.array([shuffled[:n].mean() - shuffled[n:].mean()])

    _, null = relabelled(statistic, blocks, draws=draws, seed=seed)
    return Relabelling(float(left.mean()), null[:, 0], floor=float(right.mean()), within=within)


def without_own(values: Floats, blocks: Sequence[int]) -> Floats:
    """Sums [..., models, examples] over the models of all other blocks, so that none judges what depends on it.

    Args:
        blocks: the independent draw of each model; those of a block follow each other.
    """
    n, size = len(set(blocks)), len(blocks) // len(set(blocks))
    if n * size == len(blocks) and all(one == blocks[k - k % size] for k, one in enumerate(blocks)):
        own, sizes = values.reshape(*values.shape[:-2], n, size, -1).sum(-2), size  # every pool, several times faster
    else:
        starts = np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1))
        own, sizes = np.add.reduceat(values, starts, axis=-2), np.diff(starts, append=len(blocks))
    return values.sum(-2, keepdims=True) - np.repeat(own, sizes, axis=-2)


def by_membership(
    statistic: Callable[[Mask], Floats], member: Mask, blocks: Sequence[int], *, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """A statistic [f] of who had been trained on what, and its values when the models exchange that [draws, f].

    Where the forgotten are gone, a model's signals depend on the rest of its half alone, which was drawn apart from
    them: any model could have had any other's row of `member`.

    Args:
        statistic: of several memberships [b, models, examples] at once, a row each [b, f].
    """
    drawn, step = orders(blocks, draws=draws, seed=seed), max(1, _AT_ONCE // member.size)
    null = [statistic(member[drawn[start : start + step]]) for start in range(0, draws, step)]
    return statistic(member[None])[0], np.concatenate(null)
