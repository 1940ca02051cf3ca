"""Small recommenders beside the dense convex problem that they solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recsys.data import Interactions
from recsys.models import LinearRecommender, SocialLightGCN
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.oracles.convex_recommender import ConvexRecommender
from tests.recsys.conftest import tiny_interactions
from unlearn.params import Params

CASES = [("mf", {}), ("lightgcn", {"layers": 1}), ("lightgcn", {"layers": 3})]
TIGHT = 1e-6  # a resolution that only the exhausted Krylov space gives


def small_data() -> Interactions:
    return tiny_interactions(8, 10, density=0.35)


def built(
    data: Interactions, case: tuple[str, dict[str, Any]], *, dim: int = 8, l2: float = 0.15
) -> RecommenderProblem:
    name, arguments = case
    options = TrainingOptions(seed=5, tolerance=1e-9, max_iterations=600)
    objective = WholeData(a=0.1, l2=l2)
    return RecommenderProblem.build(
        data, model=name, objective=objective, options=options, dtype=torch.float64, dim=dim, **arguments
    )


def convex(problem: RecommenderProblem) -> ConvexRecommender:
    """The same problem dense; ties weigh what the model has them weigh."""
    objective, model, data = problem.objective_function, problem.model, problem.data
    assert isinstance(objective, WholeData) and isinstance(model, LinearRecommender)
    observed = np.asarray(data.csr().todense(), dtype=np.float64)
    ties = None
    if isinstance(model, SocialLightGCN) and data.ties is not None:
        ties = np.zeros((data.n_users,) * 2)
        for a, b in data.ties:
            ties[a, b] = ties[b, a] = model.tie_weight
    return ConvexRecommender(observed, model.polynomial(), objective.a, objective.l2, ties)


def gram(params: Params) -> np.ndarray[Any, np.dtype[np.float64]]:
    table = params["table"].double().numpy()
    return table @ table.T
