"""What every closed form does, built by name: the contracts it fulfils, and the method that carries it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.closed_form import ClosedForm, closed_form, registered
from recsys.data import Interactions
from recsys.store import load, save
from tests.recsys.closed_form.requests import request_for
from unlearn.forget import ForgetSet
from unlearn.methods import method
from unlearn.problem import SelfUnlearning

ARGUMENTS = {"ease": {}, "graph_filter": {"rank": 3}, "als": {"dim": 4, "l2": 2.0}}


@pytest.fixture(params=sorted(ARGUMENTS))
def model(request: pytest.FixtureRequest, data: Interactions) -> ClosedForm:
    return closed_form(request.param, data, **ARGUMENTS[request.param]).fit()


def test_every_closed_form_is_under_test() -> None:
    assert set(registered()) == set(ARGUMENTS)


def test_an_unknown_name_lists_the_known_ones(data: Interactions) -> None:
    with pytest.raises(ValueError, match="`svd` is no closed form; there are als, ease, graph_filter"):
        closed_form("svd", data)


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_what_was_never_fitted_says_so(name: str, data: Interactions, tmp_path: Path) -> None:
    model = closed_form(name, data, **ARGUMENTS[name])
    asked: list[Callable[[], object]] = [
        lambda: model.ranker().recommend("u03", k=2),
        lambda: model.fold_in(data.csr()),
        lambda: save(model, tmp_path / "model"),
    ]
    if name != "graph_filter":  # which decomposes small data anew
        asked.append(lambda: model.forget(ForgetSet(users=("u03",))))
    for ask in asked:
        with pytest.raises(ValueError, match="call `fit` first"):
            ask()
    assert not list(tmp_path.iterdir())


def test_arguments_build_the_same_model_again(model: ClosedForm) -> None:
    again = closed_form(model.name, model.data, **model.arguments()).fit()
    assert list(again.params) == list(model.params)
    assert all(torch.equal(again.params[name], value) for name, value in model.params.items())


def test_it_comes_back_from_where_it_is_stored_with_its_precision(model: ClosedForm, tmp_path: Path) -> None:
    save(model, tmp_path)
    back = load(tmp_path, model.data)
    assert isinstance(back, ClosedForm) and back.arguments() == model.arguments()
    assert torch.equal(back.fold_in(model.data.csr()), model.fold_in(model.data.csr()))


def test_the_native_method_forgets_and_nothing_given_changes(model: ClosedForm) -> None:
    assert isinstance(model, SelfUnlearning)
    forget = request_for(model.data, "mixed")
    kept = {name: value.clone() for name, value in model.params.items()}
    digest = model.data.digest()
    result = method("native").forget(model, forget)
    after = result.problem
    assert isinstance(after, ClosedForm)
    assert result.records_removed == model.n_records - after.n_records > 0
    assert after.data.digest() == model.data.without(forget).digest()
    assert not after.resolve(forget, unknown="skip")
    assert all(torch.equal(model.params[name], value) for name, value in kept.items()) and model.data.digest() == digest
    assert all(
        (value.dtype, value.shape) == (kept[name].dtype, kept[name].shape) for name, value in after.params.items()
    )
    with pytest.raises(KeyError, match="unknown or already forgotten"):
        method("native").forget(after, forget)


def test_everything_may_be_forgotten(model: ClosedForm) -> None:
    users = tuple(model.data.users.take(range(model.data.n_users)))
    empty = model.forget(ForgetSet(users=users))
    assert empty.n_records == 0
    assert not empty.scores(np.arange(3)).any()
    refit = empty.fit()
    assert all(value.isfinite().all() for value in refit.params.values())


def test_recommendations_come_by_external_ids_and_scores_rank_them(model: ClosedForm, data: Interactions) -> None:
    shown = model.ranker().recommend("u03", k=4, exclude=data)
    scores = model.scores(np.array([3]))[0]
    scores[data.indices[data.indptr[3] : data.indptr[4]]] = -torch.inf
    assert list(shown.ids) == [data.items.ids[row] for row in scores.topk(4).indices.tolist()]
