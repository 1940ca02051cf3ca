"""Streams of requests: what a method leaves behind adds up, and the rule says when that is too much."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from recsys.data import ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from unlearn.audit import RetrainRule, Stream, Streams, Yardstick, stream, streams
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import MissingRequirement, State, Unlearner, method
from unlearn.problem import Fitted, Problem

LENGTH = 8


@pytest.fixture(scope="module")
def parts() -> tuple[RecommenderProblem, RankingScorer]:
    split = ratio(synthetic(70, 40, 900, seed=0), seed=0)
    built = RecommenderProblem.build(split.train, objective=WholeData(l2=0.5, a=0.1), dtype=torch.float64, dim=20)
    return built.fit(), RankingScorer(split.test)


@pytest.fixture(scope="module")
def served(parts: tuple[RecommenderProblem, RankingScorer]) -> dict[str, Stream]:
    problem, scorer = parts
    asked = requests(f"one-user:{LENGTH}", problem.data, seed=0)
    return {
        name: stream(problem, asked, method(name), Yardstick(scorer, seed=0), measure=(LENGTH,))
        for name in ("reconverge", "iau", "graph_drop", "retrain")
    }


def gap(of: Stream) -> float:
    values = of.steps[-1].values
    assert values is not None
    assert values["retrain_gap"] is not None
    return values["retrain_gap"]


def due(of: Stream, rule: RetrainRule, n_records: int = 10**9) -> int | None:
    """The first request after which the rule would have asked for a retrain."""
    residuals: list[tuple[float, float]] = []
    for step in of.steps:
        assert step.residual_before is not None
        assert step.residual_after is not None
        residuals.append((step.residual_before, step.residual_after))
        if rule.due(residuals, step.removed, n_records) is not None:
            return step.number
    return None


def test_a_stream_serves_every_request_on_what_the_one_before_left(
    parts: tuple[RecommenderProblem, RankingScorer], served: dict[str, Stream]
) -> None:
    problem, scorer = parts
    asked = requests(f"one-user:{LENGTH}", problem.data, seed=0)
    sizes = [problem.records(forget).numel() for forget in asked]
    for name, found in served.items():
        assert [step.number for step in found.steps] == list(range(1, LENGTH + 1))
        assert [step.number for step in found.steps if step.values] == [LENGTH]
        debts = [0] * LENGTH if name == "retrain" else [sum(sizes[: n + 1]) for n in range(LENGTH)]
        assert [step.removed for step in found.steps] == debts
    assert json.loads(json.dumps(served["iau"].content()))["steps"][0]["number"] == 1
    without = replace(served["iau"].steps[0], residual_after=math.nan, values={"retrain_gap": math.nan})
    (step,) = json.loads(json.dumps(replace(served["iau"], steps=(without,)).content(), allow_nan=False))["steps"]
    assert (step["residual_after"], step["values"]) == (None, {"retrain_gap": None})
    with pytest.raises(UnknownIds, match="already forgotten"):
        stream(problem, [asked[0], asked[0]], method("graph_drop"), Yardstick(scorer, seed=0))


def test_gaps_are_to_the_retrain_without_everything_so_far(served: dict[str, Stream]) -> None:
    values = served["retrain"].steps[-1].values
    assert values is not None
    assert gap(served["retrain"]) < 0.02
    assert values["forget_auc"] == pytest.approx(values["retrain_auc"], abs=0.01)
    assert values["gap_floor"] == pytest.approx(0.0, abs=0.02)
    assert gap(served["reconverge"]) < 0.5 * gap(served["graph_drop"])


def test_iau_drifts_and_reconverge_does_not(served: dict[str, Stream]) -> None:
    assert gap(served["iau"]) > 3 * gap(served["reconverge"])
    left = {name: [step.residual_after or 0.0 for step in found.steps] for name, found in served.items()}
    assert left["iau"][-1] > 1.5 * left["iau"][0]
    assert left["reconverge"][-1] < 0.5 * left["iau"][0]


def test_the_rule_fires_for_methods_that_leave_debts_and_not_for_reconverge(served: dict[str, Stream]) -> None:
    rule = RetrainRule()
    assert due(served["reconverge"], rule) is None
    assert due(served["retrain"], rule) is None
    for name in ("iau", "graph_drop"):
        fired = due(served[name], rule)
        assert fired is not None
        assert fired <= 4
    later = due(served["graph_drop"], RetrainRule(residual=2.0))
    assert later is not None
    assert later > (due(served["graph_drop"], rule) or 0)


def test_the_rule_counts_what_is_gone_where_there_is_no_residual() -> None:
    rule = RetrainRule(removed=0.1)
    assert rule.due([], 10, 91) is None
    reason = rule.due([], 11, 89)
    assert reason is not None
    assert "11.0%" in reason
    assert rule.due([], 0, 0) is None
    assert rule.due([(1.0, 0.9)], 0, 10) is None
    # Two independent requests of 3 and 4, of which nothing was served: the debt is 5, one leaves 3.5.
    assert "5 where a single request leaves 3.54" in (rule.due([(3.0, 3.0), (5.0, 5.0)], 0, 10) or "")
    assert rule.due([(3.0, float("nan"))], 0, 10) is not None
    # The limit is that many times what one request leaves, and is kept where it is reached.
    half = RetrainRule(residual=0.5)
    assert half.due([(4.0, 2.0)], 0, 10) is None and half.due([(4.0, 2.01)], 0, 10) is not None
    assert half.due([(3.0, 3.0), (5.0, 1.76)], 0, 10) is None
    assert half.due([(3.0, 3.0), (5.0, 1.77)], 0, 10) is not None


def test_a_retrain_clears_the_debt(parts: tuple[RecommenderProblem, RankingScorer]) -> None:
    problem, scorer = parts
    asked = requests("one-user:4", problem.data, seed=0)
    found = stream(problem, asked, method("graph_drop"), Yardstick(scorer, seed=0), rule=RetrainRule(residual=1.2))
    due = [step.due for step in found.steps]
    assert "residual" in (due[1] or "")
    assert due[0] is None
    assert due[2] is None  # a debt of one request only, again
    assert [step.retrained for step in found.steps] == [reason is not None for reason in due]
    assert found.steps[2].removed < found.steps[1].removed + problem.records(asked[2]).numel()
    assert found.steps[1].retrain_seconds > 0.0 == found.steps[2].retrain_seconds


def test_after_a_retrain_the_method_is_prepared_for_what_came_of_it(
    parts: tuple[RecommenderProblem, RankingScorer],
) -> None:
    @dataclass(frozen=True)
    class Prepared(Unlearner):
        """Its state is the model that it was made for."""

        name = "prepared"

        def prepare(self, problem: Problem) -> State:
            return State(problem.params, 0.0, 0.0)

        def _forget(
            self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
        ) -> tuple[Problem, State | None]:
            assert state is not None and state.payload is problem.params
            return remaining, State(remaining.params, 0.0, 0.0)

    problem, scorer = parts
    asked = requests("one-user:4", problem.data, seed=0)
    found = stream(problem, asked, Prepared(), Yardstick(scorer, seed=0), rule=RetrainRule(residual=1.2))
    assert any(step.retrained for step in found.steps[:-1])


def test_requests_of_whom_the_model_learned_nothing_make_no_retrain_due(
    parts: tuple[RecommenderProblem, RankingScorer],
) -> None:
    problem, scorer = parts
    users = tuple(problem.data.users.take(range(3)))
    frame = problem.data.frame()
    pairs = frame[frame["user"].isin(users)]
    emptied = problem.without(ForgetSet(interactions=zip(pairs["user"], pairs["item"], strict=True))).fit()
    each = [ForgetSet(users=(user,)) for user in users]
    assert all(
        step.due is None for step in stream(emptied, each, method("reconverge"), Yardstick(scorer, seed=0)).steps
    )


def test_every_threshold_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"(?s)`residual` must be positive.*`removed` must be above 0 and at most 1"):
        RetrainRule(residual=0.0, removed=2.0)


def test_methods_share_the_retrains_that_they_are_measured_against(
    parts: tuple[RecommenderProblem, RankingScorer], served: dict[str, Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, scorer = parts
    asked = requests(f"one-user:{LENGTH}", problem.data, seed=0)
    trained: list[int | None] = []
    polish = RankingScorer.polish

    def counted(self: RankingScorer, model: Fitted, *, seed: int | None = None, watch: Any = None) -> Fitted:
        trained.append(seed)
        return polish(self, model, seed=seed, watch=watch)

    monkeypatch.setattr(RankingScorer, "polish", counted)
    chosen = [method(name) for name in ("graph_drop", "iau", "native")]
    found = streams(problem, asked, chosen, scorer, seed=0, measure=(4, LENGTH), settings={"delete": "one-user"})
    assert len(trained) == 4  # two retrains for each of two measured requests
    assert [one.method for one in found.streams] == ["graph_drop", "iau"]
    assert found.reasons.keys() == {"native"} and found.settings == {"delete": "one-user"}
    for one in found.streams:
        last, alone = one.steps[-1].values, served[one.method].steps[-1].values
        assert last is not None and alone is not None
        assert last == pytest.approx(alone)
        assert [step.number for step in one.steps if step.values] == [4, LENGTH]
    said = json.loads(found.to_json())
    assert [len(one["steps"]) for one in said["streams"]] == [LENGTH, LENGTH]
    assert said["digests"] == scorer.digests(problem)
    with pytest.raises(MissingRequirement, match="none of the methods"):
        streams(problem, asked, [method("native")], scorer, seed=0)


def test_streams_of_several_seeds_are_joined_where_the_data_are_the_same(
    parts: tuple[RecommenderProblem, RankingScorer],
) -> None:
    problem, scorer = parts
    asked = requests("one-user:2", problem.data, seed=0)
    one, other = (streams(problem, asked, [method("graph_drop")], scorer, seed=seed) for seed in (0, 1))
    both = Streams.join([one, other])
    assert [each.seed for each in both.streams] == [0, 1]
    with pytest.raises(ValueError, match="on the same data"):
        Streams.join([one, replace(other, digests={"train": "another"})])
    assert len(both.table().columns) == len(both.table(spread=False).columns) + 3


def test_a_retrain_is_noted_as_due_where_none_follows(served: dict[str, Stream]) -> None:
    for name in ("iau", "graph_drop"):
        first = next(step for step in served[name].steps if step.due is not None)
        assert first.number == due(served[name], RetrainRule()) and "residual" in (first.due or "")
    (last,) = [step.due for step in served["reconverge"].steps if step.due is not None]
    assert "of the records are gone" in last  # eight of seventy users
    assert not any(step.retrained for found in served.values() for step in found.steps)
