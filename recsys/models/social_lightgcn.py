"""LightGCN with the ties between users."""

from __future__ import annotations

import torch

from recsys.data.interactions import Interactions
from recsys.joint_graph import JointGraph
from recsys.models.base import DIM, register
from recsys.models.lightgcn import LightGCN
from unlearn.invalid import Rules


@register
class SocialLightGCN(LightGCN):
    """LightGCN over interactions and ties in one graph.

    After He et al., "LightGCN: Simplifying and powering graph convolution network", 2020, arXiv 2002.02126.

    Z = 1 / (L + 1) sum_{l=0..L} A^l E,   A = D^-1/2 [[s T, R], [R^T, 0]] D^-1/2

    with R the interactions, T the ties between users (1 whichever way a tie goes) and s = `tie_weight`; see
    `recsys.joint_graph`. As s goes to 0 it becomes LightGCN. Who has ties alone is embedded by those at their ends.

    **Differences from the paper:** the ties. Social recommenders mostly give them layers of their own and fuse the two
    (Wu et al., "A neural influence diffusion model for social recommendation", 2019, arXiv 1904.10322); one symmetric
    matrix keeps the model linear in the table, so that the proof of `recsys.linear.optimality` holds for it, too.

    Raises:
        ValueError: `layers` is negative or `tie_weight` not positive; or, when a graph is built, the data have no ties.
    """

    name = "social_lightgcn"
    uses_ties = True

    def __init__(self, n_users: int, n_items: int, *, dim: int = DIM, layers: int = 3, tie_weight: float = 0.3) -> None:
        self.tie_weight = tie_weight
        super().__init__(n_users, n_items, dim=dim, layers=layers)

    def _rules(self) -> Rules:
        return super()._rules() | {"tie_weight": ("positive", self.tie_weight > 0)}

    def message_graph(self, data: Interactions, *, dtype: torch.dtype, device: torch.device | str) -> JointGraph:
        if data.ties is None:
            raise ValueError(
                "`data` must have ties between users for `social_lightgcn` (got none); read them with `ties=`, or from "
                "a folder that has them in trustnetwork.txt, ties.csv or a .net file"
            )
        return JointGraph.of(data, self.tie_weight, dtype=dtype, device=device)
