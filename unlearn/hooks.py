"""Hooks into other people's training: attach a torch module, add terms to its training loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from unlearn.attached import AttachedOptions, AttachedProblem
from unlearn.functional import FunctionalModule, own_losses
from unlearn.history import History, TrainingHook
from unlearn.params import Params
from unlearn.problem import Problem
from unlearn.records import NumberedRecords, Removable, Remove, leaves, remove_rows

__all__ = ["AttachedOptions", "AttachedProblem", "attach", "gradient_restriction"]

_SHOWN = 10


def attach(
    module: nn.Module,
    losses: Callable[[nn.Module, Any], Tensor],
    data: Any,
    *,
    remove: Remove | None = None,
    penalty: float = 0.0,
    background: Callable[[nn.Module, Any], Tensor] | None = None,
    outputs: Callable[[nn.Module, Any, Tensor], Tensor] | None = None,
    predictions: Callable[[nn.Module, Any], Tensor] | None = None,
    options: AttachedOptions | None = None,
    hooks: Iterable[TrainingHook] = (),
) -> AttachedProblem:
    """A torch module and its loss as a `Problem`; trained or not (call `.fit()` to train from the options' seed).

        objective = sum of losses(module, data) + background(module, data) + (penalty / 2) |params|^2

    The module is copied, never changed, and runs in evaluation mode, because the objective must be deterministic.
    Parameters without `requires_grad` and buffers stay as they are, the running statistics of a batch norm with what
    they hold of the forgotten, too (`caveat` says so).

    Args:
        losses: (module, data) -> [n], one loss a record, not averaged. It must build what it derives from the data, a
            message graph included, from the `data` that it is given: that is what forgetting changes.
        data: a tensor, or nested tuples, lists and mappings of tensors with one row a record; records then go by their
            number in `ForgetSet.records`. Or anything with a length, `resolve`, `positions` and `without` (as
            `recsys.data.Interactions`), to which forgetting is left. Or anything at all, with `remove`.
        remove: (data, ascending positions of records [r]) -> remaining data, its message graph included.
        penalty: where a layer normalises what it shrinks (weight norm, layer norm), the objective may have no minimum:
            training then stops somewhere, and `caveat` says so.
        background: (module, data) -> scalar: what belongs to no record, as a term of all unobserved pairs.
        outputs: (module, data, queries) -> [q, ...]: what `Problem.outputs` answers.
        predictions: (module, data) -> [n, c] or [n]: for each record logits of a distribution, or a value; methods
            that teach by scores go by them. Built from the given `data`, as `losses`.
        hooks: extra terms of the training loss, as `gradient_restriction`; a retrain runs with the same ones. Other
            methods and residuals go by the objective without them (`caveat` says so).

    Raises:
        ValueError: the module cannot be attached, listing all its faults; or else `losses` or `data` do not fit.
    """
    problems: list[str] = []
    params = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.named_parameters()
        if value.requires_grad
    }
    if not params:
        problems.append("`module` must have a parameter that requires a gradient (got none)")
    if len(kinds := {(value.dtype, value.device) for value in params.values()}) > 1:
        problems.append(f"`module` must have its parameters in one dtype on one device (got {sorted(map(str, kinds))})")
    if any(value.is_complex() for value in params.values()):
        problems.append("`module` must have real parameters, whose squares are lengths (got complex ones)")
    if compiled := [name for name, part in module.named_modules() if hasattr(part, "_orig_mod")]:
        problems.append(
            "`module` must not be compiled, for compiled code has no second derivative (got `torch.compile` around "
            f"{', '.join(name or 'the module' for name in compiled)}); attach what was compiled, its `_orig_mod`"
        )
    if cached := [name for name, part in module.named_modules() if getattr(part, "cached", False)]:
        problems.append(
            f"`module` must not cache its graph, or forgotten edges live on (got `cached=True` in "
            f"{', '.join(name or type(module).__name__ for name in cached)}); build it with `cached=False`"
        )
    if limited := [name for name, part in module.named_modules() if getattr(part, "max_norm", None) is not None]:
        problems.append(
            "`module` must not have embeddings with `max_norm`, which are changed whenever they are looked up (got "
            f"{', '.join(name or 'the module' for name in limited)}); scale them in `forward`, or take a `penalty`"
        )
    if not 0 <= penalty < math.inf:
        problems.append(f"`penalty` must be at least 0 and finite for `attach` (got {penalty})")
    if problems:
        raise ValueError("this module cannot be attached:\n  - " + "\n  - ".join(problems))

    functional = FunctionalModule.of(module, losses, penalty, background, outputs, predictions)
    moving = {name: value.detach().requires_grad_() for name, value in params.items()}
    found = functional.run(moving, losses, data)
    if not isinstance(found, Tensor) or found.dim() != 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        got = f"shape {list(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"`losses` must return one loss a record, shape [n], not reduced (got {got})")
    if not torch.allclose(found, functional.run(moving, losses, data), equal_nan=True):
        raise ValueError(
            "`losses` must be the same whenever they are asked for (got others at once); a dropout or noise must go by "
            "`module.training`, which is off"
        )
    if not torch.allclose(found, own_losses(module, losses, data), equal_nan=True):
        raise ValueError(
            "`module` must find its parameters under the names that they are registered by (got other losses from the "
            "module itself than with the same parameters handed in): one that it also keeps elsewhere, in a list or "
            "under another attribute, is read there; read it by its name, or keep several in a `ParameterList`"
        )
    reached: tuple[Any, ...] = ()
    if found.requires_grad:
        reached = torch.autograd.grad(found.sum(), list(moving.values()), allow_unused=True)
    if all(gradient is None for gradient in reached):
        raise ValueError(
            "`losses` must depend on the parameters of the module that it is given (got losses without a gradient in "
            "them): it must call its first argument, no module from outside, and detach nothing, and `attach` must not "
            "be called under `torch.no_grad`"
        )
    return AttachedProblem(
        params=params,
        data=_removable(data, len(found), remove),
        functional=functional,
        options=AttachedOptions() if options is None else options,
        history=History(hooks=tuple(hooks)),
    )


def _removable(data: Any, n: int, remove: Remove | None) -> Removable:
    if remove is not None:
        return NumberedRecords(data, torch.arange(n), remove)
    if isinstance(data, Removable):
        if len(data) != n:
            raise ValueError(f"`losses` must return one loss for each of the {len(data)} records of `data` (got {n})")
        return data
    wrong = [
        f"  - {name}: {list(value.shape) if isinstance(value, Tensor) else type(value).__name__}"
        for name, value in leaves(data)
        if not isinstance(value, Tensor) or not value.dim() or len(value) != n
    ]
    if wrong:
        more = [f"  - and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise ValueError(
            f"`data` must consist of tensors with one row for each of the {n} records, so that rows can be removed; "
            "got:\n"
            + "\n".join([*wrong[:_SHOWN], *more, "Pass `remove`, which says what the data is without some records."])
        )
    return NumberedRecords(data, torch.arange(n), remove_rows)


def gradient_restriction(alpha: float, *, batch: int | None = 64) -> TrainingHook:
    """A training term that keeps gradients small, so that no record moves the model far when it has to leave.

    "Efficient Machine Unlearning via Influence Approximation", 2025, arXiv 2507.23257 (its gradient restriction).

        alpha * sum over batches B of sqrt(|gradient of (sum of the losses in B)|^2 + 1e-12)

    over all parameters at once. The root's 1e-12 gives the norm a gradient at 0. Costs a backward pass for each
    batch, and one through them.

    Args:
        alpha: weight of the term; the paper's default is 0.005.
        batch: records in one norm, in their order; 1 restricts every record by itself, None takes all in one norm,
            which leaves the solution of a converged training where it was if there is neither penalty nor background.

    Raises:
        ValueError: `alpha` is negative or not finite, or `batch` is not positive.

    **Differences from the paper:** the norm is of the whole gradient, where the released code adds up the norms of its
    tensors; losses are summed instead of averaged, in both terms, which leaves their balance as it was; batches do not
    change from epoch to epoch. The paper's text has the norm of a single record (`batch=1`), its code that of a batch.
    """
    problems: list[str] = []
    if not 0 <= alpha < math.inf:
        problems.append(f"`alpha` must be at least 0 and finite for `gradient_restriction` (got {alpha})")
    if batch is not None and batch < 1:
        problems.append(f"`batch` must be a positive integer or None for `gradient_restriction` (got {batch})")
    if problems:
        raise ValueError("\n".join(problems))

    def hook(problem: Problem, params: Params) -> Tensor:
        losses = problem.record_losses(params)
        tensors = list(params.values())
        norms: list[Tensor] = []
        for part in losses.split(batch or max(len(losses), 1)):
            gradients = torch.autograd.grad(
                part.sum(), tensors, create_graph=True, materialize_grads=True, allow_unused=True
            )
            squared = torch.stack([g.square().sum() for g in gradients]).sum()
            norms.append(torch.sqrt(squared + 1e-12))
        return alpha * torch.stack(norms).sum()

    return hook
