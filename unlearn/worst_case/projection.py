"""From any vector to weights within a budget, and from weights to a set."""

from __future__ import annotations

import torch
from torch import Tensor

_TAIL = 32  # units on either side of the budget's edge that compete for what is left of it


def project(point: Tensor, costs: Tensor, total: float) -> Tensor:
    """The nearest w [k] to `point` [k] with 0 <= w <= 1 and sum c_i w_i = total: exact, in float64.

    w_i = min(1, max(0, a_i - mu c_i)), and the sum falls in mu, linearly between the 2 k places where a weight reaches
    1 or 0. They are sorted, the piece that holds the total is found, and its mu follows from the weights that are free
    on it. With c = 1 it is the projection on the capped simplex of Wang and Lu, "Projection onto the capped simplex",
    2015, arXiv 1503.01002.

    Raises:
        ValueError: a cost is not positive, the total is out of reach, or the point is not finite.
    """
    a, c = point.double(), costs.double()
    problems: list[str] = []
    if a.shape != c.shape or a.dim() != 1:
        problems.append(f"`point` and `costs` must be vectors of one length (got {list(a.shape)} and {list(c.shape)})")
    elif not bool(a.isfinite().all()):
        problems.append(f"`point` must be finite for `project` (got {int((~a.isfinite()).sum())} entries that are not)")
    if not bool((c > 0).all()):
        problems.append("`costs` must be positive for `project`")
    elif not 0 <= total <= float(c.sum()):
        problems.append(f"`total` must lie in [0, {float(c.sum()):g}], the sum of the costs (got {total})")
    if problems:
        raise ValueError("\n".join(problems))
    full, empty = (a - 1.0) / c, a / c  # mu up to which w is 1, and from which it is 0
    knots, order = torch.cat([full, empty]).sort()
    constant = torch.cat([c * a - c, -c * a])[order].cumsum(0) + c.sum()
    slope = torch.cat([-c.square(), c.square()])[order].cumsum(0)
    spent = constant + slope * knots  # just from each knot on; falls
    # Rounding of the running sums can miss by a piece or so where knots crowd: the sum itself decides.
    k = int((spent >= total).sum().clamp(1, len(knots))) - 1
    while k > 0 and _spent(a, c, knots[k]) < total:
        k -= 1
    while k + 1 < len(knots) and _spent(a, c, knots[k + 1]) >= total:
        k += 1
    mu = knots[k]
    free = (full <= mu) & (empty > mu)
    if bool(free.any()):
        rest = total - float(c[full > mu].sum())
        mu = ((c * a)[free].sum() - rest) / c[free].square().sum()
    return (a - mu * c).clamp(0.0, 1.0)


def _spent(a: Tensor, c: Tensor, mu: Tensor) -> float:
    return float((c * (a - mu * c).clamp(0.0, 1.0)).sum())


def rounded(values: Tensor, costs: Tensor, total: float) -> Tensor:
    """Units [r] (ascending) of a high sum of `values` [k] whose whole costs [k] add up to `total` at most.

    By value over cost as long as they fit. Where that leaves some of the budget, the last 32 that were taken and the
    next 32 compete for their place (a knapsack, solved exactly), and what still fits then is taken in order. Where all
    costs are 1 these are the units of the largest values. Ties go to the earlier unit.
    """
    v, c = values.double(), costs.double()
    order = torch.argsort(v / c, descending=True, stable=True)
    fitting = int((c[order].cumsum(0) <= total).sum())
    chosen = order[:fitting]
    left = int(total - float(c[chosen].sum()))
    if not left or fitting == len(order):
        return chosen.sort().values
    first = max(fitting - _TAIL, 0)
    window = order[first : fitting + _TAIL]
    left = int(total - float(c[order[:first]].sum()))
    picked = window[_knapsack(v[window], c[window].long(), left)]
    left -= int(c[picked].sum())
    chosen = torch.cat([order[:first], picked])
    later = order[~torch.isin(order, chosen)]
    extra: list[int] = []
    for one in later[c[later] <= left].tolist():
        if (cost := int(c[one])) <= left:
            extra.append(one)
            left -= cost
    return torch.cat([chosen, torch.tensor(extra, dtype=torch.int64)]).sort().values


def _knapsack(values: Tensor, costs: Tensor, room: int) -> Tensor:
    """Indices of the units with the largest sum of values that fit; of equals, those that fill more."""
    best = torch.zeros(room + 1, dtype=torch.float64)
    taken = torch.zeros(len(values), room + 1, dtype=torch.bool)
    fill = 1e-9 * float(values.abs().max()) / room + 1e-300
    for i, (value, cost) in enumerate(zip((values + fill * costs.double()).tolist(), costs.tolist(), strict=True)):
        if cost > room:
            continue
        with_it = torch.cat([best[:cost] - torch.inf, best[: room + 1 - cost] + value])
        taken[i] = with_it > best
        best = torch.maximum(best, with_it)
    found: list[int] = []
    for i in reversed(range(len(values))):
        if taken[i, room]:
            found.append(i)
            room -= int(costs[i])
    return torch.tensor(found, dtype=torch.int64)
