"""Logistic loss that learns which sampled negatives are positives nobody labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from recsys.graph import BipartiteGraph
from recsys.objectives.base import SampledObjective, register
from recsys.objectives.negatives import uniform_negatives
from unlearn.invalid import require
from unlearn.params import Params
from unlearn.streams import normals

_FLIPS = "flips"


@register
@dataclass(frozen=True)
class NBPO(SampledObjective):
    """Logistic loss with sampled negatives of which some may be likes; how likely that is is learned along.

    Yu and Qin, "Sampler design for implicit feedback data by noisy-label robust learning", 2020, arXiv 2007.07204.

    A user likes item i with probability s(y_ui), y = z_u . z_i and s the logistic function; that a liked item stays
    unlabelled has probability s(g_ui), g = p_u . q_i, with p, q the rows of a second table `flips`
    [n_users + n_items, flip_dim] that is learned along. What is labelled is liked. The observed labels then have

        loss(u, i) = -log[(1 - s(g_ui)) s(y_ui)] - sum over negatives j of log[s(-y_uj) + s(g_uj) s(y_uj)]

    and the penalty is l2 |table|^2 + flip_l2 |flips|^2. Where flips are improbable, g -> -inf, the second logarithm is
    log s(-y): plain logistic loss with sampled negatives (the paper's BPO).

    **Differences from the paper:** this is the likelihood that the paper derives; it climbs a surrogate of it whose
    gradients do not fade where labels are improbable. Negatives are keyed (`recsys.objectives.negatives`); L2 falls
    on the whole tables instead of the sampled rows.
    """

    name = "nbpo"
    row_parameters = frozenset({_FLIPS})
    l2: float = 1e-3
    negatives: int = 4
    flip_dim: int = 16
    flip_l2: float = 1e-2
    learned: Params = field(default_factory=dict, repr=False, compare=False)  # set by `bound`

    def __post_init__(self) -> None:
        require(
            self,
            l2=("at least 0", self.l2 >= 0),
            negatives=("positive", self.negatives >= 1),
            flip_dim=("positive", self.flip_dim >= 1),
            flip_l2=("at least 0", self.flip_l2 >= 0),
        )

    def initial(self, graph: BipartiteGraph, seed: int, *, std: float = 0.1) -> Params:
        """`flips` from N(0, std^2), each row keyed by its own external id; those of forgotten nodes are zero."""
        columns = np.arange(self.flip_dim)[None, :]
        rows = [
            normals(seed, f"flips/{kind}", keys[:, None], columns) * (keys != 0)[:, None]
            for kind, keys in (("users", graph.user_keys), ("items", graph.item_keys))
        ]
        return {_FLIPS: torch.from_numpy(np.concatenate(rows) * std).to(graph.values)}

    def bound(self, params: Mapping[str, Tensor]) -> Self:
        return replace(self, learned={_FLIPS: params[_FLIPS]})

    def penalty(self, params: Mapping[str, Tensor]) -> Tensor:
        others = {name: value for name, value in params.items() if name != _FLIPS}
        return super().penalty(others) + self.flip_l2 * params[_FLIPS].square().sum()

    def sampled_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> Tensor:
        if _FLIPS not in self.learned:
            raise ValueError("`flips` must be given for the losses of `nbpo` (got none); ask those of `bound(params)`")
        flips = self.learned[_FLIPS]
        rows, cols = graph.rows[records], graph.cols[records]
        against = uniform_negatives(graph, records, self.negatives, seed=self.seed, epoch=epoch)
        every = torch.cat([cols.unsqueeze(1), against], 1)  # the labelled item first
        y = (users[rows].unsqueeze(1) * items[every]).sum(2)
        g = (flips[rows].unsqueeze(1) * flips[graph.n_users + every]).sum(2)
        labelled = softplus(g[:, 0]) + softplus(-y[:, 0])
        # log[s(-y) + s(g) s(y)] = log(1 + s(g) e^y) - log(1 + e^y), with s(g) e^y = exp(y - softplus(-g))
        unlabelled = softplus(y[:, 1:]) - softplus(y[:, 1:] - softplus(-g[:, 1:]))
        return labelled + unlabelled.sum(1)
