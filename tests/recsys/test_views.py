"""Where things lie around a request, against a search by hand; and the views of real models."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest
import torch

from recsys.data import Interactions, ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from recsys.views import RankingSurroundings, record_groups
from unlearn.audit.views import collect
from unlearn.forget import ForgetSet
from unlearn.jsonable import without_nan
from unlearn.methods.base import method


@pytest.fixture(scope="module")
def split() -> tuple[Interactions, Interactions]:
    found = ratio(synthetic(60, 50, 500, seed=2), seed=2)
    return found.refit(), found.test


@pytest.fixture(scope="module")
def problem(split: tuple[Interactions, Interactions]) -> RecommenderProblem:
    return RecommenderProblem.build(split[0], objective=WholeData(l2=1.0, a=0.1), dim=8, layers=2).fit()


def around(problem: RecommenderProblem, forget: ForgetSet) -> RankingSurroundings:
    return RankingSurroundings(problem, forget, problem.data.without(forget))


def hops(data: Interactions, start: set[int]) -> dict[int, int]:
    """Breadth-first from some nodes, items after users."""
    near: dict[int, list[int]] = {}
    for user, item in zip(data.user_rows().tolist(), (data.item_rows() + data.n_users).tolist(), strict=True):
        near.setdefault(user, []).append(item)
        near.setdefault(item, []).append(user)
    found, queue = dict.fromkeys(start, 0), deque(start)
    while queue:
        node = queue.popleft()
        for other in near.get(node, []):
            if other not in found:
                found[other] = found[node] + 1
                queue.append(other)
    return found


@pytest.mark.parametrize("asked", ["users:2", "random:0.01"])
def test_rings_are_the_remaining_users_by_distance(problem: RecommenderProblem, asked: str) -> None:
    data = problem.data
    forget = problem.resolve(requests(asked, data, seed=1)[0])
    gone = data.positions(forget)
    start = set(data.user_rows()[gone].tolist()) | set((data.item_rows()[gone] + data.n_users).tolist())
    distance = hops(data, start)
    left = data.without(forget)
    rings = around(problem, forget).rings()
    for label, rows in rings.items():
        for row in rows.tolist():
            assert left.users.alive[row]
            assert (str(distance[row]) if distance.get(row, 7) <= 6 else "farther") == label
    assert sorted(row for rows in rings.values() for row in rows.tolist()) == np.flatnonzero(left.users.alive).tolist()


def test_groups_are_all_remaining_rows_once(problem: RecommenderProblem) -> None:
    forget = problem.resolve(requests("items:3", problem.data, seed=1)[0])
    surroundings = around(problem, forget)
    left = surroundings.left
    items = torch.cat(list(surroundings.item_groups().values())).sort().values
    assert items.tolist() == np.flatnonzero(left.items.alive).tolist()
    degrees = left.degrees()[1]
    levels = [degrees[rows.numpy()] for rows in surroundings.item_groups().values()]
    assert levels[0].max() <= levels[1].min() and levels[1].max() <= levels[2].min()
    nodes = torch.cat(list(surroundings.node_groups().values()))
    assert len(nodes.unique()) == len(nodes)
    assert set(np.flatnonzero(left.users.alive)) <= set(nodes.tolist())


def test_layers_add_up_to_the_final_rows(problem: RecommenderProblem) -> None:
    tables = around(problem, ForgetSet()).tables(problem)
    assert list(tables) == ["layer 0", "layer 1", "layer 2", "final"]
    mean = (tables["layer 0"] + tables["layer 1"] + tables["layer 2"]) / 3
    assert torch.allclose(mean, tables["final"], atol=1e-5)


def test_levels_of_examples_follow_activity_and_popularity(
    problem: RecommenderProblem, split: tuple[Interactions, Interactions]
) -> None:
    forget = problem.resolve(requests("random:0.3", problem.data, seed=3)[0])
    asked = RankingScorer(split[1]).examples(problem, forget, seed=0, most=60)
    groups = record_groups(asked, problem.data)
    forgotten = range(len(asked.units))[asked.groups["forget"]]
    place = {int(owner): k for k, owner in enumerate(asked.owner)}
    for name, side, degrees in (
        ("activity", 0, problem.data.degrees()[0]),
        ("popularity", 1, problem.data.degrees()[1]),
    ):
        own = np.array([degrees[asked.pairs[side][place[example]]] for example in forgotten])
        assert len(groups[name]["of"]) == len(own)
        levels = list(dict.fromkeys(np.array(groups[name]["of"])[np.argsort(own, kind="stable")]))
        assert levels in (["low", "middle", "high"], ["tail", "middle", "head"])


def test_views_of_real_models_say_what_was_done(
    problem: RecommenderProblem, split: tuple[Interactions, Interactions]
) -> None:
    """Doing nothing reaches nobody, a retrain is itself, re-convergence lies between; no id is said."""
    forget = problem.resolve(requests("random:0.1", problem.data, seed=0)[0])
    scorer = RankingScorer(split[1])
    panel = scorer.panel(problem, forget, seed=0)
    remaining = problem.without(forget)
    views = collect(
        problem,
        [scorer.polish(remaining, seed=7), scorer.polish(remaining, seed=8)],
        {name: method(name).forget(problem, forget).problem for name in ("no_op", "reconverge")},
        panel,
        around(problem, forget),
    )
    near = views["ripple"]["rings"][0]["models"]
    assert near["no_op"]["change"] == 0.0 and near["no_op"]["gap"] == pytest.approx(1.0)
    assert near["reconverge"]["gap"] < 0.5 and near["reconverge"]["alignment"] > 0.9
    assert near["second retrain"]["gap"] < near["reconverge"]["gap"]
    lists = views["ranks"]["models"]
    assert lists["retrain"]["rbo"]["median"] == pytest.approx(1.0) and lists["retrain"]["exposure_distance"] == 0.0
    assert lists["original"]["rbo"]["median"] < lists["reconverge"]["rbo"]["median"]
    assert lists["original"]["exposure_distance"] > lists["reconverge"]["exposure_distance"]
    for model in lists.values():
        assert sum(model["exposure"].values()) == pytest.approx(1.0)
        utility = model["utility"]
        assert model["fairness_gap"] == pytest.approx(utility["ndcg_at_20_high"] - utility["ndcg_at_20_low"])
    shown = torch.cat([panel.lists(problem).flatten()])
    head = set(around(problem, forget).item_groups()["head"].tolist())
    share = sum(item in head for item in shown.tolist()) / len(shown)
    assert lists["original"]["exposure"]["head"] == pytest.approx(share)
    rows = views["representation"]["distance"]
    assert rows["second retrain"]["items"]["median"] < rows["reconverge"]["items"]["median"]
    text = json.dumps(without_nan(views))
    assert not any(str(name) in text for name in (*problem.data.users.ids, *problem.data.items.ids))


def test_a_request_of_every_user_leaves_nobody_to_look_at(
    problem: RecommenderProblem, split: tuple[Interactions, Interactions]
) -> None:
    forget = problem.resolve(ForgetSet(users=tuple(problem.data.users.take(np.arange(problem.data.n_users)))))
    scorer, nobody = RankingScorer(split[1]), problem.without(forget)
    panel = scorer.panel(problem, forget, seed=0)
    views = collect(problem, [nobody, nobody], {"row_drop": nobody}, panel, around(problem, forget))
    assert views.keys() == {"ranks", "ripple"}
    assert views["ranks"]["users"] == 0 and not views["ripple"]["rings"]
