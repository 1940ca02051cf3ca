"""What the recommender adds to the contract: verification that bites, sealed data put back exactly, serving."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.commands import workspace
from recsys.data import Interactions, synthetic
from recsys.objectives import WholeData
from recsys.plugin import RecommenderTarget, Serving, sealed, target
from recsys.plugin.stored import Stored
from recsys.plugin.verification import examine, panel_auc
from recsys.problem import RecommenderProblem
from tests.recsys.plugin.workspaces import KEY, KIND, data, people, stored
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import method
from unlearn.staging import Sealed
from unlearn.target import Batch, Pseudonyms, Subject, Verdict
from unlearn.workspace_target import InvalidOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(stored("whole_data"), tmp_path / "model")
    return tmp_path / "model"


def opened(folder: Path, **options: str) -> RecommenderTarget:
    return target({"workspace": str(folder), **options}, Pseudonyms(KEY))


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


VERDICTS = {"reconverge": set[str](), "graph_drop": {"forgotten_rows", "residual"}, "row_drop": {"residual"}}


@pytest.mark.parametrize(("name", "expected"), VERDICTS.items())
def test_what_is_no_unlearning_does_not_pass(folder: Path, name: str, expected: set[str]) -> None:
    batch, recommender = Batch("b1", people(3, 17, 20)), opened(folder, method=name)
    recommender.remove(batch)
    verdict = recommender.verify(batch, recommender.unlearn(batch, retrain=False))
    assert failed(verdict) == expected and verdict.passed == (not expected)
    assert ("score_bound" in {check.name for check in verdict.checks}) == verdict.passed and verdict.not_covered


def test_a_version_that_still_knows_them_or_harms_the_others_does_not_pass() -> None:
    before = workspace.load(stored("whole_data"))
    assert isinstance(before, RecommenderProblem)
    forget = ForgetSet(users=tuple(str(one.value) for one in people(3, 17)))
    remaining = before.without(forget)
    good = method("reconverge").forget(before, forget).problem
    assert isinstance(good, RecommenderProblem)
    assert examine(remaining, good, good.data.users, share=0.05).passed
    assert failed(examine(remaining, good, before.data.users, share=0.05)) == {"forgotten_ids"}
    users, items = good.params["table"].split([good.data.n_users, good.data.n_items])
    upside_down = good.with_params({"table": torch.cat([users, -items])})  # who was recommended is now avoided
    assert failed(examine(remaining, upside_down, good.data.users, share=0.05)) >= {"panel_auc", "residual"}
    broken = good.with_params({"table": good.params["table"] * torch.nan})
    assert failed(examine(remaining, broken, good.data.users, share=0.05)) >= {"not_finite", "panel_auc", "residual"}


def test_a_retrain_without_half_of_everybody_passes(folder: Path) -> None:
    batch, recommender = Batch("b1", people(*range(0, 40, 2))), opened(folder)
    assert recommender.remove(batch).share > 0.3
    assert recommender.verify(batch, recommender.unlearn(batch, retrain=True)).passed


def test_panel_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    problem = workspace.load(stored("whole_data"))
    scores, seen = problem.scores(np.arange(problem.data.n_users)).double().numpy(), problem.data.csr().toarray() > 0
    areas = [
        ((mine[:, None] > others).mean() + 0.5 * (mine[:, None] == others).mean())
        for row, mask in zip(scores, seen, strict=True)
        for mine, others in [(row[mask], row[~mask])]
        if len(mine) and len(others)
    ]
    assert panel_auc(problem) == pytest.approx(np.mean(areas), abs=1e-12)


def test_what_is_sealed_is_put_back_exactly() -> None:
    whole = data()
    users = [str(one.value) for one in people(3, 17, 20)]
    rows = whole.users.rows(users[:1] + users[2:])
    pairs = [
        (user, whole.items.ids[whole.indices[whole.indptr[row]]]) for user, row in zip(users[::2], rows, strict=True)
    ]
    other = (str(whole.users.ids[5]), str(whole.items.ids[whole.indices[whole.indptr[5]]]))
    forgets = [
        ForgetSet(
            users=tuple(users[:2]), interactions=(pairs[1], other)
        ),  # of somebody who leaves later, and who stays
        ForgetSet(users=(users[2],)),
    ]
    left, contents = Stored(whole, whole.frame()[:0]), list[Sealed]()
    for forget in forgets:
        contents.append(sealed.packed(left, forget, since="abc"))
        left = left.without(forget)
    assert left.data.digest() != whole.digest()
    # Ties between the two batches left with the first one.
    back = sealed.put_back(left.data, contents)
    assert back.digest() == whole.digest()
    assert sealed.forget_set(back, contents) == forgets[0] | forgets[1]
    assert [content.counts["users"] for content in contents] == [2, 1]
    assert sum(map(sealed.interactions, contents)) == len(whole) - len(left.data)


def test_a_published_version_is_what_unlearning_the_whole_gives(folder: Path) -> None:
    """As near to an exact retrain as its method promises, and nearer than doing nothing."""
    batch, recommender = Batch("b1", people(3, 17)), opened(folder, method="reconverge:accuracy=0.001")
    before = workspace.load(folder)
    assert isinstance(before, RecommenderProblem)
    recommender.remove(batch)
    recommender.publish(batch, recommender.unlearn(batch, retrain=False))
    after = workspace.load(folder)
    assert isinstance(after, RecommenderProblem)
    forget = ForgetSet(users=tuple(str(one.value) for one in people(3, 17)))
    exact = before.without(forget).with_options(before.options.polished()).fit()
    rows = np.flatnonzero(after.data.users.alive)
    gap = (after.scores(rows) - exact.scores(rows)).norm() / (before.scores(rows) - exact.scores(rows)).norm()
    assert gap < 0.2
    assert after.history.removed == len(before.data) - len(after.data)


def test_debt_grows_until_a_retrain(folder: Path) -> None:
    recommender, numbers = opened(folder), (3, 17, 20)
    drifts: list[float] = []
    for k, number in enumerate(numbers):
        batch = Batch(f"b{k}", people(number))
        removal = recommender.remove(batch)
        drifts.append(removal.drift)
        assert 0 < removal.share <= removal.drift
        recommender.publish(batch, recommender.unlearn(batch, retrain=k == 1))
        recommender.purge(batch)
    assert drifts[1] > drifts[0] and drifts[2] < drifts[1]


# ---- serving ---------------------------------------------------------------------------------------------------------


def test_serving_goes_on_with_the_next_version_and_never_answers_the_erased(folder: Path) -> None:
    gone, other = people(3, 20)
    recommender = opened(folder)
    serving = Serving(recommender)
    stop, answers, wrong = threading.Event(), [0], list[BaseException]()

    def traffic() -> None:
        while not stop.is_set():
            try:
                assert serving.recommend(gone.value) is None
                assert serving.recommend(other.value) is not None
                answers[0] += 1
            except BaseException as error:
                wrong.append(error)
                return

    first = serving.recommend(other.value)
    recommender.suppress([gone])
    threads = [threading.Thread(target=traffic) for _ in range(2)]
    for thread in threads:
        thread.start()
    batch = Batch("b1", (gone,))
    recommender.remove(batch)
    during = serving.recommend(other.value)
    recommender.publish(batch, recommender.unlearn(batch, retrain=False))
    recommender.purge(batch)
    after = serving.recommend(other.value)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and answers[0] > 0
    assert first is not None and during is not None and after is not None
    np.testing.assert_array_equal(first.scores, during.scores)  # what is not verified does not serve
    assert not np.array_equal(first.scores, after.scores)
    with pytest.raises(UnknownIds):
        serving.recommend("nobody")


def test_suppression_goes_by_what_was_written(tmp_path: Path) -> None:
    plain = synthetic(20, 15, 120, seed=1).frame()
    plain["user"] = plain["user"].str[1:].astype(int)
    numbered = Interactions.from_frame(plain)
    problem = RecommenderProblem.build(numbered, objective=WholeData(a=0.1, l2=1.0), dim=4, layers=1)
    workspace.save(replace(problem), tmp_path / "model")
    recommender = opened(tmp_path / "model")
    for value, expected in (("7", 1), ("007", 0), ("seven", 0), ("--5", 0), ("\u00b2", 0)):
        assert recommender.resolve(Batch("b", (Subject(KIND, value),)))["users"] == expected
    recommender.suppress([Subject(KIND, "7")])
    assert recommender.blocks(7) and not recommender.blocks(8)


def test_options_are_checked_all_at_once(folder: Path) -> None:
    with pytest.raises(InvalidOptions) as refused:
        target({"workspce": "x", "identity_type": 7, "device": "abacus"}, Pseudonyms(KEY))
    assert "the options of a recommender cannot be read as settings of a target" in str(refused.value)
    assert all(name in str(refused.value) for name in ("`workspce`", "`identity_type`", "`workspace`", "`device`"))
    with pytest.raises(FileNotFoundError):
        opened(folder / "nowhere")
