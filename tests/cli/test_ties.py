"""Ties on the command line: trained on, forgotten, evaluated, sought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys import workspace
from recsys.data import Interactions, read, synthetic
from recsys.problem import RecommenderProblem
from tests.cli.run import SMALL, answer, refusal, unlearn
from unlearn.forget import ForgetSet

SOCIAL = ("--model", "social_lightgcn:tie_weight=1", *SMALL)
TELLING = (*SOCIAL, "--l2", "0.3", "--dim", "24")  # under more L2 the solution has rank 1, where all are answered alike


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interactions and ties of 60 users, as two files."""
    found = tmp_path_factory.mktemp("tied")
    data = synthetic(n_users=60, n_items=40, n_interactions=900, ties_per_user=4.0, seed=5)
    data.frame()[["user", "item"]].to_csv(found / "interactions.csv", index=False)
    assert data.ties is not None
    ends = [data.users.take(data.ties[:, side]) for side in (0, 1)]
    lines = [f"{a},{b}" for a, b in zip(*ends, strict=True)]
    (found / "ties.csv").write_text("\n".join(["source,target", *lines]) + "\n", "utf-8")
    return found


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> Path:
    """A model that passes messages along ties, for the settings of `config` too."""
    answer("train", "--data", folder, "--out", tmp_path / "model", *TELLING)
    return tmp_path / "model"


def rows(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in said["methods"]}


def test_a_tie_is_forgotten_in_whichever_direction_it_goes(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    answer("train", "--data", folder, "--out", model, *SOCIAL)
    before = read(model / "interactions.parquet")
    assert isinstance(before, Interactions) and before.ties is not None
    a, b = before.users.take(before.ties[0])
    said = answer("forget", "--model", model, "--tie", f"{a},{b}")
    assert said["forgotten"] == {"users": 0, "items": 0, "interactions": 0, "ties": 2, "records": 0}
    assert said["rows_changed"] > 0 and 0 < said["residual_after"] < said["residual_before"]
    after = read(model / "interactions.parquet")
    assert isinstance(after, Interactions) and after.ties is not None and len(after) == len(before)
    left = set(zip(*(after.users.take(side) for side in after.ties.T), strict=True))
    assert len(left) == len(before.ties) - 2 and not {(a, b), (b, a)} & left
    assert f"('{a}', '{b}')" in refusal(3, "forget", "--model", model, "--tie", f"{a},{b}")
    assert "`tie` must be USER,USER" in refusal(2, "forget", "--model", model, "--tie", a)


def test_deleting_ties_is_evaluated_against_retraining(folder: Path) -> None:
    done = unlearn(
        "evaluate", "--data", folder, "--delete", "ties:30", "--methods", "reconverge", "--seeds", "2", "--json", "-",
        *TELLING,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [request["counts"]["ties"] for request in said["raw"]["requests"]] == [60, 60]
    found = rows(said)
    assert found["no_op"]["retrain_gap"]["mean"] == pytest.approx(1.0)
    assert found["no_op"]["effect"]["mean"] > 1e-3  # the ties are in the model
    assert found["reconverge"]["retrain_gap"]["mean"] < 0.6 * found["graph_drop"]["retrain_gap"]["mean"]
    # Both ends of a tie are answered alike, and less so by a model that never saw it.
    told = {name: row["forget_auc"]["mean"] for name, row in found.items()}
    assert told["no_op"] > told["retrain"] + 0.05
    assert told["placebo"] > told["retrain"] + 0.05
    assert told["reconverge"] == pytest.approx(told["retrain"], abs=0.02)


def test_a_model_without_ties_has_none_to_delete(folder: Path) -> None:
    said = refusal(2, "evaluate", "--data", folder, "--delete", "ties:5", "--seeds", "1", *SMALL)
    assert "does not use them" in said and "social_lightgcn" in said
    said = refusal(2, "worst-case", "--data", folder, "--budget", "ties:1%", *SMALL)
    assert "social_lightgcn" in said


def test_without_ties_in_the_data_the_model_says_what_it_needs(table: Path, tmp_path: Path) -> None:
    said = refusal(2, "train", "--data", table, "--out", tmp_path / "model", *SOCIAL)
    assert "must have ties between users" in said and "ties.csv" in said


@pytest.mark.parametrize("selector", ["bilevel:rounds=3:folds=3", "hubs:over=ties:by=degree"])
def test_the_hardest_ties_are_found_and_measured(folder: Path, selector: str) -> None:
    done = unlearn(
        "worst-case", "--data", folder, "--selector", selector, "--budget", "ties:8%", "--methods", "reconverge",
        "--json", "-", *SOCIAL,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    chosen = said["chosen"][0]
    assert chosen["forget"].keys() == {"ties"} and len(chosen["forget"]["ties"]) == 2 * chosen["cost"]
    assert said["budget"] == "ties:8%"
    for content in (said, said["random"]):
        assert rows(content)["reconverge"]["retrain_gap"]["mean"] < 1
        assert [request["counts"]["users"] for request in content["raw"]["requests"]] == [0]


def test_ties_are_among_what_made_a_recommendation(model: Path) -> None:
    data = read(model / "interactions.parquet")
    assert isinstance(data, Interactions) and data.ties is not None
    user = data.users.take([int(data.ties[0, 0])])[0]
    said = answer("explain", "--model", model, "--user", user, "--k", "100000")
    assert len(said["interactions"]) == len(data)
    there = {frozenset(map(str, pair)) for pair in zip(*(data.users.take(side) for side in data.ties.T), strict=True)}
    assert {frozenset(line["users"]) for line in said["ties"]} == there and len(said["ties"]) == len(there)
    assert all(line["own"] == (user in line["users"]) for line in said["ties"])
    lines = [*said["interactions"], *said["ties"]]
    own, every = (sum(abs(line["contribution"]) for line in lines if mine or line["own"]) for mine in (False, True))
    assert said["own_share"] == pytest.approx(own / every, rel=1e-4)
    first = said["ties"][0]
    assert answer("explain", "--model", model, "--user", user, "--k", "1")["ties"] == [first]
    assert "tied to" in unlearn("explain", "--model", model, "--user", user).stdout
    problem = workspace.load(model)
    assert isinstance(problem, RecommenderProblem)
    pair = torch.tensor([[int(data.users.rows([user])[0]), int(data.items.rows([said["item"]])[0])]])
    a, b = first["users"]
    forget = problem.resolve(ForgetSet(ties=[(a, b), (b, a)]), unknown="skip")
    after = problem.without(forget).fit(problem.params, options=problem.options.polished())
    assert first["contribution"] == pytest.approx(said["score"] - float(after.outputs(pair)), rel=0.3)


def test_no_tie_of_somebody_who_is_to_be_forgotten_is_told(config: Path, model: Path) -> None:
    data = read(model / "interactions.parquet")
    assert isinstance(data, Interactions) and data.ties is not None
    user, gone = data.users.take(data.ties[0])
    asked = ("explain", "--model", model, "--user", user, "--k", "100000")
    before = answer(*asked)["ties"]
    answer("request", "create", "--identity", gone)
    after = answer(*asked)["ties"]
    assert after == [line for line in before if gone not in line["users"]] != before
