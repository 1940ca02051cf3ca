"""The whole path: nothing forgotten is shown or retrieved, what remains decides, and no parameter changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.closed_form import Ease
from recsys.data import Interactions, Vocabulary
from recsys.errors import UnknownIds
from recsys.fitted import FittedRecommender
from recsys.problem import RecommenderProblem
from recsys.ranking import Rows
from recsys.recommend import Ranker, ScoreRanker
from recsys.retrieval import ByAttention, ByPreference, ProfileSimilarity, RetrievalRanker, Retrieved
from recsys.train import TrainingOptions
from tests.recsys.conftest import tiny_interactions
from tests.recsys.item_cosine import cosine
from unlearn.forget import ForgetSet

KEY = bytes(range(32))
DATA = tiny_interactions(14, 18, density=0.3)
EVERYBODY = [f"u{user:02}" for user in range(14)]


def trained(kind: str) -> RecommenderProblem:
    return RecommenderProblem.build(DATA, model=kind, options=TrainingOptions(max_iterations=20), dim=8).fit()


@pytest.mark.parametrize("kind", ["mf", "lightgcn", "ease"])
def test_the_forgotten_is_never_shown_or_retrieved_and_the_parameters_stay(kind: str) -> None:
    model = Ease(data=DATA, l2=3.0).fit() if kind == "ease" else trained(kind)
    before = {name: value.clone() for name, value in model.params.items()}
    history = DATA.items.take(DATA.indices[DATA.indptr[3] : DATA.indptr[4]])
    pair, item = history[0], model.ranker().recommend("u05", k=1, exclude=DATA).ids[0]
    forget = ForgetSet(users=("u01",), items=(item,), interactions=(("u03", pair),))
    given: list[Retrieved] = []

    def generator(retrieved: Retrieved) -> Rows:
        given.append(retrieved)
        return ProfileSimilarity()(retrieved)

    served = RetrievalRanker.after(forget, model, key=KEY, strategy=ByAttention(), generator=generator, n_candidates=18)
    others = [user for user in EVERYBODY if user != "u01"]
    found = served.recommend(others, k=18).ids
    plain = model.ranker().recommend(others, k=18, exclude=DATA.without(forget)).ids
    place = others.index("u03")
    # The paired baseline, which lets the forgotten through.
    assert item in plain and pair in plain[place]
    assert item not in found and pair not in found[place]
    with pytest.raises(UnknownIds, match="u01"):
        served.recommend("u01")

    left = DATA.without(forget).frame()
    assert len(given) == len(others)
    for user, retrieved in zip(others, given, strict=True):
        assert set(DATA.items.take(retrieved.profile)) == set(left.loc[left["user"] == user, "item"])
    assert "u01" not in set(given[0].evidence.data.frame()["user"])
    # Suppression, not unlearning: every parameter is what it was, learned from the forgotten, too.
    assert all(torch.equal(model.params[name], value) for name, value in before.items())


@pytest.mark.parametrize("kind", ["mf", "lightgcn"])
def test_the_models_best_are_ranked_by_what_remains(kind: str) -> None:
    model = trained(kind)
    forget = ForgetSet(users=("u02",), interactions=(("u04", DATA.items.take(DATA.indices[DATA.indptr[4:5]])[0]),))
    left = DATA.without(forget)
    served = RetrievalRanker.after(
        forget, model, key=KEY, strategy=ByAttention(), generator=ProfileSimilarity(), n_candidates=5
    )
    scores = model.without(forget).scores(np.arange(14)).double().numpy()  # without its messages, too
    for row in (0, 4, 9):
        history = left.indices[left.indptr[row] : left.indptr[row + 1]].tolist()
        held_back = set(DATA.indices[DATA.indptr[row] : DATA.indptr[row + 1]].tolist())
        best = sorted(set(range(18)) - held_back, key=lambda item: -scores[row, item])[:5]
        total = {item: round(sum(cosine(left, item, h) for h in history), 12) for item in best}
        expected = sorted(best, key=lambda item: -total[item])
        found = served.recommend(f"u{row:02}", k=6)
        assert found.ids.tolist() == [*DATA.items.take(expected), None]
        assert found.scores.tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, -np.inf]


def test_what_was_forgotten_makes_no_difference_where_the_candidates_know_nothing_of_it() -> None:
    """Two pasts, one remaining set: with candidates that are not learned, the lists are equal; unsuppressed, not."""
    ids = (Vocabulary(EVERYBODY), Vocabulary(range(100, 118)))
    table = torch.ones(14, 1), torch.linspace(1.0, 2.0, 18)[:, None]
    kept = DATA.frame().query("user != 'u06'")

    def lists(items: list[int], forget: ForgetSet) -> list[list[object]]:
        past = pd.concat([kept, pd.DataFrame({"user": "u06", "item": items})])
        data = Interactions.from_frame(past, users=ids[0], items=ids[1]).without(forget)
        served = RetrievalRanker(
            candidates=Ranker(*table, data.users, data.items),
            data=data,
            strategy=ByPreference(groups=np.arange(18) % 3),
            generator=ProfileSimilarity(),
            n_candidates=18,
        )
        return served.recommend([user for user in EVERYBODY if user != "u06"], k=18).ids.tolist()

    one, two, gone = [100, 101, 102, 103, 104], [110, 111, 112, 113, 114], ForgetSet(users=("u06",))
    assert lists(one, gone) == lists(two, gone)
    assert lists(one, ForgetSet()) != lists(two, ForgetSet())


def test_folding_in_what_remains_spares_the_users_own_parameters() -> None:
    model = trained("mf")
    whole = ForgetSet(interactions=tuple(("u03", item) for item in DATA.frame().query("user == 'u03'")["item"]))
    left = model.without(whole)
    shaken = left.with_params({"table": left.params["table"].index_fill(0, torch.tensor([3]), 7.0)})

    def shown(remaining: FittedRecommender, own_row: bool) -> list[object]:
        folded = ScoreRanker(
            lambda rows: remaining.fold_in(remaining.data.csr()[rows]), remaining.data.users, remaining.data.items
        )
        served = RetrievalRanker(
            candidates=remaining.ranker() if own_row else folded,
            data=remaining.data,
            strategy=ByAttention(),
            generator=ProfileSimilarity(),
            n_candidates=4,
        )
        return served.recommend("u03", k=4).ids.tolist()

    assert shown(left, own_row=False) == shown(shaken, own_row=False)
    assert shown(left, own_row=True) != shown(shaken, own_row=True)


def test_a_callers_own_limits_hold_on_top() -> None:
    served = RetrievalRanker.after(
        ForgetSet(items=(105,)), trained("mf"), key=KEY, strategy=ByAttention(), generator=ProfileSimilarity()
    )
    whole = served.recommend("u00", k=18).ids
    fewer = served.recommend("u00", k=18, suppress=[whole[0]]).ids
    assert fewer.tolist() == [*whole[1:], None]
    assert served.rank(["u00"], k=2)["item_id"].tolist() == whole[:2].tolist()


def test_forgotten_items_take_no_candidates_place() -> None:
    model = trained("mf")
    first, second = model.ranker().recommend("u05", k=2, exclude=DATA).ids
    left = model.without(ForgetSet(items=(first,)))
    served = RetrievalRanker(
        candidates=left.ranker(),
        data=left.data,
        strategy=ByAttention(),
        generator=ProfileSimilarity(),
        n_candidates=1,
    )
    assert served.recommend("u05", k=1).ids.tolist() == [second]


@pytest.mark.parametrize("order", [[0, 0], [99], [-1]])
def test_a_generator_cannot_bring_back_what_is_no_candidate(order: list[int]) -> None:
    served = RetrievalRanker.after(
        ForgetSet(), trained("mf"), key=KEY, strategy=ByAttention(), generator=lambda _: np.array(order)
    )
    with pytest.raises(ValueError, match="places of .* candidates, each at most once"):
        served.recommend("u00")


def test_bad_arguments_are_refused_at_once() -> None:
    good = RetrievalRanker.after(
        ForgetSet(), trained("mf"), key=KEY, strategy=ByAttention(), generator=ProfileSimilarity(), profile_size=1
    )
    with pytest.raises(ValueError, match=r"`n_candidates` must be at least 1.*\n`profile_size` must be at least 1"):
        replace(good, n_candidates=0, profile_size=0)
    with pytest.raises(ValueError, match=r"`n_candidates` must be an integer.*got 2.5.\n`profile_size` .*got True"):
        replace(good, n_candidates=2.5, profile_size=True)
    with pytest.raises(ValueError, match=r"`data.users` must be the ids.*\n`data.items` must be the ids"):
        replace(good, data=tiny_interactions())
