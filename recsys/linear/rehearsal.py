"""Learning steps before any request comes, from deletions that are made up and solved.

What iterations of L-BFGS find out about the curvature anew for every request, the solutions of others know already:
least squares fits to them what a gradient is multiplied with. The first step learned so leaves what two to three
iterations leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor
from tqdm import tqdm

from recsys.answers import Factors, score_distance
from recsys.linear.landscape import WholeDataLandscape
from recsys.linear.learned_step import LearnedStep, move, terms
from recsys.linear.survey import Survey
from recsys.objectives.model_loss import WholeDataLoss
from unlearn.forget import ForgetSet
from unlearn.solvers.lbfgs import lbfgs
from unlearn.streams import permutation
from unlearn.units import Units

_SHARE = 0.05  # of all interactions, in each made-up deletion
_SOLVED = 0.05  # of the way may be left in what steps are learned from: a fifth of that teaches no more
_FOLDS = 4
_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the mean square of a term's columns
_WORTHWHILE = 0.95  # of what was left before: a step that leaves more is none


def made_up(interactions: Units, requests: int) -> Iterator[ForgetSet]:
    """So many random deletions, thinly spread over everybody."""
    for number in range(requests):
        order = permutation(number, "rehearsal", interactions.keys)
        yield interactions.forget_set(order[: max(1, round(_SHARE * len(order)))])


@torch.no_grad()
def learned_steps(
    losses: Sequence[WholeDataLoss], table: Tensor, known: Survey, *, accuracy: float
) -> tuple[LearnedStep, ...]:
    """As many steps as bring deletions that they were not fitted to within `accuracy`, or as help.

    Each is fitted where the steps before it lead that were fitted without the deletion, in four folds; its ridge is the
    one that leaves least of those that it was not fitted to.

    Args:
        losses: on what each of the made-up deletions leaves, at least two.
        table: [n_nodes, d], of the model that is to forget; `known`, its survey.
        accuracy: share of the way in scores that may be left.
    """
    start, folds = table @ known.axes, min(_FOLDS, len(losses))
    bar = tqdm(losses, "rehearse", leave=False, disable=None)
    rehearsals = [_Rehearsal.of(loss, start, known) for loss in bar]
    steps: list[LearnedStep] = []
    if not all(one.way > 0.0 for one in rehearsals):
        return ()
    left = fmean(one.left(torch.zeros_like(start)) for one in rehearsals)
    while left > accuracy:
        equations = [_equations(rehearsals[fold::folds]) for fold in range(folds)]
        least, ridge = min((_left(rehearsals, equations, ridge), ridge) for ridge in _RIDGES)
        if not least < _WORTHWHILE * left:
            break
        moved = [one.moved(by) for one, by in zip(rehearsals, _moves(rehearsals, equations, ridge), strict=True)]
        rehearsals, left = moved, least
        gain = fmean(one.gain() for one in rehearsals)
        steps.append(LearnedStep(_matrices(torch.stack(equations).sum(0), ridge).to(table.dtype), gain, left))
    return tuple(steps)


@dataclass(frozen=True, eq=False)
class _Rehearsal:
    """One solved deletion, and where the steps learned so far have brought its table."""

    loss: WholeDataLoss
    solution: Tensor  # [n_nodes, r]
    final: Factors  # final embeddings of the solution
    way: float  # of the scores, from those of the old model to the solution's
    table: Tensor  # [n_nodes, r]
    past: Tensor  # the step before, as `terms` has it
    gradient: Tensor
    value: float
    first: float  # the value that it began with
    promised: float = 0.0  # what the slope of the first step promised to gain

    @classmethod
    def of(cls, loss: WholeDataLoss, start: Tensor, known: Survey) -> _Rehearsal:
        idle = loss.idle_nodes
        table = start.index_fill(0, idle, 0.0)
        landscape = WholeDataLandscape(loss, columns=table.shape[1])
        solution = lbfgs(landscape, table.view(-1), accuracy=_SOLVED).x.view(table.shape)
        final = loss.embed({"table": solution})
        old = known.final.index_fill(0, idle, 0.0)
        users, items = old.split([loss.graph.n_users, loss.graph.n_items])
        value = landscape.start(table.view(-1))
        return cls(
            loss=loss,
            solution=solution,
            final=final,
            way=score_distance((users, items), final),
            table=table,
            past=landscape.embeddings - old,
            gradient=landscape.gradient().view(table.shape),
            value=value,
            first=value,
        )

    def move(self, matrices: Tensor) -> Tensor:
        """A step that was fitted, at `matrices` [2, 5, r, r]."""
        by = move(matrices.to(self.table.dtype), self.gradient, self.past, self.loss.graph)
        return by.index_fill_(0, self.loss.idle_nodes, 0.0)

    def left(self, by: Tensor) -> float:
        """Share of the way left where the table has moved `by`."""
        return score_distance(self.loss.embed({"table": self.table + by}), self.final) / self.way

    def moved(self, by: Tensor) -> _Rehearsal:
        """The same, further on."""
        table = self.table + by
        landscape = WholeDataLandscape(self.loss, columns=table.shape[1])
        value = landscape.start(table.view(-1))
        return replace(
            self,
            table=table,
            past=by,
            gradient=landscape.gradient().view(table.shape),
            value=value,
            promised=self.promised or -float(self.gradient.flatten() @ by.flatten()),
        )

    def gain(self) -> float:
        """What the objective gained by all steps, over what the slope of the first promised."""
        return (self.first - self.value) / self.promised


def _equations(rehearsals: Sequence[_Rehearsal]) -> Tensor:
    """T^T [T, D] for users' and for items' rows [2, 5 r, 6 r]: T their terms side by side, D what is left to move."""
    total = 0.0
    for one in rehearsals:
        rows = torch.cat([*terms(one.gradient, one.past, one.loss.graph), one.solution - one.table], 1).double()
        sides = rows.split([one.loss.graph.n_users, one.loss.graph.n_items])
        total = total + torch.stack([side[:, : -one.table.shape[1]].T @ side for side in sides])
    assert isinstance(total, Tensor)
    return total


def _matrices(equations: Tensor, ridge: float) -> Tensor:
    """The least squares solution [2, 5, r, r], with the ridge added to each term's own mean square."""
    n = equations.shape[1]
    squares, products = equations.split([n, equations.shape[2] - n], 2)
    r = products.shape[2]
    shift = squares.diagonal(dim1=1, dim2=2).reshape(2, -1, r).mean(2, keepdim=True).expand(-1, -1, r).reshape(2, n)
    root = torch.linalg.cholesky(squares + torch.diag_embed(ridge * shift))
    found = torch.cholesky_solve(products, root)
    return found.reshape(2, -1, r, r)


def _moves(rehearsals: Sequence[_Rehearsal], equations: Sequence[Tensor], ridge: float) -> list[Tensor]:
    """A step for each rehearsal, by matrices that were fitted without its fold."""
    everything = torch.stack(list(equations)).sum(0)
    matrices = [_matrices(everything - own, ridge) for own in equations]
    return [one.move(matrices[i % len(matrices)]) for i, one in enumerate(rehearsals)]


def _left(rehearsals: Sequence[_Rehearsal], equations: Sequence[Tensor], ridge: float) -> float:
    return fmean(one.left(by) for one, by in zip(rehearsals, _moves(rehearsals, equations, ridge), strict=True))
