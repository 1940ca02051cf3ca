"""The Influence Encoder: from a deletion to a correction of the table, in one forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from recsys.graph import BipartiteGraph
from unlearn.params import Params
from unlearn.streams import normals

_SLOPE = 0.99  # of the negative side: nearly linear
_DEPTH = 2  # of the perceptron
_SHARE = 2e-3  # of a node's own signal at the start
PERCEPTRON = "perceptron."
BY_NODE = ("states", "shares")


@dataclass(frozen=True)
class Encoder:
    """With B the normalised adjacency of the deleted interactions alone, E the table, Z the final embeddings:

        H_{l+1} = B H_l                    H_0 = `states` [n_nodes, dim], learned
        V = B^L (Z * eta)                  eta = `shares` [n_nodes, 1], learned: what a node's signal loses
        C = P(sum_{l=0..L} H_l - rho V)    P: x <- x + leaky_relu(x W + b), twice

    and the corrected table is E + C. B counts degrees among the deleted alone, so a node that loses one interaction of
    many sends as strong a message as one that loses all.

    Args:
        layers: L.
        withdrawal: rho.
        local: C is zero where no interaction is deleted. As published it is not: H_0 and b then shift every row, and
            some of what looks like unlearning is further training.
    """

    layers: int
    withdrawal: float
    local: bool

    def initial(self, like: Tensor, seed: int) -> Params:
        """The encoder before training, for a table of the shape of `like` [n_nodes, dim]."""
        rows, dim = like.shape
        grid = np.arange(dim)[:, None], np.arange(dim)[None, :]
        params = {"states": torch.zeros_like(like), "shares": like.new_full((rows, 1), _SHARE)}
        for depth in range(_DEPTH):
            weight = normals(seed, "unlearnrec/perceptron", depth, *grid) / math.sqrt(dim)
            params[f"{PERCEPTRON}{depth}.weight"] = torch.from_numpy(weight).to(like)
            params[f"{PERCEPTRON}{depth}.bias"] = like.new_zeros(dim)
        return params

    def correction(self, params: Params, deleted: BipartiteGraph, readout: Tensor) -> Tensor:
        """C [n_nodes, dim] for the graph of the deleted interactions and final embeddings [n_nodes, dim]."""
        # By Horner's rule: H_0 + B (H_0 + ... B (H_0 - rho Z * eta)) is the sum and the withdrawn signal in L products.
        total = params["states"] - self.withdrawal * (readout * params["shares"])
        for _ in range(self.layers):
            total = params["states"] + deleted.propagate(total)
        rows = losing(deleted)
        if not self.local:
            rows = torch.ones_like(rows)
        found = total[rows]
        for depth in range(_DEPTH):
            weight, bias = (params[f"{PERCEPTRON}{depth}.{name}"] for name in ("weight", "bias"))
            found = found + leaky_relu(found @ weight + bias, _SLOPE)
        return torch.zeros_like(total).index_put((rows,), found)

    def states(self, params: Params, deleted: BipartiteGraph) -> list[Tensor]:
        """H_1, ..., H_L [n_nodes, dim]."""
        found: list[Tensor] = []
        state = params["states"]
        for _ in range(self.layers):
            state = deleted.propagate(state)
            found.append(state)
        return found


def losing(deleted: BipartiteGraph) -> Tensor:
    """Whether each node [n_nodes] loses an interaction."""
    found = torch.zeros(deleted.n_nodes, dtype=torch.bool, device=deleted.rows.device)
    found[deleted.rows] = True
    found[deleted.cols + deleted.n_users] = True
    return found
