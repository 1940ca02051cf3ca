"""The evidence of a pool against models trained one by one."""

from __future__ import annotations

import pytest
import torch

from recsys.corruption import split_known
from recsys.data import ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from unlearn.audit.attacks import Corrective, MissingReference, Relearn
from unlearn.audit.inquiry import Inquiry
from unlearn.methods.base import method
from unlearn.problem import Problem


@pytest.fixture(scope="module")
def inquiry(tmp_path_factory: pytest.TempPathFactory) -> Inquiry:
    split = ratio(synthetic(40, 30, 400, seed=3), seed=0)
    data, (false,) = drawn("corrupted:0.2", split, seed=0)
    known, unknown = split_known(false, 0.5, seed=0)
    problem = RecommenderProblem.build(data, objective=WholeData(a=0.1, l2=1.0), dtype=torch.float64, dim=6, layers=2)
    examples = RankingScorer(split.test).examples(problem, known, seed=0, most=30, unknown=unknown)
    return Inquiry(problem, known, examples, tmp_path_factory.mktemp("pool"), models=8, unknown=unknown)


def signal(inquiry: Inquiry, model: Problem, group: str) -> torch.Tensor:
    return inquiry.examples.signal(model)[inquiry.examples.groups[group]].double()


def test_every_stage_is_what_single_models_say(inquiry: Inquiry) -> None:
    evidence = inquiry.of(method("graph_drop"))
    model = inquiry.pool.model(5)
    part = model.resolve(inquiry.forget, unknown="skip")
    after = method("graph_drop").forget(model, part).problem
    assert isinstance(after, Problem)
    retrained = after.fit()
    assert inquiry.unknown is not None
    clean = after.without(inquiry.unknown).fit()
    for group in ("forget", "retain", "held_out", "unknown"):
        for stage, one, row in (
            ("before", model, 5),
            ("unlearned", after, 5),
            ("retrained", retrained, 1),
            ("clean", clean, 1),
        ):
            told = evidence[f"{stage}.{group}"].values[row]
            torch.testing.assert_close(told, signal(inquiry, one, group), rtol=1e-3, atol=1e-4)
    whole = inquiry.problem.with_params(after.params)
    torch.testing.assert_close(evidence["reinserted.forget"].values[5], signal(inquiry, whole, "forget"))
    assert evidence["retrained.forget"].numbers == (4, 5, 6, 7)


def test_who_was_trained_on_what(inquiry: Inquiry) -> None:
    member = inquiry.shared["before.forget"].member
    owners = inquiry.examples.units[inquiry.examples.groups["forget"]]
    for row in range(8):
        gone = inquiry.pool.model(row)
        assert isinstance(gone, RecommenderProblem)
        data = inquiry.problem.data
        users, items = data.user_rows()[owners], data.item_rows()[owners]
        assert member[row].tolist() == gone.data.contains(users, items).tolist()
    assert (member[0::2] ^ member[1::2]).all()
    assert not inquiry.shared["before.held_out"].member.any()


def test_learning_again_starts_from_the_loss_and_goes_down(inquiry: Inquiry) -> None:
    evidence = inquiry.of(method("graph_drop"))
    curves = -evidence["unlearned.relearning"].values
    whole = inquiry.problem.with_params(inquiry.pool.model(0).params)
    loss = whole.record_losses(whole.params, whole.records(inquiry.forget)).mean()
    assert float(curves[0, 0]) == pytest.approx(float(loss))
    assert (curves[:, -1] < curves[:, 0]).all()
    (found,) = Relearn(draws=39).read(evidence).values()
    assert found.value < 1.0  # the parameters are those from before


def test_it_learns_again_by_steps_of_adam(inquiry: Inquiry) -> None:
    model, whole = inquiry.pool.model(0), inquiry.problem
    told = -inquiry.questions(model)[-21:]
    table = model.params["table"].clone().requires_grad_()
    optimizer, records = torch.optim.Adam([table], lr=0.01), whole.records(inquiry.forget)
    for loss in told:
        expected = whole.record_losses({"table": table}, records).mean()
        assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-9)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()


def test_retrains_are_trained_as_the_models_that_they_stand_for(inquiry: Inquiry) -> None:
    later, all_of_them = inquiry.retrains(inquiry.forget).plan, inquiry.pool.plan
    assert (later.seeds, later.blocks) == (all_of_them.seeds[4:], all_of_them.blocks[4:])


def test_the_unknown_part_keeps_its_effect_when_only_the_known_is_deleted(inquiry: Inquiry) -> None:
    effects = {
        name: Corrective(draws=39).read(inquiry.of(method(name)))["corrective_effect_left"].value
        for name in ("no_op", "retrain")
    }
    assert effects["no_op"] == pytest.approx(1.0)
    assert effects["retrain"] > 0.5


def test_models_are_not_trained_twice(inquiry: Inquiry, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inquiry.of(method("graph_drop"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(RecommenderProblem, "fit", refuse)
    again = Inquiry(
        inquiry.problem, inquiry.forget, inquiry.examples, inquiry.folder, models=8, unknown=inquiry.unknown
    )
    second = again.of(method("graph_drop"))
    for name, part in first.parts.items():
        torch.testing.assert_close(part.values, second[name].values, rtol=0, atol=0)


def test_complements_stay_together_and_nothing_stands_in_for_a_reference(inquiry: Inquiry) -> None:
    with pytest.raises(ValueError, match="multiple of four"):
        Inquiry(inquiry.problem, inquiry.forget, inquiry.examples, inquiry.folder, models=6)
    simple = Inquiry(inquiry.problem, inquiry.forget, inquiry.examples, inquiry.folder, models=8)
    with pytest.raises(MissingReference, match=r"clean\.unknown"):
        Corrective().findings(simple.of(method("no_op")))
