"""Training converges, is coupled, keeps what it is asked to, and survives an interrupt."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pandas as pd
import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR, NBPO, Multinomial, SampledObjective, SampledSoftmax, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions, coupled_batches
from unlearn.forget import ForgetSet
from unlearn.methods import method
from unlearn.params import Params

EXACT = TrainingOptions(tolerance=1e-10, max_iterations=5000)


@pytest.mark.parametrize("objective", [WholeData(l2=0.3, a=0.2), Multinomial(l2=0.5)])
@pytest.mark.parametrize("model", ["mf", "lightgcn"])
def test_converging_training_ends_at_a_stationary_point(
    objective: WholeData | Multinomial, model: str, data: Interactions
) -> None:
    problem = RecommenderProblem.build(
        data, model=model, objective=objective, dim=20, options=EXACT, dtype=torch.float64
    ).fit()
    assert problem.residual() <= 1e-9 * 2 * objective.l2 * float(problem.params["table"].norm()) + 1e-12
    assert problem.history.residual == pytest.approx(problem.residual(), abs=1e-9)
    users, items = problem.readout()
    assert (users @ items.T).std() > 0.01  # not the trivial minimum


def test_two_seeds_reach_the_same_scores_when_the_rank_is_below_the_width(data: Interactions) -> None:
    def scores(seed: int) -> torch.Tensor:
        options = replace(EXACT, seed=seed)
        objective = WholeData(l2=0.3, a=0.2)
        problem = RecommenderProblem.build(data, objective=objective, dim=20, options=options, dtype=torch.float64)
        users, items = problem.fit().readout()
        return users @ items.T

    first, second = scores(0), scores(1)
    assert (first - second).norm() <= 1e-6 * first.norm()


def test_a_row_that_no_interaction_reaches_ends_at_zero_and_not_near_it(data: Interactions) -> None:
    left = RecommenderProblem.build(data, objective=WholeData(l2=0.3), dim=20).without(ForgetSet(users=["u03"])).fit()
    idle = left.graph.degrees() == 0
    assert idle.sum() >= 3 and torch.equal(idle, ~left.params["table"].any(1))


@pytest.mark.parametrize("objective", [BPR(negatives=2), SampledSoftmax(negatives=8)])
def test_stochastic_training_lowers_its_loss_and_repeats(objective: BPR | SampledSoftmax, data: Interactions) -> None:
    options = TrainingOptions(epochs=30, batch_size=16, lr=0.02)
    problem = RecommenderProblem.build(data, objective=objective, dim=8, options=options)
    trained, again = problem.fit(), problem.fit()
    assert torch.equal(trained.params["table"], again.params["table"])
    before, after = (float(p.record_losses(p.params).sum()) for p in (problem, trained))
    assert after < 0.8 * before
    assert not trained.history.checkpoints and not trained.history.optimizer


def test_it_is_the_same_objective_in_however_many_batches(data: Interactions) -> None:
    """The penalty weighs as much beside each of them as beside all interactions."""
    norms: list[float] = []
    for batches in (1, 3):
        options = TrainingOptions(epochs=50, batches=batches, lr=0.05)
        problem = RecommenderProblem.build(data, model="mf", objective=BPR(l2=0.3), dim=4, options=options)
        norms.append(float(problem.fit().params["table"].norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.1) and norms[0] > 1.0


@pytest.mark.parametrize("objective", [BPR(l2=0.2), SampledSoftmax(l2=0.2, negatives=8)], ids=lambda one: one.name)
@pytest.mark.parametrize("model", ["mf", "lightgcn", "simgcl"])
def test_an_interaction_counts_in_stochastic_training_as_far_as_it_is_weighted(
    model: str, objective: BPR | SampledSoftmax, data: Interactions
) -> None:
    """Half of every loss beside the penalty is every loss beside twice the penalty, for Adam is free of scale."""
    options = TrainingOptions(epochs=8, batch_size=16, lr=0.02)
    plain = RecommenderProblem.build(
        data, model=model, objective=objective, dim=4, options=options, dtype=torch.float64
    )
    halved = plain.weighted("interaction", torch.full((len(data),), 0.5, dtype=torch.float64))
    twice = replace(plain, objective_function=replace(objective, l2=2.0 * objective.l2))
    found, expected, without = (one.fit().params["table"] for one in (halved, twice, plain))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (found - without).abs().max() > 2e-3


def test_checkpoints_and_moments_are_kept_on_request(data: Interactions) -> None:
    options = TrainingOptions(epochs=6, checkpoint_every=2, keep=frozenset({"checkpoints", "optimizer"}))
    problem = RecommenderProblem.build(data, objective=BPR(), dim=4, options=options).fit()
    assert [one.epoch for one in problem.history.checkpoints] == [2, 4, 6]
    assert torch.equal(problem.history.checkpoints[-1].params["table"], problem.params["table"])
    for state in (problem.history.optimizer, problem.history.checkpoints[-1].optimizer):
        assert state is not None and state.steps == 6
        assert state.mean["table"].shape == state.square["table"].shape == problem.params["table"].shape


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (9, [4, 8]), (15, [7, 14]), (20, [10, 20]), (35, [10, 20, 30])],
)
def test_a_short_run_keeps_a_checkpoint_before_its_end(epochs: int, kept: list[int], data: Interactions) -> None:
    options = TrainingOptions(epochs=epochs, batch_size=10_000, keep=frozenset({"checkpoints"}))
    problem = RecommenderProblem.build(data, objective=BPR(), dim=2, options=options).fit()
    assert [one.epoch for one in problem.history.checkpoints] == kept


@pytest.mark.parametrize(
    ("model", "objective"),
    [("lightgcn", BPR(negatives=2)), ("simgcl", SampledSoftmax(negatives=8)), ("ngcf", NBPO(flip_dim=3))],
    ids=["lightgcn bpr", "simgcl sampled_softmax", "ngcf nbpo"],
)
def test_training_resumed_at_a_checkpoint_ends_where_it_ended(
    model: str, objective: SampledObjective, data: Interactions
) -> None:
    options = TrainingOptions(
        seed=3, epochs=7, checkpoint_every=2, batch_size=16, lr=0.02,
        keep=frozenset({"checkpoints", "optimizer"}),
    )  # fmt: skip
    built = RecommenderProblem.build(data, model=model, objective=objective, dim=4, options=options)
    problem = built.fit()
    assert [one.epoch for one in problem.history.checkpoints] == [2, 4, 6]
    for checkpoint in problem.history.checkpoints:
        held = deepcopy(checkpoint.optimizer)
        again = problem.resume(checkpoint)
        assert held is not None and checkpoint.optimizer is not None
        for name, value in problem.params.items():
            assert torch.equal(again.params[name], value)
            assert not torch.equal(checkpoint.params[name], value)
            assert torch.equal(checkpoint.optimizer.mean[name], held.mean[name])  # it can be gone back to again
            assert torch.equal(checkpoint.optimizer.square[name], held.square[name])
        ends = [one.history.optimizer for one in (again, problem)]
        assert ends[0] is not None and ends[1] is not None
        assert ends[0].steps == ends[1].steps and ends[0].rates == pytest.approx(ends[1].rates)
        assert all(torch.equal(ends[0].square[name], value) for name, value in ends[1].square.items())
        later = [one.epoch for one in again.history.checkpoints]
        assert later == [epoch for epoch in (4, 6) if epoch > checkpoint.epoch]
    # Without the optimiser's state, or with the draws of other epochs, it ends elsewhere.
    first = problem.history.checkpoints[0]
    for other in (replace(first, optimizer=None), replace(first, epoch=1)):
        assert not torch.equal(problem.resume(other).params["table"], problem.params["table"])


def test_without_one_user_everybody_elses_rows_and_batches_are_bit_identical(data: Interactions) -> None:
    options = TrainingOptions(epochs=2, batch_size=8)
    before = RecommenderProblem.build(data, objective=BPR(), dim=8, options=options)
    gone = 3
    after = before.without(ForgetSet(users=["u03"]))
    fresh = after.model.initial(after.graph, options.seed)["table"]
    others = [row for row in range(before.graph.n_nodes) if row != gone]
    assert torch.equal(before.params["table"][others], fresh[others])
    assert fresh[gone].abs().sum() == 0

    def pairs(problem: RecommenderProblem, epoch: int, batches: int) -> list[set[tuple[int, int]]]:
        graph = problem.graph
        return [
            {(int(graph.rows[e]), int(graph.cols[e])) for e in batch}
            for batch in coupled_batches(graph, epoch, batches, seed=0)
        ]

    for epoch, batches in ((1, 5), (2, 5), (1, len(data))):  # of so many batches some are empty, others are emptied
        expected = [{pair for pair in batch if pair[0] != gone} for batch in pairs(before, epoch, batches)]
        assert expected == pairs(after, epoch, batches) and len(expected) == batches
    assert pairs(before, 1, 5) != pairs(before, 2, 5)


@pytest.mark.parametrize("objective", [BPR(), SampledSoftmax(negatives=4), NBPO()])
@pytest.mark.parametrize("model", ["mf", "sgl"])
def test_steps_are_as_many_with_a_user_as_without(model: str, objective: SampledObjective, data: Interactions) -> None:
    options = TrainingOptions(epochs=2, batch_size=1, keep=frozenset({"optimizer"}))
    before = RecommenderProblem.build(data, model=model, objective=objective, dim=4, options=options).fit()
    after = before.without(ForgetSet(users=("u03", "u05"))).fit()
    for problem in (before, after):
        assert problem.history.optimizer is not None
        assert problem.history.optimizer.steps == 2 * len(data)
        assert all(bool(value.isfinite().all()) for value in problem.params.values())


@pytest.mark.parametrize("objective", [BPR(), SampledSoftmax(negatives=64), NBPO()])
def test_rows_of_forgotten_items_stay_zero_where_hardly_anything_else_is_left_to_draw(
    objective: SampledObjective,
) -> None:
    everything = pd.DataFrame([(user, item) for user in range(8) for item in range(12)], columns=["user", "item"])
    data = Interactions.from_frame(everything)
    options = TrainingOptions(epochs=3, batch_size=16, lr=0.05)
    left = RecommenderProblem.build(data, model="mf", objective=objective, dim=4, options=options).without(
        ForgetSet(items=tuple(range(3, 12)))
    )
    for name, value in left.fit().params.items():
        assert name not in left.row_parameters or not bool(value[data.n_users + 3 :].any())


def test_initial_rows_follow_the_id_not_the_position(data: Interactions) -> None:
    frame = data.frame()
    shuffled = Interactions.from_frame(frame[frame["user"] != "u01"])
    one = RecommenderProblem.build(data, dim=4)
    other = RecommenderProblem.build(shuffled, dim=4)
    here = data.users.rows(["u05"])[0]
    there = shuffled.users.rows(["u05"])[0]
    assert here != there
    assert torch.equal(one.params["table"][here], other.params["table"][there])


@pytest.mark.parametrize("objective", [WholeData(), BPR()])
def test_an_interrupt_keeps_the_last_state(objective: WholeData | BPR, data: Interactions) -> None:
    problem = RecommenderProblem.build(data, objective=objective, dim=4)

    def stop(iteration: int, seconds: float, params: object) -> bool:
        if iteration == 3:
            raise KeyboardInterrupt
        return False

    trained = problem.fit(monitor=stop)
    assert trained.params["table"].isfinite().all()
    assert not torch.equal(trained.params["table"], problem.params["table"])


def test_an_interrupt_before_the_first_iteration_says_how_far_the_start_is_from_the_end(data: Interactions) -> None:
    asked = 0

    def interrupting(_: object, params: Params) -> torch.Tensor:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise KeyboardInterrupt
        return params["table"].new_zeros(())

    plain = RecommenderProblem.build(data, objective=WholeData(), dim=4)
    stopped = replace(plain, history=replace(plain.history, hooks=(interrupting,))).fit(plain.params)
    assert torch.equal(stopped.params["table"], plain.params["table"])
    assert stopped.history.residual == pytest.approx(plain.residual(), rel=1e-6)
    assert "training stopped with a gradient" in (stopped.caveat or "")


@pytest.mark.parametrize("objective", [WholeData(l2=0.3, a=0.2), BPR()])
def test_who_watches_can_stop_it_and_none_of_their_time_counts(
    objective: WholeData | BPR, data: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = 0.0, list[float]()
    monkeypatch.setattr("recsys.train.elapsed", lambda _: clock)

    def watch(iteration: int, seconds: float, params: Callable[[], Params]) -> bool:
        nonlocal clock
        clock += 1.0
        told.append(seconds)
        return iteration == 4

    problem = RecommenderProblem.build(data, objective=objective, options=TrainingOptions(seed=3), dim=4)
    history = problem.fit(monitor=watch).history
    assert told == [0.0] * 4 and (history.seconds, history.seed) == (0.0, 3)


def test_hooks_take_part_in_both_trainers(data: Interactions) -> None:
    def shrink(problem: object, params: Params) -> torch.Tensor:
        return 50.0 * params["table"].square().sum()

    for objective in (WholeData(l2=0.1), BPR()):
        options = TrainingOptions(epochs=20, lr=0.05)
        plain = RecommenderProblem.build(data, objective=objective, dim=4, options=options)
        hooked = replace(plain, history=replace(plain.history, hooks=(shrink,)))
        trained = hooked.fit()
        assert trained.params["table"].norm() < 0.5 * plain.fit().params["table"].norm()
        assert trained.history.hooks == (shrink,)
        assert "terms beside the objective" in (trained.caveat or "")


def test_training_starts_from_parameters_by_name_whatever_their_order(data: Interactions) -> None:
    problem = RecommenderProblem.build(data, model="ngcf", dim=4, options=TrainingOptions(max_iterations=40)).fit()
    one = TrainingOptions(max_iterations=1)
    turned = dict(reversed(problem.params.items()))
    assert problem.fit(turned, options=one).residual() == problem.fit(problem.params, options=one).residual()
    with pytest.raises(ValueError, match="`table` must be 2-dimensional of .* rows among the parameters"):
        problem.fit({"w1.0": problem.params["w1.0"]})


def test_what_a_training_cut_short_left_is_said_until_something_is_forgotten(data: Interactions) -> None:
    def trained(most: int) -> RecommenderProblem:
        options = TrainingOptions(max_iterations=most)
        return RecommenderProblem.build(data, objective=WholeData(l2=0.3, a=0.2), dim=20, options=options).fit()

    request = ForgetSet(interactions=[(data.users.ids[1], data.items.ids[int(data.indices[data.indptr[1]])])])
    whole, cut = trained(500), trained(2)
    assert whole.caveat is None and cut.caveat is not None and "`max_iterations`" in cut.caveat
    left = method("reconverge", accuracy=0.0)
    after_whole, after_cut = (left.forget(one, request).problem for one in (whole, cut))
    assert isinstance(after_cut, RecommenderProblem) and after_cut.caveat is None
    dropped = method("graph_drop").forget(whole, ForgetSet(users=("u03",))).problem
    assert isinstance(dropped, RecommenderProblem) and dropped.caveat is None
    assert dropped.residual() > 0.01 * 2.0 * 0.3 * float(dropped.params["table"].norm())

    def moved(before: RecommenderProblem, after: object) -> float:
        assert isinstance(after, RecommenderProblem)
        (old_users, old_items), (users, items) = before.readout(), after.readout()
        return float((users @ items.T - old_users @ old_items.T).norm())

    # As it says: what was left to gain counts as an effect of the deletion.
    assert moved(cut, after_cut) > 1.5 * moved(whole, after_whole)


def test_every_bad_option_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"`keep` must be .* \(got 'checkpoints'\)"):
        TrainingOptions(keep="checkpoints")
    with pytest.raises(ValueError) as raised:
        TrainingOptions(epochs=0, batches=-1, lr=-1.0, keep=frozenset({"everything"}))
    assert all(word in str(raised.value) for word in ("epochs", "batches", "lr", "everything"))


def test_convergence_is_the_first_point_whose_residual_is_small_beside_the_penaltys_gradient(
    data: Interactions,
) -> None:
    l2, options = 0.5, TrainingOptions(seed=1, tolerance=1e-3)
    problem = RecommenderProblem.build(data, objective=WholeData(l2=l2), options=options, dtype=torch.float64, dim=6)
    shares: list[float] = []

    def watch(iteration: int, seconds: float, params: Callable[[], Params]) -> None:
        at = problem.with_params(params())
        shares.append(at.residual() / (2.0 * l2 * float(at.params["table"].norm())))

    problem.fit(monitor=watch)
    assert shares[-1] <= options.tolerance < min(shares[:-1])
