"""The referee: simulation with and without what was taken away, coin by coin the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from graph_influence.coins import purpose
from graph_influence.diffusion import Cascades, Estimate, diffusion
from graph_influence.outbreak import Outbreak
from unlearn.streams import bits


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a choice is worth: spread before and after it, the difference run by run, and the reduced ratio.

    reduced_ratio: (before - after) / (before - number of seeds), the share of the spread beyond the seeds that is gone,
    with its standard error; 0 where nothing spreads.
    """

    before: Estimate
    after: Estimate
    drop: Estimate
    reduced_ratio: float
    standard_error: float


class Referee:
    """Judges choices for one outbreak over the same `runs` cascades.

    The coin of an arc in a run is named by both, so cascades with and without a choice differ only downstream of it,
    and random choices come out at 0. Outbreaks of other seeds toss other coins: errors do not add up over instances.

    Raises:
        ValueError: `runs` is below 2, from which no error can be told.
    """

    def __init__(self, outbreak: Outbreak, *, runs: int = 20_000, seed: int = 0) -> None:
        if runs < 2:
            raise ValueError(f"`runs` must be at least 2 for `Referee` (got {runs}): one tells nothing of its error")
        self.outbreak = outbreak
        self.runs = runs
        instance = int(np.bitwise_xor.reduce(bits(seed, "instance", outbreak.seeds)))
        self._seed = purpose(instance, "referee")
        self._before = self._cascades([])

    def judge(self, chosen: Iterable[int]) -> Verdict:
        """The verdict on these units."""
        before, after = self._before, self._cascades(chosen)
        beyond, drop = before.sizes - len(self.outbreak.seeds), before.sizes - after.sizes
        ratio = error = 0.0
        if beyond.any():
            ratio = float(drop.sum() / beyond.sum())
            # Linearised: the ratio of two means over the same runs.
            error = float(np.std(drop - ratio * beyond, ddof=1) / sqrt(self.runs) / beyond.mean())
        return Verdict(before.spread, after.spread, before.minus(after), ratio, error)

    def difference(self, chosen: Iterable[int], other: Iterable[int]) -> Estimate:
        """By how much the spread without `chosen` exceeds that without `other`, run by run."""
        return self._cascades(chosen).minus(self._cascades(other))

    def _cascades(self, chosen: Iterable[int]) -> Cascades:
        left = self.outbreak.without(chosen)
        model = diffusion(self.outbreak.model, left, runs=self.runs, seed=self._seed)
        return model.simulate_rows(self.outbreak.seeds)
