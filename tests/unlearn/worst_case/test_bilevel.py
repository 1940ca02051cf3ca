"""The search on two levels, on sets whose worst case is known."""

from __future__ import annotations

import itertools
import signal
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data
from tests.unlearn.worst_case.searches import ready, recommender
from unlearn.attached import AttachedProblem
from unlearn.worst_case import Bilevel, Budget, Judge, Random, Room, judged
from unlearn.worst_case.lower import SignSteps, Unlearned

DTYPE = torch.float64


def small() -> AttachedProblem:
    """A regression of 16 records, few enough to try every pair and triple."""
    from torch import nn

    from tests.unlearn.toys import regression, squared
    from unlearn.hooks import AttachedOptions, attach

    return attach(
        nn.Linear(3, 1, bias=False).double(), squared, regression(16, 3, seed=4), penalty=0.3,
        options=AttachedOptions(tolerance=1e-10),
    ).fit()  # fmt: skip


def test_it_comes_near_the_worst_of_all_sets() -> None:
    """By enumeration, every set unlearned exactly; the easiest set is not the worst here."""
    problem = small()
    _, judge = ready(problem, "records:3")
    every = {rows: judge.value(torch.tensor(rows)) for rows in itertools.combinations(range(16), 3)}
    found = Bilevel(rounds=15).select(problem, "records:3")
    value = judged(judge, found.units)
    below = sum(other < value - 1e-12 for other in every.values()) / len(every)
    assert value == pytest.approx(every[tuple(found.units.tolist())])
    assert below <= 0.01
    assert value < sorted(every.values())[len(every) // 10]
    assert [row.upper for row in found.rounds][-1] < found.rounds[0].upper


def test_the_result_is_the_best_set_of_all_rounds() -> None:
    """Steps this large overshoot, so that the last round's set is not the best."""
    problem = recommender()
    search = Bilevel(rounds=11, rate=1.0)
    room = Budget.parse("users:3").room(problem.units("user"))
    between = []
    for seed in range(4):
        judge = search.judged_by().ready(problem, room, seed=seed)
        found = search.select(problem, "users:3", seed=seed)
        values = [one.judged for one in found.rounds]
        assert judged(judge, found.units) == pytest.approx(min(values))
        assert found.start is not None and judged(judge, found.start) == pytest.approx(values[0])
        between.append(min(values) < min(values[0], values[-1]))
    assert any(between)


def test_without_what_forgetting_has_yet_to_do_half_forgotten_units_look_easy() -> None:
    """The published relaxation ends where weights lie between 0 and 1, on a value that no set of that size has."""
    problem = recommender()
    _, judge = ready(problem, "users:3")
    found, published = (Bilevel(rounds=6, folds=4, anticipate=how).select(problem, "users:3") for how in (True, False))
    gaps = [judged(judge, one.units) - one.rounds[-1].upper for one in (found, published)]
    assert gaps[1] > 0.1 and abs(gaps[0]) < 0.5 * gaps[1]


def test_result_carries_what_happened() -> None:
    problem = recommender()
    chosen = Bilevel(rounds=4, folds=3).select(problem, "users/interactions:15", seed=2)
    room = chosen.budget.room(problem.units("user"))
    assert chosen.forget.users == tuple(sorted(problem.data.users.take(chosen.units.numpy())))
    assert chosen.cost == len(problem.records(chosen.forget)) <= 15
    assert float((room.costs * chosen.weights[room.rows]).sum()) == pytest.approx(15)
    assert len(chosen.rounds) == 4 and all(one.lower is not None for one in chosen.rounds)
    assert chosen.overlap_with_start is not None
    assert (chosen.arguments["rounds"], chosen.seed, str(chosen.budget)) == (4, 2, "users/interactions:15")
    assert chosen.digest(b"k") == chosen.forget.digest(b"k") != chosen.digest(b"other")
    assert not any(user in repr(chosen) for user in chosen.forget.users)
    assert "tensor" not in repr(chosen), "its rows name them as well, to whoever has the data"
    again = Bilevel(rounds=4, folds=3).select(problem, "users/interactions:15", seed=2)
    assert again.forget == chosen.forget and again.rounds == chosen.rounds


def test_an_interrupted_search_returns_what_it_has() -> None:
    problem, calls = small(), 0

    class Interrupted(SignSteps):
        def unlearn(self, problem: Any, room: Room, weights: Tensor) -> Unlearned:
            nonlocal calls
            calls += 1
            if calls == 2:
                signal.raise_signal(signal.SIGINT)
            return super().unlearn(problem, room, weights)

    class Search(Bilevel):
        def _lower(self, judge: Judge) -> Interrupted:
            return Interrupted(1, 1e-3)

    before = signal.getsignal(signal.SIGINT)
    found = Search(rounds=9, folds=3).select(problem, "records:3")
    assert len(found.rounds) == 2 and len(found.forget.records) == 3
    assert any("interrupted after 2 of 9 rounds" in text for text in found.warnings)
    assert signal.getsignal(signal.SIGINT) is before


def test_by_any_method_it_finds_what_that_method_leaves() -> None:
    """Under no_op nothing is forgotten, so the largest gap is the memorisation: known beforehand, set or no set."""
    problem = recommender()
    room, judge = ready(problem, "interactions:6", objective="max_gap", by="no_op")
    found = Bilevel(lower="method", objective="max_gap", by="no_op", rounds=8).select(problem, "interactions:6")
    random = Random().select(problem, "interactions:6")
    assert judged(judge, found.units) < judged(judge, random.units) - 0.1
    every = judge.asking.losses(problem.params, torch.arange(len(room))) - judge.reference
    assert judged(judge, found.units) <= float(every.sort().values[:6].mean()) + 0.05


def test_forgotten_users_of_a_factorisation_are_all_alike() -> None:
    """The row of a forgotten user of a matrix factorisation is gone: every user is forgotten alike."""
    options = TrainingOptions(seed=1, tolerance=1e-10)
    problem = RecommenderProblem.build(
        tiny_data(16, 12, 70), model="mf", objective=WholeData(a=0.1, l2=0.5), options=options, dtype=DTYPE, dim=4
    ).fit()
    _, judge = ready(problem, "users:3")
    losses = [judge.value(torch.tensor(rows)) for rows in ([0, 1, 2], [5, 7, 9])]
    assert losses == pytest.approx([1.0, 1.0])


def test_units_that_are_all_alike_are_said_to_be() -> None:
    from torch import nn

    from tests.unlearn.toys import squared
    from unlearn.hooks import AttachedOptions, attach

    data = torch.ones(6, 1, dtype=DTYPE), torch.ones(6, dtype=DTYPE)
    problem = attach(
        nn.Linear(1, 1, bias=False).double(), squared, data, penalty=0.3, options=AttachedOptions(tolerance=1e-10)
    ).fit()
    found = Bilevel(rounds=2, folds=6).select(problem, "records:2")
    assert any("every unit looks alike" in text for text in found.warnings)
    assert len(found.forget.records) == 2


def test_arguments_out_of_range_are_listed() -> None:
    with pytest.raises(ValueError) as caught:
        Bilevel(
            objective="x", lower="x", start="x", messages="x", rate=0, lr=0, rounds=0, steps=0, iterations=0,  # type: ignore[arg-type]
            products=0, folds=1,
        )  # fmt: skip
    for name in ("objective", "lower", "start", "messages", "rate", "lr", "rounds", "steps", "products", "folds"):
        assert f"`{name}` must be" in str(caught.value)
