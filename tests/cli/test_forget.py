"""`unlearn forget`: what is gone, what stays, and what is refused."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from recsys import store
from recsys.data import Interactions, read
from recsys.workspace import model_folder
from tests.cli.run import SMALL, answer, digest, lists, naming, refusal, unlearn
from unlearn.requests.states import Step
from unlearn.requests.steps import perform
from unlearn.requests.tasks import Due, Ended
from unlearn.tracking import MlflowTracker
from unlearn.tracking import copies as tracked
from unlearn.tracking.copies import Copies
from unlearn.tracking.mlflow_run import MlflowRun
from unlearn.workspace import Workspace


def test_a_forgotten_user_is_gone_and_the_others_are_served(model: Path, data: Interactions) -> None:
    gone, stays = str(data.users.ids[7]), str(data.users.ids[8])
    before = lists(model, stays)
    said = answer("forget", "--model", model, "--user", gone)
    assert said.keys() == {
        "out", "method", "forgotten", "interactions_removed", "rows_changed", "residual_before", "residual_after",
        "seconds", "fallback", "caveat", "copies_destroyed", "copies_left",
    }  # fmt: skip
    assert (said["method"], said["forgotten"]["users"], said["fallback"]) == ("reconverge", 1, False)
    assert said["interactions_removed"] == int(data.degrees()[0][7])
    assert 0 < said["residual_after"] < said["residual_before"]
    assert gone in refusal(3, "recommend", "--model", model, "--user", gone)
    after = lists(model, stays)
    assert len(after[stays]) == 5
    assert after != before  # scores follow the data
    popular = answer("recommend", "--model", model, "--user", gone, "--unknown", "popular")
    assert len(popular["recommendations"][0]["items"]) > 0
    assert naming(model.parent, [gone]) == set()  # the old state is not kept anywhere


def test_items_and_single_interactions_into_another_folder(model: Path, data: Interactions, tmp_path: Path) -> None:
    before = digest(model)
    user, item = str(data.users.ids[0]), int(data.items.ids[3])
    pair = data.frame().query("user == @user and item != @item").iloc[0]
    out = tmp_path / "after"
    said = answer(
        "forget", "--model", model, "--out", out, "--item", str(item), "--interaction", f"{pair['user']},{pair['item']}"
    )
    assert (said["forgotten"]["items"], said["forgotten"]["interactions"]) == (1, 1)
    assert digest(model) == before
    left = read(out / "interactions.parquet")
    assert isinstance(left, Interactions)
    assert len(left) == len(data) - said["interactions_removed"]
    assert item not in set(left.frame().item)
    assert left.frame().query("user == @pair.user and item == @pair.item").empty
    assert user in left.users  # one interaction of theirs went, not they
    # What was deleted as an interaction may be recommended again; a deleted item may not.
    everything = answer("recommend", "--model", out, "--user", user, "--k", "40")["recommendations"][0]["items"]
    shown = {entry["item"] for entry in everything}
    assert int(pair["item"]) in shown
    assert item not in shown


def test_unknown_ids_change_nothing_unless_skipped(model: Path, data: Interactions) -> None:
    known, before = str(data.users.ids[4]), digest(model)
    asked = ("forget", "--model", model, "--user", known, "--user", "nobody", "--item", "7", "--interaction", "x,101")
    message = refusal(3, *asked)
    assert all(name in message for name in ("'nobody'", "7", "('x', 101)"))
    assert digest(model) == before
    assert answer(*asked, "--unknown", "skip")["forgotten"]["users"] == 1
    assert digest(model) != before
    refusal(3, *asked[:5])  # a second time, it is unknown


def test_a_request_that_names_nothing_is_refused(model: Path) -> None:
    before = digest(model)
    said = refusal(2, "forget", "--model", model, "--method", "nope", "--on-failure", "never")
    assert all(part in said for part in ("nothing was named", "`nope` is no unlearning method", "(got 'never')"))
    assert digest(model) == before


def test_a_failed_verification_changes_nothing(model: Path, data: Interactions) -> None:
    before, pair = digest(model), data.frame().iloc[10]
    asked = ("forget", "--model", model, "--interaction", f"{pair['user']},{pair['item']}")
    # A sign step moves every coordinate equally, which is far too much for a single interaction.
    assert "nothing was changed" in refusal(1, *asked, "--method", "iau", "--on-failure", "raise")
    assert "nothing was saved" in refusal(1, *asked, "--method", "no_op", "--on-failure", "keep")
    # An ensemble of shards would serve in the model's place, and that is another kind of model.
    assert "serves with a ShardedRecommender" in refusal(2, *asked, "--method", "sharding:shards=2")
    assert "`native` works on a SelfUnlearning" in refusal(2, *asked, "--method", "native")
    assert digest(model) == before


def test_what_waits_for_a_retrain_is_not_lost(config: Path, model: Path, data: Interactions, tmp_path: Path) -> None:
    known, new = str(data.users.ids[4]), tmp_path / "new.csv"
    new.write_text(f"user,item\nnewcomer,{data.items.ids[0]}\n")
    assert answer("ingest", "--data", new, "--config", config)["new_users"] == 1
    before = digest(model)
    message = refusal(2, "forget", "--model", model, "--user", known)
    assert "interactions-arrived.parquet" in message and "--out" in message
    assert digest(model) == before
    out = tmp_path / "after"
    assert answer("forget", "--model", model, "--out", out, "--user", known)["forgotten"]["users"] == 1
    assert digest(model) == before and naming(out, [known]) == set()


def test_a_model_that_is_forgetting_for_the_service_is_left_to_it(
    config: Path, model: Path, data: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version in its place would end the batch with a certificate, and keep what it had learned of them."""
    asked, known = str(data.users.ids[3]), str(data.users.ids[4])
    forget = ("forget", "--model", model, "--user", known)

    def meddled(due: Due, *rest: Any) -> Ended:
        if due.step == Step.UNLEARN:
            before = digest(model)
            for elsewhere in ((), ("--out", tmp_path / "after")):
                assert "people are being forgotten" in refusal(2, *forget, *elsewhere)
            assert digest(model) == before and not (tmp_path / "after").exists()
        return perform(due, *rest)

    monkeypatch.setattr("unlearn.requests.worker.perform", meddled)
    monkeypatch.setenv("UNLEARN_RETRAIN_ABOVE_SHARE", "1")
    monkeypatch.setenv("UNLEARN_RETRAIN_ABOVE_DRIFT", "1")
    made = answer("request", "create", "--identity", asked)
    assert answer("worker", "--once")["batches"] == 1
    assert answer("request", "status", made["id"])["state"] == "completed"
    assert answer(*forget)["forgotten"]["users"] == 1


def test_copies_in_mlflow_forget_with_the_model(
    table: Path, data: Interactions, location: Path, tmp_path: Path
) -> None:
    """Every copy of what was in the folder, also before a second training; those of a result elsewhere are its own."""
    model, gone, next_ = tmp_path / "model", str(data.users.ids[7]), str(data.users.ids[8])
    trained = [answer("train", "--data", table, "--out", model, "--track", location, *SMALL) for _ in range(2)]
    old = {one["model_id"] for one in trained}
    elsewhere = answer("forget", "--model", model, "--out", tmp_path / "other", "--user", next_, "--track", location)
    assert (elsewhere["copies_destroyed"], elsewhere["copies_left"]) == (0, [])
    assert kept_in(location) == {*old, elsewhere["model_id"]}
    client = MlflowTracker(location)._client

    def digest_of(model_id: str) -> str:
        return client.get_logged_model(model_id).tags["unlearn.digest"]

    was = store.digest(model_folder(model))
    assert digest_of(trained[1]["model_id"]) == was

    said = answer("forget", "--model", model, "--user", gone, "--track", location)
    assert digest_of(said["model_id"]) == store.digest(model_folder(model)) != was

    assert (said["copies_destroyed"], said["copies_left"]) == (2, [])
    assert kept_in(location) == {elsewhere["model_id"], said["model_id"]}
    shutil.rmtree(tmp_path / "other")
    answer("forget", "--model", model, "--user", next_)  # this time no copy follows
    assert kept_in(location) == {elsewhere["model_id"]}
    artifacts = tmp_path / "mlflow-artifacts"
    assert naming(model, [gone, next_]) == naming(location.parent, [next_]) == set()
    files = [path for path in artifacts.rglob("*") if path.is_file()]
    assert files and all(elsewhere["model_id"] in path.parts for path in files)
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id], "tags.unlearn.method != ''")
    assert {run.info.run_name for run in runs} == {"forget"} and len(runs) == 2
    (of_gone,) = [run for run in runs if run.data.metrics["interactions_removed"] == said["interactions_removed"]]
    assert of_gone.data.metrics["residual_after"] == pytest.approx(said["residual_after"])
    assert of_gone.data.params["dim"] == "6" and of_gone.data.tags["unlearn.method"] == "reconverge"
    assert [run.data.tags["unlearn.parent_model"] for run in runs] == [was, was]


def test_a_copy_that_was_never_finished_goes_with_the_next_request(
    table: Path, data: Interactions, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    with monkeypatch.context() as failing:
        failing.setattr(MlflowClient, "finalize_logged_model", full)
        told = unlearn("train", "--data", table, "--out", model, "--track", location, *SMALL)
    assert (told.exit_code, "model is complete, but not all of its run could be kept" in told.stderr) == (1, True)
    assert f"Kept in {model}" in told.stdout
    assert len(kept_in(location)) == 1 and list((tmp_path / "mlflow-artifacts").rglob("*.safetensors"))
    said = answer("forget", "--model", model, "--user", str(data.users.ids[7]))
    assert (said["copies_destroyed"], said["copies_left"], kept_in(location)) == (1, [], set())
    assert not [path for path in (tmp_path / "mlflow-artifacts").rglob("*") if path.is_file()]


def test_a_request_that_was_killed_is_finished_by_itself(
    table: Path, data: Interactions, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by another one: who asks again for somebody must not be told that there is nobody, and leave the copies."""
    model, gone = tmp_path / "model", str(data.users.ids[7])
    answer("train", "--data", table, "--out", model, "--track", location, *SMALL)

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    for place, what in ((Copies, "destroy"), (tracked, "purge"), (Workspace, "replace")):
        with monkeypatch.context() as killing:
            killing.setattr(place, what, kill)
            with pytest.raises(Killed):
                unlearn("forget", "--model", model, "--user", gone)
    said = answer("forget", "--model", model, "--user", gone)
    assert (said["forgotten"]["users"], said["copies_left"], kept_in(location)) == (1, [], set())
    assert naming(model, [gone]) == set()


def test_a_copy_behind_a_server_is_on_the_list_until_whoever_destroyed_it_takes_it_out(
    model: Path, data: Interactions
) -> None:
    """It was there for ever: the server answers alike of what is destroyed and of what is marked as deleted."""
    copies = Copies.of(model)
    copies.add("http://127.0.0.1:1", "m-" + 32 * "0")
    told = unlearn("forget", "--model", model, "--user", str(data.users.ids[7]))
    assert told.exit_code == 1 and f"take its line out of {copies.file}" in told.stderr
    copies.file.unlink()
    assert answer("forget", "--model", model, "--user", str(data.users.ids[8]))["copies_left"] == []


def test_a_copy_that_cannot_be_destroyed_is_told_until_it_can(
    table: Path, data: Interactions, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, moved = tmp_path / "model", location.with_name("moved.db")
    copy = answer("train", "--data", table, "--out", model, "--track", location, *SMALL)["model_id"]
    location.rename(moved)
    told = unlearn("forget", "--model", model, "--user", str(data.users.ids[7]))
    assert told.exit_code == 1 and "Forgot ForgetSet(1 users)" in told.stdout
    assert f"  - {copy} in" in told.stderr and "--unknown skip" in told.stderr
    assert not location.exists()
    again = unlearn("forget", "--model", model, "--user", str(data.users.ids[8]), "--json")
    (left,) = json.loads(again.stdout)["copies_left"]
    assert copy in left and "no such file" in left
    assert json.loads(again.stderr)["exit_code"] == again.exit_code == 1 and left in json.loads(again.stderr)["error"]
    assert naming(model, [data.users.ids[7], data.users.ids[8]]) == set()
    other = tmp_path / "other.db"
    with monkeypatch.context() as failing:  # whatever else fails, they are told
        failing.setattr(MlflowRun, "model", full)
        told = unlearn("forget", "--model", model, "--user", str(data.users.ids[9]), "--track", other, "--json")
    both = json.loads(told.stderr.splitlines()[-1])["error"]  # after what MLflow says of a new store
    assert told.exit_code == 1 and copy in both and "not all of its run could be kept" in both
    assert json.loads(told.stdout)["forgotten"]["users"] == 1
    moved.rename(location)
    said = answer("forget", "--model", model, "--user", str(data.users.ids[8]), "--unknown", "skip")
    assert (said["forgotten"]["users"], said["copies_destroyed"], said["copies_left"]) == (0, 1, [])
    assert kept_in(location) == set()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def kept_in(location: Path) -> set[str]:
    """Ids of the models in a store, those that are only marked as deleted included."""
    with closing(sqlite3.connect(location)) as database:
        return {row[0] for row in database.execute("SELECT model_id FROM logged_models")}
