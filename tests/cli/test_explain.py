"""`unlearn explain`: the interactions that a recommendation rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import workspace
from recsys.data import Interactions
from recsys.problem import RecommenderProblem
from tests.cli.run import answer, lists, refusal, unlearn
from unlearn.forget import ForgetSet


def test_what_is_named_first_moves_the_score_as_much_as_it_says(model: Path, data: Interactions) -> None:
    user = str(data.users.take([3])[0])
    said = answer("explain", "--model", model, "--user", user, "--k", "6")
    assert said["item"] == lists(model, user)[user][0]["item"]
    assert said["score"] == pytest.approx(lists(model, user)[user][0]["score"], rel=1e-6)
    problem = workspace.load(model)
    assert isinstance(problem, RecommenderProblem)
    pair = np.array([[data.users.rows([said["user"]])[0], data.items.rows([said["item"]])[0]]])
    query = problem.graph.rows.new_tensor(pair)
    for line in said["interactions"][:2]:
        forget = ForgetSet(interactions=((line["user"], line["item"]),))
        after = problem.without(forget).fit(problem.params, options=problem.options.polished())
        change = said["score"] - float(after.outputs(query))
        assert np.sign(change) == np.sign(line["contribution"])
        assert 0.5 < line["contribution"] / change < 2.0
        assert line["own"] == (line["user"] == said["user"])
    sizes = [abs(line["contribution"]) for line in said["interactions"]]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == 6
    assert 0.0 < said["own_share"] < 1.0
    assert said["residual"] < 0.01
    assert "contribution" in unlearn("explain", "--model", model, "--user", user).stdout


def test_a_pair_of_ones_own_choice(model: Path, data: Interactions) -> None:
    said = answer("explain", "--model", model, "--user", "u000003", "--item", "105", "--k", "3")
    assert (said["user"], said["item"], len(said["interactions"])) == ("u000003", 105, 3)
    told = refusal(3, "explain", "--model", model, "--user", "nobody", "--item", "1000000")
    assert "`user` must be known to the model (got nobody" in told and "`item` must be known" in told
    assert "unknown=" not in told  # there is no such option here
    assert "`k`" in refusal(2, "explain", "--model", model, "--user", "u000003", "--k", "0")


def test_who_has_everything_has_no_best_recommendation(tmp_path: Path) -> None:
    table, model = tmp_path / "x.csv", tmp_path / "everything"
    table.write_text("user,item\na,x\na,y\nb,x\n")
    answer("train", "--data", table, "--out", model, "--dim", "2")
    said = refusal(2, "explain", "--model", model, "--user", "a")
    assert "something left to be recommended (got a)" in said and "--item" in said
    assert answer("explain", "--model", model, "--user", "a", "--item", "y")["interactions"]
