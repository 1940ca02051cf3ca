"""What comes in while the service runs: nothing of the erased, new users are answered at once and gone when erased."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys import store, workspace
from recsys.errors import InvalidInteractions
from recsys.plugin import RecommenderTarget, Serving, target
from tests.oracles.traces import holders
from tests.recsys.plugin.workspaces import KEY, KIND, data, people, stored
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.target import Batch, Pseudonyms, StaleVersion, Subject, Version, interaction
from unlearn.vocabulary import Vocabulary

NEW = Subject(KIND, "f" * 16 + "0123456789abcdef")
LATER = Subject(KIND, "e" * 16 + "0123456789abcdef")


@pytest.fixture(params=["whole_data", "bpr", "ease"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    shutil.copytree(stored(request.param), tmp_path / "model")
    return tmp_path / "model"


def opened(folder: Path) -> RecommenderTarget:
    return target({"workspace": str(folder)}, Pseudonyms(KEY))


def known(folder: Path) -> Vocabulary:
    """The users that the published version knows."""
    return store.user_ids(workspace.model_folder(folder))


def frame(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user", "item"]).assign(time=np.arange(len(rows), dtype=float))


def unseen(user: str) -> list[str]:
    """Items that the user has nothing to do with."""
    whole = data()
    (row,) = whole.users.rows([user])
    return whole.items.ids[whole.csr().toarray()[row] == 0].tolist()


def serve(recommender: RecommenderTarget, batch: Batch, *, retrain: bool = False) -> Version:
    recommender.suppress(batch.subjects)
    recommender.remove(batch)
    version = recommender.unlearn(batch, retrain=retrain)
    assert recommender.verify(batch, version).passed
    recommender.publish(batch, version)
    assert not any(recommender.purge(batch).values())
    return version


def test_nothing_of_anybody_blocked_is_stored(folder: Path) -> None:
    recommender, before = opened(folder), data()
    blocked, user = people(3, 20)
    recommender.suppress([blocked])
    new = unseen(user.value)
    arriving = frame((blocked.value, new[0]), (user.value, new[0]), (user.value, new[0]), (user.value, "new item"))
    taken = recommender.take_in(arriving)
    assert (taken.stored, taken.refused, taken.new_users) == (2, 1, 0)
    now = recommender.data()
    assert len(now.data) == len(before) + 1 and now.data.time is not None and 2.0 in now.data.time
    assert now.arrived[["user", "item"]].to_numpy().tolist() == [[user.value, "new item"]]
    assert recommender.take_in(arriving).stored == 0
    assert recommender.take_in(arriving[:0]).stored == 0
    # What comes in while a version is staged is neither lost nor a reason to make it again.
    batch = Batch("b1", (blocked,))
    recommender.remove(batch)
    version = recommender.unlearn(batch, retrain=False)
    assert recommender.take_in(frame((user.value, new[1]))).stored == 1
    recommender.publish(batch, version)
    published = workspace.load(folder).data
    assert published.digest() == recommender.data().data.digest()
    assert len(published) == len(before.without(ForgetSet(users=(blocked.value,)))) + 2
    assert len(recommender.data().arrived) == 1


def test_what_cannot_be_used_is_refused_whole(folder: Path) -> None:
    recommender = opened(folder)
    before = recommender.data().data.digest()
    item = str(data().items.ids[0])
    for wrong, why in (
        (frame((NEW.value, item)).drop(columns="time"), "`time` must be a column, as the stored ones have it"),
        (frame((NEW.value, item), (NEW.value, None)), "`item` must not be missing"),  # pyright: ignore[reportArgumentType]
        (frame((7, item)), "ids of kind str"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(InvalidInteractions, match=why):
            recommender.take_in(wrong)
    now = recommender.data()
    assert now.data.digest() == before and not len(now.arrived)


def test_a_new_user_is_answered_at_once_learned_by_a_retrain_and_gone_when_erased(folder: Path) -> None:
    recommender = opened(folder)
    serving = Serving(recommender)
    with pytest.raises(UnknownIds):
        serving.recommend(NEW.value)
    liked = data().items.ids[:4].tolist()
    taken = recommender.take_in(frame(*((NEW.value, item) for item in [*liked, "new item"]), (LATER.value, liked[0])))
    assert (taken.stored, taken.refused, taken.new_users) == (6, 0, 2)
    first = serving.recommend(NEW.value, k=5)
    assert first is not None and not set(liked) & set(first.ids) and np.isfinite(first.scores).all()

    # An erasure of somebody else by unlearning leaves them new; a retrain learns from them.
    serve(recommender, Batch("b1", people(3)))
    assert serving.recommend(NEW.value) is not None and NEW.value not in known(folder)
    serve(recommender, Batch("b2", people(17)), retrain=True)
    knows = known(folder)
    assert {NEW.value, LATER.value} <= set(knows.ids) and knows.alive.all()  # no tombstones are left
    assert "new item" in set(workspace.load(folder).data.items.ids) and not len(recommender.data().arrived)
    assert serving.recommend(NEW.value) is not None

    serve(recommender, Batch("b3", (NEW,)))
    assert serving.recommend(NEW.value) is None and recommender.take_in(frame((NEW.value, liked[0]))).refused == 1
    assert holders(folder.parent, [NEW.value]) == set() and holders(folder.parent, [LATER.value])


@pytest.mark.parametrize("folder", ["whole_data"], indirect=True)
def test_more_newcomers_take_no_more_lookups_to_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recommender, rows, asked, looked_up = opened(folder), Vocabulary.rows, list[int](), list[int]()

    def counted(vocabulary: Vocabulary, ids: Any, **how: Any) -> Any:
        asked.append(1)
        return rows(vocabulary, ids, **how)

    for few in (2, 40):
        recommender.take_in(frame(*((f"{number:032x}", f"item {number}") for number in range(few))))
        data = recommender.data()
        with monkeypatch.context() as patched:
            patched.setattr(Vocabulary, "rows", counted)
            asked.clear()
            whole = data.everything()
        assert whole.n_users == data.data.n_users + few
        looked_up.append(len(asked))
    assert looked_up[0] == looked_up[1]


def test_a_new_user_can_be_erased_before_any_model_learned_of_them(folder: Path) -> None:
    recommender, batch = opened(folder), Batch("b1", (NEW,))
    recommender.take_in(frame((NEW.value, str(data().items.ids[0])), (LATER.value, str(data().items.ids[0]))))
    assert recommender.resolve(batch) == {"users": 1, "interactions": 1}
    recommender.suppress(batch.subjects)
    assert recommender.remove(batch) == recommender.remove(batch)
    assert recommender.remove(batch).counts == {"users": 1, "interactions": 1}
    assert recommender.remove(batch).share == 0
    assert holders(folder.parent, [NEW.value]) == set()
    serve(recommender, batch)
    assert holders(folder.parent, [NEW.value]) == set() and holders(folder.parent, [LATER.value])


def test_a_retrain_that_learned_from_somebody_who_left_meanwhile_is_not_published(folder: Path) -> None:
    recommender = opened(folder)
    recommender.take_in(frame((NEW.value, str(data().items.ids[0]))))
    first, second = Batch("b1", people(3)), Batch("b2", (NEW,))
    recommender.remove(first)
    version = recommender.unlearn(first, retrain=True)  # on data that has NEW
    recommender.suppress(second.subjects)
    recommender.remove(second)
    for step in (recommender.verify, recommender.publish):
        with pytest.raises(StaleVersion):
            step(first, version)
    recommender.rollback(first, version)
    serve(recommender, first, retrain=True)
    serve(recommender, second)
    assert holders(folder.parent, [NEW.value, people(3)[0].value]) == set()


def test_one_interaction_is_erased_and_its_user_stays(folder: Path) -> None:
    recommender, whole = opened(folder), data()
    user, other = (one.value for one in people(20, 3))
    (row,) = whole.users.rows([user])
    items = whole.items.ids[whole.indices[whole.indptr[row] : whole.indptr[row + 1]]].tolist()
    gone = interaction(Subject(KIND, user), items[0])
    spelled = Subject(gone.type, f' ["{KIND}", "{user}",\n"{items[0]}"]')
    batch = Batch("b1", (spelled, interaction(Subject(KIND, "nobody"), items[0]), Subject(gone.type, "no JSON")))
    serving = Serving(recommender)
    assert recommender.resolve(batch) == {"users": 0, "interactions": 1}
    recommender.suppress(batch.subjects)
    assert (
        recommender.blocks(user, items[0]) and not recommender.blocks(user) and not recommender.blocks(user, items[1])
    )
    assert recommender.take_in(frame((user, items[0]), (other, items[0]))).refused == 1
    removal = recommender.remove(batch)
    assert removal.counts == {"users": 0, "interactions": 1} and removal.share > 0
    version = serve(recommender, batch)
    assert version.digest != version.replaces and not any(recommender.resolve(batch).values())
    assert user in known(folder)
    for _ in range(2):  # the model alone may well rank it first: an exact retrain might, too
        found = serving.recommend(user, k=whole.n_items)
        assert found is not None and items[0] not in found.ids and len(set(found.ids) - {None}) == 30 - len(items)
        serve(recommender, Batch("b2", people(17)), retrain=True)
    assert serving.recommend(other) is not None


@pytest.mark.parametrize("retrain", [True, False])
def test_when_everybody_is_erased_the_service_knows_nobody_and_goes_on(folder: Path, retrain: bool) -> None:
    recommender = opened(folder)
    recommender.take_in(frame((NEW.value, str(data().items.ids[0]))))
    serving, everybody = Serving(recommender), [*people(*range(data().n_users)), NEW]
    batch = Batch("b1", tuple(everybody))
    recommender.suppress(batch.subjects)
    assert recommender.remove(batch).share == 1
    serve(recommender, batch, retrain=retrain)
    assert holders(folder.parent, [one.value for one in everybody]) == set()
    assert all(serving.recommend(one.value) is None for one in everybody)
    with pytest.raises(UnknownIds):
        serving.recommend(LATER.value)
    # Whoever comes next is answered, by what there is, and learned from.
    recommender.take_in(frame(*((LATER.value, item) for item in data().items.ids[:3].tolist())))
    assert serving.recommend(LATER.value) is not None
    serve(recommender, Batch("b2", ()), retrain=True)
    assert serving.recommend(LATER.value) is not None and list(known(folder).ids) == [LATER.value]
