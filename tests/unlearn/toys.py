"""Small problems with known answers, for every test of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graph_influence.problem import SurrogateProblem
from graph_influence.surrogate import surrogate
from recsys.data import Interactions, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.graph_influence.maximize.graphs import social
from unlearn.hooks import AttachedOptions, AttachedProblem, attach

RIDGE_PENALTY = 0.3


def squared(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    x, y = data
    return 0.5 * (module(x).squeeze(-1) - y).square()


def regression(n: int = 40, d: int = 5, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, dtype=dtype, generator=generator)
    truth = torch.randn(d, dtype=dtype, generator=generator)
    return x, x @ truth + 0.5 * torch.randn(n, dtype=dtype, generator=generator)


def ridge(dtype: torch.dtype = torch.float64, **options: Any) -> AttachedProblem:
    """Linear regression with L2, untrained."""
    chosen: dict[str, Any] = {"tolerance": 1e-10 if dtype == torch.float64 else 1e-4} | options
    module = nn.Linear(5, 1, bias=False).to(dtype)
    data = regression(dtype=dtype)
    return attach(
        module,
        squared,
        data,
        penalty=RIDGE_PENALTY,
        outputs=lambda inner, _, queries: inner(queries),
        predictions=lambda inner, held: inner(held[0]).squeeze(-1),
        options=AttachedOptions(**chosen),
    )


def ridge_solution(x: Tensor, y: Tensor) -> Tensor:
    """argmin of 1/2 |X w - y|^2 + lambda/2 |w|^2, in closed form."""
    identity = torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(x.T @ x + RIDGE_PENALTY * identity, x.T @ y)


def tiny_data(n_users: int = 40, n_items: int = 30, n_interactions: int = 300) -> Interactions:
    return synthetic(n_users=n_users, n_items=n_items, n_interactions=n_interactions, seed=3)


def tiny_recommender(dtype: torch.dtype = torch.float64, *, model: str = "lightgcn") -> RecommenderProblem:
    """A LightGCN with the whole-data objective, untrained."""
    options = TrainingOptions(seed=1, tolerance=1e-8 if dtype == torch.float64 else 1e-4, max_iterations=60)
    objective = WholeData(a=0.1, l2=1.0)
    return RecommenderProblem.build(tiny_data(), model=model, objective=objective, options=options, dtype=dtype, dim=6)


def tiny_surrogate(**options: Any) -> SurrogateProblem:
    """A graph network that learned the spread of six seed sets on one graph of people p0 to p29, untrained."""
    chosen: dict[str, Any] = {"solver": "adam", "epochs": 20, "lr": 0.05} | options
    random = np.random.default_rng(0)
    sets = [np.sort(random.permutation(30)[:3]) for _ in range(6)]
    network = surrogate("gcn", depth=2, width=3).double()
    return SurrogateProblem.build(network, social(30), sets, runs=100, options=AttachedOptions(**chosen))


class Perceptron(nn.Module):
    """A small classifier with one hidden layer."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(inputs, hidden), nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x)))


def cross_entropy(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    x, labels = data
    return nn.functional.cross_entropy(module(x), labels, reduction="none")


def blobs(n: int, *, classes: int = 10, d: int = 30, noise: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping clusters around fixed centres: a classification that cannot be solved without errors."""
    centres = torch.randn(classes, d, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    return centres[labels] + noise * torch.randn(n, d, generator=generator), labels


def classifier(
    n: int = 400,
    *,
    d: int = 30,
    hidden: int = 32,
    noise: float = 1.5,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> AttachedProblem:
    """A perceptron on `blobs`, untrained."""
    x, labels = blobs(n, d=d, noise=noise)
    chosen: dict[str, Any] = {"solver": "adam", "epochs": 60, "lr": 1e-2} | options
    module = Perceptron(x.shape[1], hidden, 10).to(dtype)
    return attach(
        module,
        cross_entropy,
        (x.to(dtype), labels),
        outputs=lambda inner, _, queries: inner(queries),
        predictions=lambda inner, held: inner(held[0]),
        options=AttachedOptions(**chosen),
    )
