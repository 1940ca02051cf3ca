"""How well scores of attribution predict what models trained on other subsets would say."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from unlearn.audit.statistics import LEVEL


@dataclass(frozen=True, eq=False)
class LinearDatamodelling:
    """The linear datamodelling score and what bounds it: see `lds`."""

    value: float
    low: float  # 95 % interval over subsets
    high: float
    ceiling: float  # what the noise of the training seed leaves attainable; NaN without a second seed of any subset
    by_query: Tensor  # float64 [queries]; NaN where nothing was to be predicted
    subsets: int
    models: int

    def __str__(self) -> str:
        most = "unknown: one seed a subset" if np.isnan(self.ceiling) else f"{self.ceiling:.3f}"
        return (
            f"LDS {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] over {self.subsets} subsets "
            f"({self.models} models); ceiling from seed noise {most}"
        )


def lds(scores: Tensor, outputs: Tensor, member: Tensor) -> LinearDatamodelling:
    """Linear datamodelling score.

    Park et al., "TRAK: Attributing Model Behavior at Scale", 2023, arXiv 2303.14186 (its section 2.2).

        LDS(q) = Spearman over subsets S of ( sum of scores(r, q) over r in S, mean output(S, q) over seeds )

    and the mean over queries. Scores are positive where a record kept the loss low; outputs are the larger the better
    (minus the loss, a margin), so that good attribution comes near 1 and its negative near -1.

    Args:
        scores: [records, queries], or [units, queries] of what the subsets were drawn from; `grouped` makes the
            latter of the former.
        outputs: [models, queries]; models with equal rows of `member` are seeds of one subset, and are averaged.
        member: bool [models, records] (or units): `plan.member`, or `plan.member[:, owners]` by record.

    The interval is Student's t with the jackknife's standard error over subsets, a subset and its complement going
    together. (A bootstrap draws some of them twice, and such ties pull rank correlations down.) The ceiling is
    sqrt(v / (v + w / R)) for the variance v of the outputs over subsets and w over the R seeds of one, estimated by
    one-way analysis of variance and averaged over queries: the correlation of the noisy outputs with their own truth.

    Raises:
        ValueError: listing what does not fit together; fewer than three subsets; or no output that varies.

    **Differences from the paper:** subsets need not be equal in size, and an output need not be a logit; where scores
    are the same for all subsets the correlation counts as 0, and queries whose outputs are so are left out; the
    ceiling.
    """
    _check(scores, outputs, member)
    kind, place, counts = _subsets(member)
    means = _means(outputs.double(), place, counts)
    predicted = kind.double() @ scores.double()
    weights = _leaving_out(_blocks(kind))
    found = torch.stack([_spearman(x, y, weights) for x, y in zip(predicted.T, means.T, strict=True)])
    found[(means == means[0]).all(0)] = nan
    told = ~found[:, 0].isnan()
    if not bool(told.any()):
        raise ValueError("`outputs` must vary over subsets for `lds` (got none that does); train on smaller subsets")
    value, without = float(found[told, 0].mean()), found[told, 1:].mean(0)
    free = len(without) - 1
    error = float((free * without.var(correction=0)).sqrt())
    half = float(stdtrit(free, 1 - LEVEL / 2)) * error
    ceiling = _ceiling(outputs.double()[:, told], means[:, told], place, counts)
    low, high = max(-1.0, value - half), min(1.0, value + half)
    return LinearDatamodelling(value, low, high, ceiling, found[:, 0], len(kind), len(outputs))


def grouped(scores: Tensor, owners: Tensor, n_units: int) -> Tensor:
    """Scores [units, queries] from those of records [records, queries], each the sum over what a unit owns."""
    return scores.new_zeros(n_units, scores.shape[1]).index_add(0, owners.to(scores.device), scores)


def _check(scores: Tensor, outputs: Tensor, member: Tensor) -> None:
    problems: list[str] = []
    if scores.dim() != 2 or outputs.dim() != 2 or member.dim() != 2:
        dims = [list(one.shape) for one in (scores, outputs, member)]
        raise ValueError(f"`scores`, `outputs` and `member` must have two dimensions for `lds` (got {dims})")
    (records, queries), models = scores.shape, len(outputs)
    if outputs.shape[1] != queries:
        problems.append(f"`outputs` must tell the {queries} queries of `scores` (got {outputs.shape[1]})")
    if member.shape != (models, records) or member.dtype != torch.bool:
        problems.append(
            f"`member` must be bool [{models} models, {records} records] (got {member.dtype} {list(member.shape)})"
        )
    elif (subsets := len(member.unique(dim=0))) < 3:
        problems.append(f"`member` must have at least three different subsets for a rank correlation (got {subsets})")
    problems += [
        f"`{name}` must be finite for `lds`"
        for name, value in (("scores", scores), ("outputs", outputs))
        if not bool(value.isfinite().all())
    ]
    if problems:
        raise ValueError("\n".join(problems))


def _subsets(member: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The different subsets [s, records], which one each model has [models], how many models have each [s]."""
    return member.unique(dim=0, return_inverse=True, return_counts=True)


def _means(outputs: Tensor, place: Tensor, counts: Tensor) -> Tensor:
    """Mean output [subsets, queries] over the seeds of a subset."""
    return outputs.new_zeros(len(counts), outputs.shape[1]).index_add(0, place, outputs) / counts[:, None]


def _blocks(subsets: Tensor) -> Tensor:
    """A number [subsets] for each subset, that of its complement where there is one, records in all of them aside."""
    varying = subsets[:, subsets.any(0) & ~subsets.all(0)]
    return torch.where(varying[:, :1], varying, ~varying).unique(dim=0, return_inverse=True)[1]


def _leaving_out(blocks: Tensor) -> Tensor:
    """How often each subset counts [1 + blocks, subsets]: all once, then all but those of one block."""
    others = blocks[None, :] != torch.arange(int(blocks.max()) + 1)[:, None]
    return torch.cat([torch.ones(1, len(blocks), dtype=torch.float64), others.double()])


def _spearman(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Rank correlation [b] of x and y [m], each pair counted `weights` [b, m] times; 0 where either is constant."""
    left, right = (_centred(_ranks(one, weights), weights) for one in (x, y))
    scale = ((weights * left.square()).sum(1) * (weights * right.square()).sum(1)).sqrt()
    return torch.where(scale > 0, (weights * left * right).sum(1) / scale.clamp_min(1e-300), 0.0)


def _ranks(x: Tensor, weights: Tensor) -> Tensor:
    """Mid-ranks [b, m], less a constant, among pairs counted `weights` times."""
    above = (x[:, None] > x[None, :]).double() + 0.5 * (x[:, None] == x[None, :]).double()
    return weights @ above.T


def _centred(x: Tensor, weights: Tensor) -> Tensor:
    return x - (weights * x).sum(1, keepdim=True) / weights.sum(1, keepdim=True)


def _ceiling(outputs: Tensor, means: Tensor, place: Tensor, counts: Tensor) -> float:
    free = len(outputs) - len(means)
    if not free:
        return nan
    of_seed = (outputs - means[place]).square().sum(0) / free
    # The spread of the means is that of the truth and, on top, the noise that averaging over seeds has left.
    noise = of_seed * (1.0 / counts.double()).mean()
    return float((1.0 - noise / means.var(0)).clamp(0.0, 1.0).sqrt().mean())
