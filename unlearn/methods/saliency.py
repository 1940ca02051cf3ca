"""Masks: let a method move only the parameters that the forgotten records weigh on."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.gradient import GradientMethod
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class Masked(GradientMethod):
    """Another gradient method, held to the `share` of the parameters with the greatest score.

    `by="saliency"`: |g_F|. Fan et al., "SalUn: empowering machine unlearning via gradient-based weight saliency in both
    image classification and generation", 2024, arXiv 2310.12508; its method is `inner="random_label"`.
    `by="attribution"`: |(x - g_R / curvature) g_F|. Jia et al., "WAGLE: strategic weight attribution for effective and
    modular unlearning in large language models", 2024, arXiv 2410.17509.

    g_F and g_R are gradients at the original parameters, of the forgotten records' mean loss on the graph they were
    part of and of the remaining objective over the number of its records. Memory: two vectors of the parameters' size
    beside the inner method's.

    Args:
        inner: the method to hold, as on the command line: `neg_grad`, or `iau:lr=0.02:steps=3` with arguments, there in
            brackets, `masked:inner=[iau:lr=0.02:steps=3]`.
        share: of all units; 1 is the inner method itself. 0.5 is the default of SalUn, 0.8 that of WAGLE.
        curvature: stands for the Hessian's diagonal in the attribution.
        unit: "row" scores rows of tables by their norm. Of single coordinates the greatest are those of the forgotten
            records' own rows, and a small share is then nothing but them.

    Raises:
        ValueError: listing every hyper-parameter that is out of range; `inner` is no gradient method.

    **Differences from the papers:** any gradient method inside, where WAGLE has the losses of language models; rows as
    units are ours. Rows that only the forgotten data determined are cleared, masked or not.
    """

    inner: str = "neg_grad"
    by: Literal["saliency", "attribution"] = "saliency"
    share: float = 0.5
    curvature: float = 1e-3
    unit: Literal["coordinate", "row"] = "coordinate"

    name = "masked"

    def __post_init__(self) -> None:
        require(
            self,
            share=("above 0 and at most 1", 0 < self.share <= 1),
            curvature=("positive", self.curvature > 0),
            inner=("a gradient method, and not `masked`", isinstance(self._held(), GradientMethod)),
        )

    def _obstacle(self, problem: Problem) -> str | None:
        held = self._held()
        assert held is not None
        inside = held.obstacle(problem)
        return inside and f"`{self.name}` holds a method that cannot be applied: {inside}"

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        held = self._held()
        assert held is not None
        own = self.mask(problem, remaining, forget)
        return held.moved(problem, remaining, forget, own if mask is None else own * mask)

    def mask(self, problem: Problem, remaining: Problem, forget: ForgetSet) -> Tensor:
        """A vector [p] of 1 where the inner method may move the parameters and 0 elsewhere."""
        records = problem.records(forget)
        score = differentiate(lambda leaves: problem.record_losses(leaves, records).sum(), problem.params)[1]
        if self.by == "attribution":
            descent = flatten(remaining.value_and_gradient(problem.params)[1])
            scale = self.curvature * max(remaining.n_records, 1)
            score.mul_(flatten(problem.params).sub_(descent, alpha=1.0 / scale))
        units = [part.reshape(self._units(part), -1) for part in unflatten(score, problem.params).values()]
        norms = torch.cat([part.square().sum(1) for part in units])
        chosen = torch.zeros_like(norms)
        # Of equals the first: rows that the forgotten never touched are all equal, and luck must not choose among them.
        order = norms.argsort(descending=True, stable=True)
        chosen[order[: ceil(self.share * norms.numel())]] = 1.0
        parts = chosen.split([len(part) for part in units])
        return torch.cat([one.unsqueeze(1).expand_as(part).reshape(-1) for one, part in zip(parts, units, strict=True)])

    def _units(self, part: Tensor) -> int:
        return part.shape[0] if self.unit == "row" and part.dim() else part.numel()

    def _held(self) -> GradientMethod | None:
        if self.inner.partition(":")[0] == self.name:
            return None
        from unlearn.specification import unlearner  # it looks methods up, so it comes after them

        held = unlearner(self.inner)
        return held if isinstance(held, GradientMethod) else None
