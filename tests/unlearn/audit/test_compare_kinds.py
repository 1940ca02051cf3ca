"""Comparisons of models of every kind: trained by sampling, in closed form, and served in the problem's place."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.sparse import csr_array
from torch import Tensor

from recsys.answers import Answers
from recsys.data import Interactions, Split, ratio, synthetic
from recsys.fitted import FittedRecommender
from recsys.objectives import BPR, SampledObjective, SampledSoftmax
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingPanel, RankingScorer
from recsys.train import TrainingOptions
from unlearn.audit import Comparison, compare
from unlearn.audit.measures import top_k_overlap
from unlearn.audit.reference import _timed, reference
from unlearn.forget import ForgetSet
from unlearn.history import History, Monitor
from unlearn.methods import MissingRequirement, Retrain, State, Unlearner, method
from unlearn.methods.retrain import OTHER_START
from unlearn.problem import Fitted, Problem, SelfUnlearning


@dataclass(frozen=True, eq=False)
class ItemItem(FittedRecommender, SelfUnlearning):
    """Scores by how often items meet in a history; forgetting recounts."""

    data: Interactions
    counts: Tensor
    history: History = field(default_factory=History)

    @classmethod
    def of(cls, data: Interactions) -> ItemItem:
        dense = torch.from_numpy(data.csr().toarray()).double()
        return cls(data, dense.T @ dense)

    def fit(self, init: object = None, *, options: object = None) -> ItemItem:
        return type(self).of(self.data)

    def without(self, forget: ForgetSet) -> ItemItem:
        return replace(self, data=self.data.without(forget))

    def forget(self, forget: ForgetSet) -> ItemItem:
        return self.without(forget).fit()

    def scores(self, users: np.ndarray) -> Tensor:
        return self.fold_in(self.data.csr()[users])

    def fold_in(self, histories: csr_array) -> Tensor:
        return torch.from_numpy(histories.toarray()).double() @ self.counts


@dataclass(frozen=True)
class InItsPlace(Unlearner):
    """Serves with item-item counts of the problem's data, which it keeps up to date."""

    name = "in_its_place"

    def prepare(self, problem: RecommenderProblem) -> State:
        return State(payload=ItemItem.of(problem.data), seconds=1.0, megabytes=0.0)

    def subject(self, problem: Problem, state: State | None) -> ItemItem:
        assert state is not None
        return state.payload

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[ItemItem, State | None]:
        after = self.subject(problem, state).forget(forget)
        return after, replace(state, payload=after) if state else None


@pytest.fixture(scope="module")
def split() -> Split:
    return ratio(synthetic(50, 30, 600, seed=0), seed=0)


def sampled(split: Split, objective: SampledObjective, seed: int = 3) -> RecommenderProblem:
    options = TrainingOptions(seed=seed, epochs=6, batch_size=200, lr=0.05)
    return RecommenderProblem.build(split.train, objective=objective, options=options, dim=8, layers=2)


def central(found: Comparison, name: str) -> dict[str, Any]:
    return {figure: value for figure, value in found.central(name).items() if value is not None}


@pytest.mark.parametrize("objective", [BPR(), SampledSoftmax(negatives=20)], ids=lambda one: one.name)
def test_sampled_training_is_measured_against_the_coupled_retrain(split: Split, objective: SampledObjective) -> None:
    problem = sampled(split, objective).fit()
    asked = requests("users:3", problem.data, seed=0)
    methods = [Retrain(coupled=True), method("fine_tune")]
    found = compare(problem, asked, methods, RankingScorer(split.test), seed=problem.options.seed)
    coupled, tuned, nothing = (central(found, name) for name in ("retrain", "fine_tune", "no_op"))
    assert coupled["retrain_gap"] == 0.0  # the very same draws and numbers
    assert nothing["retrain_gap"] == 1.0
    # Another seed is another model: that is the floor, and it hides what the methods do.
    assert nothing["gap_floor"] > 0.5
    assert coupled["below_floor"] == 1.0
    assert 0.0 < tuned["retrain_gap"] != 1.0
    assert not {"residual_ratio", "score_bound"} & set(tuned)
    assert tuned["original_drift"] == 0.0
    assert found.requests[0].raw["reference"] == "by seed"
    # The coupled retrain is timed on its way to its own end, which no other seed comes near.
    trajectory = found.requests[0].raw["trajectory"]
    assert len(trajectory) > 2
    assert trajectory[-1][1] == 0.0 < trajectory[0][1]


class SlowToAnswer(RankingPanel):
    """Every look takes a while."""

    def answers(self, model: Fitted) -> Answers:
        time.sleep(0.05)
        return super().answers(model)


class SlowToCut(ItemItem):
    """What has to go is found after a while."""

    def without(self, forget: ForgetSet) -> ItemItem:
        time.sleep(0.1)
        return super().without(forget)


class SlowToBegin(RankingScorer):
    """Retrains that draw their first parameters for a while."""

    def polish(self, model: Fitted, *, seed: int | None = None, watch: Monitor | None = None) -> FittedRecommender:
        time.sleep(0.1)
        return super().polish(model, seed=seed, watch=watch)


def test_a_retrain_is_timed_from_the_call_on_without_the_looks_at_it(split: Split) -> None:
    problem, scorer = sampled(split, BPR()).fit(), SlowToBegin(split.test)
    (forget,) = requests("users:3", problem.data, seed=0)
    panel = SlowToAnswer(**vars(scorer.panel(problem, forget, seed=0)))
    found = reference(problem, problem, forget, scorer, panel, seed=3)
    seconds = [when for when, _ in found.trajectory]
    assert seconds[0] > 0.1
    assert 0.0 < seconds[-1] - seconds[0] < 0.05 * (len(seconds) - 1)
    # The one by the seed is what others are measured against; the one by another has a row.
    seeds = [one.history.seed for one in (found.other, found.cold) if isinstance(one, Problem)]
    assert seeds == [3, 3 + OTHER_START]
    assert found.overlap_floor == top_k_overlap(panel.lists(found.cold), panel.lists(found.other)) < 1.0
    _, passed = _timed(problem.without(forget), panel, scorer, 3, cut=100.0)
    assert all(when > 100.1 for when, _ in passed)
    counts = SlowToCut.of(split.train)
    ((end, _),) = reference(counts, counts, forget, scorer, panel, seed=0).trajectory
    assert end > 0.2


def test_another_seed_draws_other_negatives_and_the_same_seed_the_same(split: Split) -> None:
    problem = sampled(split, BPR(seed=7))
    same = problem.fit()
    assert same.objective_function == problem.objective_function
    other = problem.fit(options=replace(problem.options, seed=4))
    assert isinstance(other.objective_function, BPR)
    assert other.objective_function.seed == 8
    start = problem.params
    restarted = problem.fit(start, options=replace(problem.options, seed=4))
    assert torch.equal(problem.model.initial(problem.graph, 3)["table"], start["table"])
    assert not torch.equal(restarted.params["table"], same.params["table"])


def test_a_closed_form_is_compared_with_its_refit_and_reasons_stand_for_the_rest(split: Split) -> None:
    model = ItemItem.of(split.train)
    asked = requests("random:0.05", model.data, seed=0)
    found = compare(model, asked, [method("native"), method("reconverge")], RankingScorer(split.test), seed=0)
    native, nothing, dropped = (central(found, name) for name in ("native", "no_op", "graph_drop"))
    assert native["retrain_gap"] == native["gap_floor"] == 0.0
    assert nothing["retrain_gap"] == 1.0 > dropped["retrain_gap"] > 0.0
    assert native["forget_auc"] == native["retrain_auc"]
    assert not {"residual_ratio", "score_bound", "rows_changed"} & set(native)
    assert native["speedup_vs_retrain"] > 0.0
    assert len(found.requests[0].raw["trajectory"]) == 1

    content = json.loads(found.to_json())
    (row,) = [row for row in content["methods"] if row["name"] == "reconverge"]
    assert row == {"name": "reconverge", "reason": "`reconverge` works on a Problem (got ItemItem)"}
    assert "reconverge" not in found.names
    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(found.table())
    assert row["reason"] in captured.get()
    assert found.reasons == Comparison.join([found]).reasons

    with pytest.raises(MissingRequirement, match=r"(?s)none of the methods.*`reconverge`.*`iau`"):
        compare(model, asked, [method("reconverge"), method("iau")], RankingScorer(split.test), seed=0)


@pytest.mark.parametrize(
    ("delete", "held_out", "absent"),
    [
        ("random:0.05", True, {}),
        ("random:0.05", False, {"Recall@20": "nobody who remains", "forget AUC": "the same users have nothing"}),
        ("items:3", True, {"forget AUC": "nothing deleted can be asked about"}),  # item-item counts fold in no item
        ("users:50", True, {"Recall@20": "nobody who remains", "gap": "nobody who remains is affected"}),
    ],
)
def test_a_figure_that_nothing_has_is_said_why(
    split: Split, delete: str, held_out: bool, absent: dict[str, str]
) -> None:
    model = ItemItem.of(split.train)
    test = split.test if held_out else split.test.take(np.arange(0))
    found = compare(model, requests(delete, model.data, seed=0), [method("native")], RankingScorer(test), seed=0)
    assert len(found.absent) == len(absent) and json.loads(found.to_json())["absent"] == found.absent
    told = str(found.table().caption).splitlines()
    for name, reason in absent.items():
        assert any(line.startswith(f"no {name}: {reason}") for line in told)
    assert len([line for line in told if line.startswith("no ")]) == len(absent)


def test_what_diverged_in_training_is_refused(split: Split) -> None:
    problem = sampled(split, BPR())
    problem = problem.fit(options=replace(problem.options, lr=1e30))
    with pytest.raises(ValueError, match=r"finite parameters.*lower learning rate"):
        compare(problem, [ForgetSet(users=(0,))], [], RankingScorer(split.test), seed=0)


def test_a_method_that_serves_another_model_is_measured_against_that_models_retrain(split: Split) -> None:
    problem = sampled(split, BPR()).fit()
    asked = requests("users:3", problem.data, seed=0)
    found = compare(problem, asked, [InItsPlace()], RankingScorer(split.test), seed=problem.options.seed)
    mine, nothing, retrained = (central(found, name) for name in ("in_its_place", "no_op", "retrain"))
    assert mine["retrain_gap"] == 0.0
    assert nothing["retrain_gap"] == 1.0
    assert mine["effect"] != nothing["effect"] == retrained["effect"]
    assert mine["prepare_seconds"] == 1.0
    (other,) = found.requests[0].raw["subjects"]
    assert other["methods"] == ["in_its_place"]
    assert other["distance_before"] != found.requests[0].raw["distance_before"]
