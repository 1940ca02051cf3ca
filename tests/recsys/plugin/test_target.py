"""The recommender keeps the contract of a target, and serves nobody who is to be forgotten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from recsys import workspace
from recsys.plugin import RecommenderTarget, Serving, target
from tests.recsys.plugin.workspaces import KEY, data, people, stored
from tests.unlearn.target.contract import TargetContract
from unlearn.target import Batch, Pseudonyms, Subject, Target


class TestRecommender(TargetContract):
    kind = "whole_data"
    every_change = 7

    def create(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        shutil.copytree(stored(self.kind), folder / "model")

    def open(self, folder: Path) -> RecommenderTarget:
        return target({"workspace": str(folder / "model")}, Pseudonyms(KEY))

    def people(self) -> tuple[Subject, ...]:
        return people(3, 17, 20, 25)

    def published(self, folder: Path) -> str:
        with workspace.at(folder / "model").held():  # which finishes what a killed process left between two renames
            return json.loads((folder / "model" / "model" / "manifest.json").read_text("utf-8"))["digest"]

    def answers_to(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, RecommenderTarget)
        return Serving(target).recommend(subject.value, k=3) is not None

    def takes_in(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, RecommenderTarget)
        arrived = pd.DataFrame({"user": [subject.value], "item": [data().items.ids[0]], "time": [0.5]})
        return target.take_in(arrived).refused == 0


class TestSampledRecommender(TestRecommender):
    kind = "bpr"
    every_change = 29


class TestClosedForm(TestRecommender):
    kind = "ease"
    every_change = 29


def test_a_method_that_changes_the_kind_of_model_is_named_and_nothing_is_staged(tmp_path: Path) -> None:
    shutil.copytree(stored("whole_data"), tmp_path / "model")
    options = {"workspace": str(tmp_path / "model"), "method": "sharding:shards=2"}
    recommender, batch = target(options, Pseudonyms(KEY)), Batch("b", people(3))
    recommender.remove(batch)
    with pytest.raises(ValueError, match="got sharding, which serves with a ShardedRecommender"):
        recommender.unlearn(batch, retrain=False)
    assert not recommender.staging.versions()
