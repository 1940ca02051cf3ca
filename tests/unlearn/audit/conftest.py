"""One small comparison for all tests of what is found, shown and kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from recsys.data import Interactions, ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from tests.unlearn.audit.compared import KEY, Diverging, Prepared
from unlearn.audit import Comparison, compare
from unlearn.methods.base import method


@pytest.fixture(scope="package")
def parts() -> tuple[Interactions, Interactions]:
    split = ratio(synthetic(200, 120, 4_000, seed=0), seed=0)
    return split.train, split.test


@pytest.fixture(scope="package")
def problem(parts: tuple[Interactions, Interactions]) -> RecommenderProblem:
    built = RecommenderProblem.build(parts[0], objective=WholeData(l2=0.5, a=0.1), dtype=torch.float64, dim=48)
    return built.fit(options=built.options.polished())


@pytest.fixture(scope="package")
def scorer(parts: tuple[Interactions, Interactions]) -> RankingScorer:
    return RankingScorer(parts[1])


@pytest.fixture(scope="package")
def found(problem: RecommenderProblem, scorer: RankingScorer) -> Comparison:
    asked = requests("users:10", problem.data, seed=0)
    methods = [method("reconverge"), Prepared(), Diverging()]
    return compare(problem, asked, methods, scorer, seed=0, settings={"data": "synthetic"}, key=KEY)


@pytest.fixture(scope="package")
def content(found: Comparison) -> dict[str, Any]:
    return json.loads(found.to_json())
