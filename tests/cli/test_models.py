"""`unlearn models` tells what the commands do where nothing is said."""

from __future__ import annotations

import re
from typing import Any

import pytest

from recsys import closed_form, models, objectives
from recsys.commands.build import build_model
from recsys.commands.options import Setup
from recsys.data import Interactions, synthetic
from recsys.problem import RecommenderProblem
from tests.cli.run import answer


@pytest.fixture(scope="module")
def data() -> Interactions:
    """Interactions and ties."""
    return synthetic(n_users=60, n_items=40, n_interactions=900, seed=5)


def shown(kind: str, name: str) -> dict[str, Any]:
    (entry,) = [one for one in answer("models")[kind] if one["name"] == name]
    return {one["name"]: one["default"] for one in entry["arguments"]}


@pytest.mark.parametrize("name", models.registered())
def test_of_models(name: str, data: Interactions) -> None:
    built = build_model(Setup(model=name, objective="bpr"), data, seed=0, progress=False)
    assert isinstance(built, RecommenderProblem)
    assert built.model.arguments() == shown("models", name)


@pytest.mark.parametrize("name", closed_form.registered())
def test_of_closed_forms(name: str, data: Interactions) -> None:
    built = build_model(Setup(model=name), data, seed=0, progress=False)
    assert isinstance(built, closed_form.ClosedForm)
    assert {key: str(value) for key, value in built.arguments().items()} == {
        key: str(value) for key, value in shown("closed_forms", name).items()
    }


@pytest.mark.parametrize("name", objectives.registered())
def test_of_objectives(name: str, data: Interactions) -> None:
    built = build_model(Setup(objective=name), data, seed=0, progress=False)
    assert isinstance(built, RecommenderProblem)
    assert built.objective_function.arguments() == shown("objectives", name)


def test_each_is_described_before_its_paper_is_named() -> None:
    listed = [one for of_kind in (answer("models") | answer("methods")).values() for one in of_kind]
    assert [one["name"] for one in listed if re.search(r'"|\b(19|20)\d\d\b|et al', one["summary"])] == []


def test_every_paper_has_its_title_and_year() -> None:
    listed = [one for of_kind in (answer("models") | answer("methods")).values() for one in of_kind]
    papers = {one["name"]: one["paper"] for one in listed if one["paper"] is not None}
    assert [name for name, paper in papers.items() if not (paper["title"] and paper["year"])] == []
