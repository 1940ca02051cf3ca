"""Influence by the empirical Fisher matrix, whose inverse needs no iteration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.curvature import hessian_operator, record_gradients
from unlearn.forget import ForgetSet
from unlearn.invalid import Rules
from unlearn.methods.base import register
from unlearn.methods.second_order import InfluenceStep, removed_gradient
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.solvers.operator import damped
from unlearn.solvers.vectors import dot


@register
@dataclass(frozen=True, kw_only=True)
class WoodFisher(InfluenceStep):
    """The influence step with gradients in place of second derivatives.

    Singh and Alistarh, "WoodFisher: Efficient second-order approximation for neural network compression", 2020, arXiv
    2004.14340; as an unlearning method it is the "influence" of Jia et al., "Model sparsity can simplify machine
    unlearning", 2023, arXiv 2304.04934.

        x <- x + alpha s,   s = (F + delta I)^-1 b,   F = sum over remaining z of g_z g_z^T

    with b the gradient of what leaves the objective (`removed_gradient`), g_z that of one record's loss, and delta on
    the diagonal: `damping`, the curvature of the L2 penalty, and `adam_damping` where training kept what that needs.
    With the gradients as rows of G [m, p] and D = 1 / delta, Woodbury's identity gives
    D b - D G^T (I + G D G^T)^-1 G D b, which is what the paper's rank-one updates arrive at.

    F is the Hessian for a likelihood that fits its data; for other losses it has another scale. alpha is the best
    length along s by the objective's own curvature, b . s / s . H s, where others tune it;
    1 where that is not positive.

    Memory: twice `samples` vectors of the parameters' size. A request takes `samples` backward passes.

    Args:
        damping: positive; of the objective's scale, which is a sum over records.
        samples: rows of G: the records' own gradients where they are no more, else so many sums of all of them with
            random signs, of which G^T G is an unbiased estimate.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the papers:** all records by random signs instead of some of them; one Woodbury solve instead of
    the recursion, whose form for a single vector in released code keeps one vector and is no inverse; alpha; the
    penalty's curvature; whole matrix, where pruning takes blocks of it.
    """

    damping: float = 1.0
    samples: int = 64

    name = "woodfisher"

    def _rules(self) -> Rules:
        return {
            "damping": ("positive", self.damping > 0),
            "samples": ("a positive integer", self.samples >= 1),
        }

    def step(self, problem: Problem, remaining: Problem, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        at = remaining.with_params(remaining.settled(forget))
        b = removed_gradient(problem, remaining, forget)
        delta = torch.full_like(b, self.damping + penalty_curvature(at))
        if prior is not None:
            delta += prior
        step = self._solve(at, delta, b)
        curvature = dot(step, damped(hessian_operator(at), 0.0 if prior is None else prior)(step))
        return step * (dot(b, step) / curvature) if curvature > 0.0 else step

    def _solve(self, problem: Problem, delta: Tensor, b: Tensor) -> Tensor:
        """(F + delta)^-1 b [p]."""
        probes = None if problem.n_records <= self.samples else self.samples
        rows = list(record_gradients(problem, probes=probes))
        if not rows:
            return b / delta
        gradients = torch.stack(rows)
        core = (gradients @ (gradients / delta).T).double()
        core.diagonal().add_(1.0)
        inner = torch.linalg.solve(core, (gradients @ (b / delta)).double())
        return (b - gradients.T @ inner.to(b.dtype)) / delta


def penalty_curvature(problem: Problem) -> float:
    """Curvature of the penalty along the parameters: c of a penalty c/2 |x|^2."""
    x = flatten(problem.params)
    square = dot(x, x)
    return 2.0 * float(problem.penalty(problem.params)) / square if square else 0.0
