"""What simulated cascades say: spread and its error, who becomes active, how it grows, what a node would add."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of independent runs, and its standard error (nan for a single run)."""

    mean: float
    standard_error: float
    runs: int

    @classmethod
    def of(cls, values: NDArray[np.int64] | NDArray[np.float64]) -> Estimate:
        """From the values of all runs, [runs]; the sum of whole numbers is exact."""
        runs, mean = len(values), values.sum().item() / len(values)
        error = sqrt(float(np.square(values - mean).sum()) / (runs - 1) / runs) if runs > 1 else nan
        return cls(mean, error, runs)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval of the mean by Student's t."""
        from scipy import special  # which takes a sixth of all imports here

        half = float(special.stdtrit(self.runs - 1, (1 + level) / 2)) * self.standard_error if self.runs > 1 else nan
        return self.mean - half, self.mean + half


@dataclass(frozen=True, eq=False)
class Cascades:
    """Simulated cascades from one set of seeds.

    Shapes:
        sizes int64 [runs]: active nodes at the end, seeds included; activations int64 [n]: in how many runs each row of
        the graph became active; growth int64 [2, steps]: nodes that became active in each step, seeds in the first,
        summed over runs, and their squares.
    """

    model: str
    seed: int
    sizes: NDArray[np.int64]
    activations: NDArray[np.int64]
    growth: NDArray[np.int64]

    @property
    def runs(self) -> int:
        """Number of cascades."""
        return len(self.sizes)

    @property
    def spread(self) -> Estimate:
        """Expected number of active nodes, seeds included."""
        return Estimate.of(self.sizes)

    @property
    def activation_probability(self) -> NDArray[np.float64]:
        """How probably each node becomes active, [n]; 0 for a tombstone."""
        return self.activations / self.runs

    def trajectory(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes that become active in each step on average, and the standard errors, both [steps]."""
        return _moments(self.growth, self.runs)

    def minus(self, other: Cascades) -> Estimate:
        """The difference in spread, run by run: common coins cancel, so it is known better than either spread.

        Raises:
            ValueError: the runs of the two do not share their coins.
        """
        ours, theirs = ((one.model, one.seed, one.runs, len(one.activations)) for one in (self, other))
        if ours != theirs:
            raise ValueError(
                "cascades must be of one model, seed, number of runs and rows of nodes to be compared "
                f"(got {ours} and {theirs}); simulate both with the same, before a graph is compacted"
            )
        return Estimate.of(self.sizes - other.sizes)


@dataclass(frozen=True, eq=False)
class Gains:
    """By how much each candidate would raise the spread of a set of seeds; the same coins for all.

    Shapes:
        rows int64 [c]: the candidates; mean and standard_error float64 [c]: 0 for those that are seeds.
    """

    spread: Estimate
    rows: NDArray[np.int64]
    mean: NDArray[np.float64]
    standard_error: NDArray[np.float64]

    @classmethod
    def of(cls, sizes: NDArray[np.int64], rows: NDArray[np.int64], sums: NDArray[np.int64]) -> Gains:
        """From sizes without any candidate [runs], and sums and sums of squares of what each adds, [2, c]."""
        return cls(Estimate.of(sizes), rows, *_moments(sums, len(sizes)))


def _moments(sums: NDArray[np.int64], runs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and standard errors [k] from sums and sums of squares, [2, k]."""
    mean = sums[0] / runs
    if runs == 1:
        return mean, np.full(len(mean), nan)
    # Whole numbers are exact here, unlike the difference of two means of squares.
    centred = runs * sums[1].astype(object) - sums[0].astype(object) ** 2
    return mean, np.sqrt(centred.astype(np.float64) / (runs - 1)) / runs
