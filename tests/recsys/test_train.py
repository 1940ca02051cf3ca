"""Training converges, is coupled, keeps what it is asked to, and survives an interrupt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR, Multinomial, SampledSoftmax, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions, coupled_batches
from unlearn.forget import ForgetSet
from unlearn.problem import Params

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


@pytest.mark.parametrize("objective", [BPR(negatives=2), SampledSoftmax(negatives=8)])
def test_stochastic_training_lowers_its_loss_and_repeats(objective: BPR | SampledSoftmax, data: Interactions) -> None:
    options = TrainingOptions(epochs=30, batch_size=16, learning_rate=0.02)
    problem = RecommenderProblem.build(data, objective=objective, dim=8, options=options)
    trained, again = problem.fit(), problem.fit()
    assert torch.equal(trained.params["table"], again.params["table"])
    before, after = (float(p.record_losses(p.params).sum()) for p in (problem, trained))
    assert after < 0.8 * before
    assert not trained.history.checkpoints and not trained.history.optimizer


def test_checkpoints_and_moments_are_kept_on_request(data: Interactions) -> None:
    options = TrainingOptions(epochs=6, checkpoint_every=2, keep=frozenset({"checkpoints", "optimizer"}))
    problem = RecommenderProblem.build(data, objective=BPR(), dim=4, options=options).fit()
    assert len(problem.history.checkpoints) == 3
    assert torch.equal(problem.history.checkpoints[-1]["table"], problem.params["table"])
    assert problem.history.optimizer["table.exp_avg"].shape == problem.params["table"].shape


def test_without_one_user_everybody_elses_rows_and_batches_are_bit_identical(data: Interactions) -> None:
    options = TrainingOptions(epochs=2, batch_size=8)
    before = RecommenderProblem.build(data, objective=BPR(), dim=8, options=options)
    gone = 3
    after = before.without(ForgetSet(users=["u03"]))
    fresh = after.model.initial(after.graph, options.seed)["table"]
    others = [row for row in range(before.graph.n_nodes) if row != gone]
    assert torch.equal(before.params["table"][others], fresh[others])
    assert fresh[gone].abs().sum() == 0

    def pairs(problem: RecommenderProblem, epoch: int) -> list[set[tuple[int, int]]]:
        graph = problem.graph
        return [
            {(int(graph.rows[e]), int(graph.cols[e])) for e in batch}
            for batch in coupled_batches(problem, epoch, 5, seed=0)
        ]

    for epoch in (1, 2):
        expected = [{pair for pair in batch if pair[0] != gone} for batch in pairs(before, epoch)]
        assert expected == pairs(after, epoch)
    assert pairs(before, 1) != pairs(before, 2)


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


def test_hooks_take_part_in_both_trainers(data: Interactions) -> None:
    def shrink(problem: object, params: Params) -> torch.Tensor:
        return 50.0 * params["table"].square().sum()

    for objective in (WholeData(l2=0.1), BPR()):
        options = TrainingOptions(epochs=20, learning_rate=0.05)
        plain = RecommenderProblem.build(data, objective=objective, dim=4, options=options)
        hooked = replace(plain, history=replace(plain.history, hooks=(shrink,)))
        trained = hooked.fit()
        assert trained.params["table"].norm() < 0.5 * plain.fit().params["table"].norm()
        assert trained.history.hooks == (shrink,)


def test_every_bad_option_is_named_at_once() -> None:
    with pytest.raises(ValueError) as raised:
        TrainingOptions(epochs=0, learning_rate=-1.0, keep=frozenset({"everything"}))  # type: ignore[arg-type]
    assert all(word in str(raised.value) for word in ("epochs", "learning_rate", "everything"))
