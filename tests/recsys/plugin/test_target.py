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


def test_purge_says_what_is_left_of_the_people(tmp_path: Path) -> None:
    """Where it comes before publication the published version knows them; where they came back the data do."""
    shutil.copytree(stored("ease"), tmp_path / "model")
    recommender, batch = target({"workspace": str(tmp_path / "model")}, Pseudonyms(KEY)), Batch("b", people(3, 17))
    recommender.remove(batch)
    gone = {"seals": 0, "versions": 0, "users": 0, "interactions": 0, "copies": 0}
    assert recommender.purge(batch) == gone | {"known": 2}
    arrived = pd.DataFrame({"user": [batch.subjects[1].value], "item": [data().items.ids[0]], "time": [0.5]})
    assert recommender.take_in(arrived).stored == 1
    assert recommender.purge(batch)["interactions"] == 1


def test_it_lists_whom_only_a_seal_still_holds(tmp_path: Path) -> None:
    shutil.copytree(stored("ease"), tmp_path / "model")
    recommender, nobody = target({"workspace": str(tmp_path / "model")}, Pseudonyms(KEY)), Batch("n", ())
    recommender.remove(Batch("b", people(3)))
    recommender.publish(nobody, recommender.unlearn(nobody, retrain=True))
    assert people(3)[0] in set(recommender.people())


def test_a_method_that_changes_the_kind_of_model_is_named_and_nothing_is_staged(tmp_path: Path) -> None:
    shutil.copytree(stored("whole_data"), tmp_path / "model")
    options = {"workspace": str(tmp_path / "model"), "method": "sharding:shards=2"}
    recommender, batch = target(options, Pseudonyms(KEY)), Batch("b", people(3))
    recommender.remove(batch)
    with pytest.raises(ValueError, match="got sharding, which serves with a ShardedRecommender"):
        recommender.unlearn(batch, retrain=False)
    assert not recommender.staging.versions()
