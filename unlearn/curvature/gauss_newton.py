"""Gauss-Newton matrices: the curvature that is left when the model is taken to be linear in its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from unlearn.attached import AttachedProblem
from unlearn.curvature.operators import double_backward, like
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.jacobian import Jacobian
from unlearn.solvers.operator import Operator


@runtime_checkable
class Linearizable(Protocol):
    """A problem that knows its objective with the predictions replaced by their linearisation."""

    def linearized(self, params: Params) -> Callable[[Params], Tensor]:
        """displacement -> loss(predictions + J displacement) + penalty(params + displacement), differentiable twice.

        J is the Jacobian of the predictions at `params`; a scalar, equal to the objective to first order.
        """
        ...


def gauss_newton_operator(problem: Problem, params: Params | None = None) -> Operator:
    """The generalised Gauss-Newton matrix J^T L'' J plus the curvature of the penalty, at `params` (default: its own).

    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", 2002. J is the Jacobian of
    the predictions, L'' the Hessian of the loss in them: positive semidefinite wherever the loss is convex in its
    predictions, which the Hessian of a factorisation model is not. It lacks the Hessian's products of residuals with
    the predictions' own curvature.

    Predictions are what `Linearizable` problems say they are, and for an attached module everything that the module
    returns when it is called. Memory: the graph of the linearised objective's gradient, kept.

    Raises:
        ValueError: the problem's predictions are not known, or its objective does not depend on parameters through
            them (and the penalty) alone.
    """
    params = problem.params if params is None else params
    if isinstance(problem, Linearizable):
        function = problem.linearized(params)
    elif isinstance(problem, AttachedProblem):
        function = _linearized_module(problem, params)
    else:
        raise ValueError(
            f"`{type(problem).__name__}` must say what its predictions are for `gauss_newton_operator`; give it a "
            "`linearized` method, or take `hessian_operator` or `fisher_operator`"
        )
    at = torch.zeros_like(flatten(params))

    def flat(x: Tensor) -> Tensor:
        return function(unflatten(x, params))

    _check_first_order(problem, params, flat, at)
    return like(at, double_backward(flat, at))


def _check_first_order(problem: Problem, params: Params, function: Callable[[Tensor], Tensor], at: Tensor) -> None:
    x = at.clone().requires_grad_()
    (linear,) = torch.autograd.grad(function(x), x)
    exact = flatten(problem.value_and_gradient(params)[1])
    # Terms of either sign that are large by themselves cancel in a gradient near zero, so its parts set the scale.
    scale = max(float(exact.abs().max()), float(flatten(params).abs().max()), 1.0)
    if not float((linear - exact).abs().max()) <= torch.finfo(at.dtype).eps ** 0.5 * scale:
        raise ValueError(
            "the objective must depend on parameters through predictions and penalty alone for "
            "`gauss_newton_operator`: the linearised one has another gradient. A loss that reads the module's "
            "parameters itself, or scores by something other than the predictions, has no Gauss-Newton matrix here"
        )


class _Cut:
    """The place where a module ends and its loss begins: what it returns is recorded there, or replaced."""

    def __init__(self, module: nn.Module) -> None:
        self.recorded: list[Tensor] = []
        self.replaced: list[Tensor] = []
        module.register_forward_hook(self._hook)

    def _hook(self, module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(f"the module must return one tensor for `gauss_newton_operator` (got {type(output)})")
        if self.replaced:
            return self.replaced.pop(0)
        self.recorded.append(output)
        return output


def _linearized_module(problem: AttachedProblem, params: Params) -> Callable[[Params], Tensor]:
    call = copy.deepcopy(problem.functional.call)
    cut = _Cut(call.module)
    problem = replace(problem, functional=replace(problem.functional, call=call))

    def loss(at: Params) -> Tensor:
        return problem.record_losses(at).sum() + problem.background(at)

    def predictions(x: Tensor) -> Tensor:
        cut.recorded.clear()
        loss(unflatten(x, params))
        if not cut.recorded:
            raise ValueError("`losses` must call the module itself for `gauss_newton_operator`, not a part of it")
        return torch.cat([output.reshape(-1) for output in cut.recorded])

    jacobian = Jacobian(predictions, flatten(params))
    shapes = [output.shape for output in cut.recorded]
    fixed = {name: value.detach() for name, value in params.items()}

    def linearized(displacement: Params) -> Tensor:
        vector = torch.cat([value.reshape(-1) for value in displacement.values()])
        moved = jacobian.value + jacobian.push(vector)
        parts = moved.split([shape.numel() for shape in shapes])
        cut.replaced = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        return loss(fixed) + problem.penalty({name: fixed[name] + displacement[name] for name in fixed})

    return linearized
