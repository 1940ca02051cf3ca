"""The search against explicit solves and finite differences, and on sets whose worst case is known."""

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
from tests.tolerances import FINITE_DIFFERENCE64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.attached import AttachedProblem
from unlearn.params import flatten
from unlearn.worst_case import Bilevel, Budget, Judge, Random, Room, Upper, judged
from unlearn.worst_case.asking import training_weights
from unlearn.worst_case.lower import Reconverged, SignSteps, Unlearned

DTYPE = torch.float64


def recommender(seed: int = 1) -> RecommenderProblem:
    """Converged far beyond what a test needs; wide enough to have one solution."""
    options = TrainingOptions(seed=seed, tolerance=1e-11, max_iterations=4000)
    data = tiny_data(16, 12, 70)
    return RecommenderProblem.build(
        data, objective=WholeData(a=0.1, l2=1.0), options=options, dtype=DTYPE, dim=8, layers=2
    ).fit()


def social() -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-11, max_iterations=8000)
    return RecommenderProblem.build(
        tiny_data(16, 12, 70), model="social_lightgcn", objective=WholeData(a=0.1, l2=0.2), options=options,
        dtype=DTYPE, dim=16, layers=2, tie_weight=2.0,
    ).fit()  # fmt: skip


def ready(problem: Any, budget: str, **upper: Any) -> tuple[Room, Judge]:
    room = Budget.parse(budget).room(problem.units(Budget.parse(budget).unit))
    return room, Upper(**upper).ready(problem, room, seed=0)


def interior(room: Room) -> Tensor:
    draw = torch.rand(len(room), generator=torch.Generator().manual_seed(3), dtype=DTYPE)
    return 0.1 + 0.6 * draw


class Exact(Reconverged):
    """The same, to where arithmetic ends, each time from the same start."""

    def unlearn(self, problem: Any, room: Room, weights: Tensor) -> Unlearned:
        faded = problem.weighted(room.unit, training_weights(room, weights, problem.params))
        params = faded.fit(problem.params).params
        return Unlearned(params, weights, faded.value_and_gradient(params)[0])


def test_of_ties_it_is_the_same_with_the_message_graph_alone_to_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loss is weighted: both parts of the slope are through arcs and degrees."""
    monkeypatch.setattr("unlearn.worst_case.lower._TOLERANCE", 1e-8)
    monkeypatch.setattr("unlearn.worst_case.lower._DAMPING", 1e-10)
    problem, search, lower = social(), Bilevel(), Exact(1, 800, degrees=True)
    room, judge = ready(problem, "ties:3")
    ahead, w = torch.zeros(len(room), dtype=DTYPE), interior(room)
    at = lower.unlearn(problem, room, w)
    _, slope = search.slope(judge, lower, at, ahead)
    _, explicit = search.slope(judge, SignSteps(1, 1e-3), at, ahead)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        way = torch.randn(len(room), generator=generator, dtype=DTYPE)
        further, nearer = (
            search.slope(judge, SignSteps(1, 1e-3), lower.unlearn(problem, room, w + sign * 1e-4 * way), ahead)[0]
            for sign in (1, -1)
        )
        assert (further - nearer) / 2e-4 == pytest.approx(float(slope @ way), rel=1e-3)
    assert float((slope - explicit).norm()) > 0.1 * float(slope.norm())


@pytest.mark.parametrize("budget", ["interactions:10", "users:3", "items/interactions:12"])
def test_the_implicit_gradient_is_that_of_training_again(budget: str) -> None:
    """Central differences of f(w, theta*(w)), theta* trained anew at either end."""
    problem = recommender()
    room, judge = ready(problem, budget)
    search, lower = Bilevel(gamma=0.2), Exact(1, 400, degrees=True)
    ahead = torch.linspace(-0.1, 0.3, len(room), dtype=DTYPE)
    w = interior(room)
    at = lower.unlearn(problem, room, w)
    _, slope = search.slope(judge, lower, at, ahead)

    def value(weights: Tensor) -> float:
        return search.slope(judge, SignSteps(1, 1e-3), lower.unlearn(problem, room, weights), ahead)[0]

    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        way = torch.randn(len(room), generator=generator, dtype=DTYPE)
        numeric = (value(w + 1e-4 * way) - value(w - 1e-4 * way)) / 2e-4
        assert numeric == pytest.approx(float(slope @ way), rel=0.02)
    # What a set moves in the model is no small part of it: without the implicit term this would fail.
    _, explicit = search.slope(judge, SignSteps(1, 1e-3), at, ahead)
    assert float((slope - explicit).norm()) > 0.1 * float(slope.norm())


def test_the_implicit_part_is_the_explicit_solve() -> None:
    """On a ridge, whose Hessian and mixed derivative are written down."""
    problem = ridge().fit()
    room, _ = ready(problem, "records:5")
    w = interior(room)
    lower = Reconverged(200, 50, degrees=True)
    at = Exact(1, 1, degrees=True).unlearn(problem, room, w)
    slope = torch.arange(1.0, 6.0, dtype=DTYPE)
    x, y = problem.payload
    theta = flatten(at.params)
    shrink = 1.0 - 2.0**-10
    v = 1.0 - shrink * w
    hessian = x.T @ (v[:, None] * x) + 0.3 * torch.eye(5, dtype=DTYPE)
    mixed = -shrink * ((x @ theta - y)[:, None] * x)  # d/dw_i of grad F, a row each
    expected = -mixed @ torch.linalg.solve(hessian, slope)
    found = lower.pulled(problem, room, at, slope)
    assert float((found - expected).norm()) < 0.01 * float(expected.norm())  # the solve stops at a residual of 3 %


@pytest.mark.parametrize(("messages", "unit"), list(itertools.product(["full", "fixed_degrees", "none"], ["u", "i"])))
def test_the_explicit_gradient_goes_through_the_message_edges(messages: Any, unit: str) -> None:
    """Sign steps leave theta where it is, so f(., theta) is all that w moves; with degrees held, or nothing, less."""
    problem = recommender()
    room, judge = ready(problem, "users:3" if unit == "u" else "interactions:9")
    w, ahead = interior(room), torch.zeros(len(room), dtype=DTYPE)
    lower = SignSteps(2, 1e-3)
    at = lower.unlearn(problem, room, w)

    def slope_and_value(kind: Any, weights: Tensor) -> tuple[float, Tensor]:
        return Bilevel(messages=kind).slope(judge, lower, Unlearned(at.params, weights, None), ahead)

    _, slope = slope_and_value(messages, w)
    generator = torch.Generator().manual_seed(5)
    way = torch.randn(len(room), generator=generator, dtype=DTYPE)
    ends = [slope_and_value("full", w + sign * 1e-5 * way)[0] for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / 2e-5
    if messages == "full":
        torch.testing.assert_close(slope @ way, torch.tensor(numeric, dtype=DTYPE), **FINITE_DIFFERENCE64)
    else:
        assert abs(float(slope @ way) - numeric) > 1e-3 * abs(numeric)
    if messages == "none":  # l_i and nothing else
        params = {name: value.detach() for name, value in at.params.items()}
        losses = judge.asking.relaxed(params, w, degrees=True)
        torch.testing.assert_close(slope, losses / room.total)


def test_sign_steps_are_those_of_the_weighted_objective() -> None:
    problem = ridge().fit()
    room, _ = ready(problem, "records:5")
    w = interior(room)
    x, y = problem.payload
    theta = flatten(problem.params)
    v = 1.0 - (1.0 - 2.0**-10) * w
    for _ in range(3):
        theta = theta - 0.01 * (x.T @ (v * (x @ theta - y)) + 0.3 * theta).sign()
    at = SignSteps(3, 0.01).unlearn(problem, room, w)
    torch.testing.assert_close(flatten(at.params), theta)
    value = 0.5 * (v * (x @ theta - y).square()).sum() + 0.15 * theta.square().sum()
    assert at.objective == pytest.approx(float(value))


# ---- the search as a whole -------------------------------------------------------------------------------------------


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
    judge = search.judged_by().ready(problem, room, seed=1)
    found = search.select(problem, "users:3", seed=1)
    values = [one.judged for one in found.rounds]
    assert judged(judge, found.units) == pytest.approx(min(values))
    assert found.start is not None and judged(judge, found.start) == pytest.approx(values[0])
    assert min(values) < min(values[0], values[-1])


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
