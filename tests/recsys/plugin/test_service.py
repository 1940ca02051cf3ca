"""What the recommender adds to the contract: verification that bites, sealed data put back exactly, serving."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import workspace
from recsys.data import Interactions, synthetic
from recsys.objectives import WholeData
from recsys.plugin import RecommenderTarget, Serving, sealed, target
from recsys.plugin.making import Begun
from recsys.plugin.options import Options
from recsys.plugin.stored import Stored
from recsys.plugin.verification import examine, panel_auc
from recsys.problem import RecommenderProblem
from tests.oracles.traces import holders
from tests.recsys.plugin.workspaces import KEY, KIND, data, people, stored
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import method
from unlearn.staging import Sealed
from unlearn.target import Batch, Pseudonyms, Subject, Verdict, interaction
from unlearn.workspace_target import InvalidOptions, Made


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


def test_of_a_model_that_is_too_narrow_it_says_that_no_check_sees_that() -> None:
    objective = WholeData(l2=0.1)
    narrow, wide = (RecommenderProblem.build(data(), objective=objective, dim=dim).fit() for dim in (2, 30))
    said, nothing = (set(examine(one, one, one.data.users, share=0.0).not_covered) for one in (narrow, wide))
    assert narrow.caveat is not None and said - nothing == {narrow.caveat}


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


def test_a_seal_of_a_batch_that_never_ends_goes_with_whoever_is_asked_for_again(folder: Path) -> None:
    """As after a restore, whose backup holds seals of batches that are closed: nothing else would destroy them."""
    recommender, (again, other, later) = opened(folder), people(3, 17, 20)
    for name, subjects in (("stuck", (again, other)), ("another", (later,))):
        recommender.remove(Batch(name, subjects))
    batch = Batch("b1", (again,))
    recommender.remove(batch)
    assert len(recommender.outstanding()) == 2 and not any(recommender.resolve(batch).values())
    recommender.publish(batch, recommender.unlearn(batch, retrain=False))
    assert not any(recommender.purge(batch).values())
    assert {path.name for path in (folder.parent / "model.service" / "sealed").iterdir()} == {
        "another.key", "another.sealed",
    }  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
def test_so_does_one_of_a_single_interaction(folder: Path, whole: bool) -> None:
    recommender, (person,) = opened(folder), people(3)
    stored = recommender.data().data
    items = [str(stored.items.ids[one]) for one in stored.indices[stored.indptr[3] : stored.indptr[4]]]
    stuck, another = (interaction(person, item) for item in items[:2])
    for name, subject in (("stuck", stuck), ("another", another)):
        recommender.remove(Batch(name, (subject,)))
    batch = Batch("b1", (person if whole else stuck,))
    recommender.remove(batch)
    recommender.publish(batch, recommender.unlearn(batch, retrain=False))
    assert not any(recommender.purge(batch).values())
    left = {path.stem for path in (folder.parent / "model.service" / "sealed").iterdir()}
    assert left == (set() if whole else {"another"})


@pytest.mark.parametrize("part", [False, True])
def test_a_batch_that_was_killed_between_its_seal_and_the_data_keeps_no_other_waiting(
    folder: Path, part: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other is served without both, and the killed one finds that done when its turn comes."""
    recommender, (one, later) = opened(folder), people(3, 17)
    known = recommender.data().data
    item = str(known.items.ids[known.indices[known.indptr[3]]])
    killed, other = Batch("killed", (interaction(one, item) if part else one,)), Batch("other", (later,))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(RecommenderTarget, "_store", die)
        with pytest.raises(KeyboardInterrupt):
            recommender.remove(killed)
    assert any(recommender.resolve(killed).values())
    recommender.remove(other)
    version = recommender.unlearn(other, retrain=False)
    assert version.facts["interactions_removed"] == (1 if part else int(known.degrees()[0][3])) + known.degrees()[0][17]
    assert recommender.verify(other, version).passed
    recommender.publish(other, version)
    assert not any(recommender.purge(other).values()) and not any(recommender.resolve(killed).values())
    assert recommender.remove(killed).counts["interactions"] == (1 if part else known.degrees()[0][3])
    version = recommender.unlearn(killed, retrain=False)
    assert recommender.verify(killed, version).passed
    recommender.publish(killed, version)
    assert not any(recommender.purge(killed).values())


def test_what_came_back_under_another_version_is_unlearned_from_that(folder: Path) -> None:
    """As where a worker dies before the removal is recorded, and somebody trains over the workspace meanwhile."""
    recommender, batch = opened(folder), Batch("b1", people(3))
    recommender.remove(batch)
    shutil.rmtree(folder)
    shutil.copytree(stored("ease"), folder)
    recommender.remove(batch)
    version = recommender.unlearn(batch, retrain=False)
    recommender.publish(batch, version)
    assert not any(recommender.purge(batch).values())
    after = workspace.load(folder)
    users = np.flatnonzero(after.data.users.alive)
    torch.testing.assert_close(after.scores(users), after.fit().scores(users))


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


def test_a_request_about_nobody_is_no_reason_to_retrain(folder: Path) -> None:
    """Neither is one that comes again: what earlier requests left unsettled is not for it to settle."""
    recommender = opened(folder)
    for name, subjects in (("b1", people(3)), ("b2", people(3)), ("b3", (Subject(KIND, "a stranger"),))):
        batch = Batch(name, subjects)
        recommender.remove(batch)
        version = recommender.unlearn(batch, retrain=False)
        verdict = recommender.verify(batch, version)
        assert failed(verdict) == set() and verdict.checks[3].name == "residual"
        recommender.publish(batch, version)
        recommender.purge(batch)


@pytest.mark.parametrize("retrain", [False, True])
def test_what_is_overtaken_while_it_is_made_is_made_again_and_never_written(folder: Path, retrain: bool) -> None:
    first, second = Batch("b1", people(3)), Batch("b2", people(17))
    started = list[Begun]()

    class Overtaken(RecommenderTarget):
        def _make(self, begun: Begun, *, retrain: bool) -> Made:
            started.append(begun)
            if len(started) == 1:  # another worker serves another batch meanwhile
                other = opened(folder)
                other.remove(second)
                other.publish(second, other.unlearn(second, retrain=False))
                other.purge(second)
            return super()._make(begun, retrain=retrain)

    slow = Overtaken(Options.read({"workspace": str(folder)}), Pseudonyms(KEY))
    slow.remove(first)
    version = slow.unlearn(first, retrain=retrain)
    assert len(started) == 2 and holders(folder.parent, [one.value for one in (*people(3), *people(17))]) == set()
    assert slow.verify(first, version).passed
    slow.publish(first, version)
    assert workspace.load(folder).data.users.alive.sum() == data().n_users - 2


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
    for name in ("user", "item"):
        plain[name] = plain[name].str[1:].astype(int)
    numbered = Interactions.from_frame(plain)
    problem = RecommenderProblem.build(numbered, objective=WholeData(a=0.1, l2=1.0), dim=4, layers=1)
    workspace.save(replace(problem), tmp_path / "model")
    recommender = opened(tmp_path / "model")
    for value, expected in (("7", 1), ("007", 0), ("seven", 0), ("--5", 0), ("\u00b2", 0)):
        assert recommender.resolve(Batch("b", (Subject(KIND, value),)))["users"] == expected
    recommender.suppress([Subject(KIND, "7")])
    assert recommender.blocks(7) and not recommender.blocks(8)
    user, item = map(str, plain.loc[0, ["user", "item"]])
    for value, expected in ((item, 1), (f"0{item}", 0)):
        one = interaction(Subject(KIND, user), value)
        assert recommender.resolve(Batch("b", (one,)))["interactions"] == expected


def test_options_are_checked_all_at_once(folder: Path) -> None:
    with pytest.raises(InvalidOptions) as refused:
        target({"workspce": "x", "identity_type": 7, "device": "abacus"}, Pseudonyms(KEY))
    assert "the options of a recommender cannot be read as settings of a target" in str(refused.value)
    assert all(name in str(refused.value) for name in ("`workspce`", "`identity_type`", "`workspace`", "`device`"))
    with pytest.raises(FileNotFoundError):
        opened(folder / "nowhere")
