"""How much better than a choice any other could be, proven on sampled worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tqdm import tqdm

from graph_influence.coins import purpose
from graph_influence.diffusion import Estimate
from graph_influence.errors import InvalidBlocking
from graph_influence.outbreak import Outbreak, Worlds
from unlearn.invalid import Problems

Floats = NDArray[np.float64]

_CLOSE = 1e-4  # of the spread beyond the seeds, below which no more is asked of the planes
_WIDTH = 20  # units that a plane brings into the linear program, in budgets


@dataclass(frozen=True, slots=True)
class Optimality:
    """What no choice of as many units can do better, beside what one does; each over independent batches of worlds.

    after: the spread without the chosen units. least: a bound, in expectation at most the spread that the best of all
    choices leaves. gap: the first minus the second; 0 says that no choice was better in the same worlds.
    reduced_ratio_at_most: what `least` makes of the reduced ratio (see `Verdict`); 0 where nothing spreads. samples:
    worlds in a batch, which are fewer than asked for where they are large (see `Worlds`).
    """

    after: Estimate
    least: Estimate
    gap: Estimate
    reduced_ratio_at_most: Estimate
    samples: int


def optimality(
    outbreak: Outbreak,
    chosen: Sequence[int],
    *,
    samples: int = 50_000,
    batches: int = 4,
    rounds: int = 50,
    seed: int = 0,
) -> Optimality:
    """Bounds what the best choice of as many units as `chosen` leaves, whichever it is.

    The least spread in a sample of worlds is in expectation at most the least spread there is, because a choice may
    fit its sample; the mean over `batches` of `samples` worlds, with its standard error, is a bound by Mak, Morton and
    Wood, "Monte Carlo bounding techniques for determining solution quality in stochastic programs" (Operations
    Research Letters 1999). Few large batches are tighter than many small ones: in large ones little can be fitted.

    In a batch the least spread is bounded in turn. With shares x of the units in place of all or nothing, the spread is
    relaxed to the sum over nodes of 1 - (length of the shortest way from the seeds, a unit being as long as its share
    that is taken), which is convex in x. Its least value with sum x = budget is found by cutting planes (Kelley, "The
    cutting-plane method for solving convex programs", 1960) in at most `rounds` searches of all worlds, and what the
    planes prove holds whenever they end.

    Differences from Sheldon et al. (UAI 2010, arXiv 1203.3514), who bound network design for cascades over samples:
    that is a mixed integer program with a variable for each node of each world; here the worlds stay outside of the
    program, and the shares are not made whole.

    Where activity takes off, many ways lead to everybody, and shares of many units lengthen them all: the bound is far
    below every choice there.

    Raises:
        InvalidBlocking: listing every problem: `chosen` is empty, names what cannot be taken away, or something twice;
            `batches` is below 2, from which no error can be told; `samples` or `rounds` is below 1.
    """
    taken = _checked(outbreak, chosen, samples, batches, rounds)
    rows, held = list[tuple[float, float, float]](), samples
    for batch in tqdm(range(batches), desc="bound", unit="batch", leave=False, disable=None):
        worlds = Worlds(outbreak, samples, purpose(seed, f"optimality {batch}"))
        rows.append(_bounded(worlds, taken, len(chosen), rounds))
        held = min(held, worlds.samples)
    before, after, least = np.array(rows).T
    beyond = before - len(outbreak.seeds)
    ratio = np.divide(before - least, beyond, out=np.zeros(batches), where=beyond > 0)
    return Optimality(*map(Estimate.of, (after, least, after - least, ratio)), samples=held)


def _bounded(worlds: Worlds, chosen: Floats, budget: int, rounds: int) -> tuple[float, float, float]:
    """The spread without anything taken, without the chosen [k], and what no choice is below in these worlds."""
    planes = _Planes(worlds, budget)
    before = planes.add(np.zeros_like(chosen))
    after = lowest = planes.add(chosen)
    where, least = chosen, float(len(worlds.outbreak.seeds))
    close = _CLOSE * (before - least)
    for _ in range(rounds):
        bound, shares = planes.lowest()
        least = max(least, bound)
        if lowest - least <= close:
            break
        at = (where + shares) / 2  # the lowest point of few planes may lie far off
        if (value := planes.add(at)) < lowest:
            lowest, where = value, at
    return before, after, min(least, lowest)


def _checked(outbreak: Outbreak, chosen: Sequence[int], samples: int, batches: int, rounds: int) -> Floats:
    """The choice [k], 1 for each unit."""
    problems = Problems("these arguments", InvalidBlocking)
    taken = np.zeros(outbreak.units)
    inside = [one for one in chosen if 0 <= one < outbreak.units and outbreak.removable[one]]
    if not inside or len({*inside}) < len(chosen):
        problems.add(
            f"`chosen` must be one or several different {outbreak.unit} that can be taken away (got {list(chosen)})"
        )
    for name, least, value in (("samples", 1, samples), ("batches", 2, batches), ("rounds", 1, rounds)):
        if value < least:
            problems.add(f"`{name}` must be at least {least} (got {value})")
    problems.raise_any()
    taken[inside] = 1.0
    return taken


class _Planes:
    """Planes that touch the relaxed spread of some worlds from below, and so bound it everywhere."""

    def __init__(self, worlds: Worlds, budget: int) -> None:
        self._worlds, self._budget = worlds, budget
        self._slopes: list[sparse.csr_array] = []  # [1, k]: shortest ways lead by few units
        self._offsets: list[float] = []
        self._steep = np.zeros(worlds.outbreak.units, dtype=np.bool_)

    def add(self, shares: Floats) -> float:
        """One that touches at these shares [k]; returns the relaxed spread there."""
        spread, slope = self._worlds.fractional(shares)
        self._slopes.append(sparse.csr_array(slope[None]))
        self._offsets.append(spread - float(slope @ shares))
        self._admit(slope)
        return spread

    def lowest(self) -> tuple[float, Floats]:
        """A bound below all that budget can do, and the shares [k] at which the planes let it do most.

        The linear program knows only units that are steep somewhere. It weighs the planes, which with any weights are
        one plane below the spread; the bound is the lowest value of that one, over all units.
        """
        slopes, used = sparse.csc_array(sparse.vstack(self._slopes)), np.flatnonzero(self._steep)
        weights, found = _program(slopes[:, used].toarray(), np.array(self._offsets), self._budget)
        plane, shares = slopes.T @ weights, np.zeros(len(self._steep))
        self._admit(plane)
        shares[used] = found
        return float(weights @ self._offsets) + float(plane @ self._lowest_choice(plane, self._budget)), shares

    def _admit(self, plane: Floats) -> None:
        self._steep |= self._lowest_choice(plane, _WIDTH * self._budget) > 0

    def _lowest_choice(self, plane: Floats, units: int) -> Floats:
        """The choice [k] of at most so many units at which a plane is lowest: 1 for each of them."""
        fall = np.where(self._worlds.outbreak.removable, -plane, 0.0)
        best = np.argsort(-fall, kind="stable")[:units]
        chosen = np.zeros_like(plane)
        chosen[best[fall[best] > 0]] = 1.0
        return chosen


def _program(slopes: Floats, offsets: Floats, budget: int) -> tuple[Floats, Floats]:
    """Where the highest plane is lowest, with shares that sum to the budget at most: weights [planes], and the shares.

    Shapes: slopes [planes, columns], offsets [planes].
    """
    from scipy.optimize import linprog  # which takes half a second to import

    planes, columns = slopes.shape
    above = np.hstack([slopes, -np.ones((planes, 1))])
    spent = np.append(np.ones(columns), 0.0)
    found = linprog(
        np.append(np.zeros(columns), 1.0),
        A_ub=np.vstack([above, spent]),
        b_ub=np.append(-offsets, budget),
        bounds=[(0, 1)] * columns + [(None, None)],
    )
    weights = np.maximum(-found.ineqlin.marginals[:planes], 0.0)
    return weights / weights.sum(), np.clip(found.x[:-1], 0.0, 1.0)
