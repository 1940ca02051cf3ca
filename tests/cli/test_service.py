"""From a trained model to a completed erasure on the command line, and over HTTP with processes of their own."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from recsys.data import Interactions, from_parquet
from tests.cli.run import answer, naming, refusal, unlearn
from tests.unlearn.requests.submissions import submission
from unlearn.requests.commands.options import opened
from unlearn.requests.states import Step
from unlearn.requests.steps import perform
from unlearn.requests.tables import Callback
from unlearn.requests.tasks import Due, Ended


def test_a_person_is_forgotten(config: Path, model: Path, data: Interactions, tmp_path: Path) -> None:
    gone, other = map(str, data.users.ids[[3, 5]])
    assert "interactions.parquet" in naming(tmp_path, [gone])
    made = answer("request", "create", "--identity", gone)
    assert answer("request", "status", made["id"])["state"] == "pending"
    assert answer("worker", "--once")["batches"] == 1
    found = answer("request", "status", made["id"])
    assert (found["state"], found["targets"]) == ("completed", {"recsys": "done"})
    assert naming(tmp_path, [gone]) == set() and naming(tmp_path, [other])
    assert unlearn("recommend", "--model", model, "--user", gone).exit_code == 3
    assert unlearn("recommend", "--model", model, "--user", other).exit_code == 0
    assert [one["id"] for one in answer("request", "list", "--state", "completed")["requests"]] == [made["id"]]
    assert answer("worker", "--once")["batches"] == 0


def test_a_request_that_waits_for_its_batch_is_told(
    config: Path, data: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("request", "create", "--identity", str(data.users.ids[3]))
    with monkeypatch.context() as later:
        later.setenv("UNLEARN_BATCH_WINDOW_MINUTES", "60")
        assert answer("worker", "--once") == {"batches": 0, "pending": 1, "in_progress": 0}
        assert "0 batches; 1 requests wait for theirs to begin" in unlearn("worker", "--once").stdout
    assert answer("worker", "--once") == {"batches": 1, "pending": 0, "in_progress": 0}


def test_a_request_can_be_taken_back_and_is_made_once(config: Path, data: Interactions) -> None:
    user, id = str(data.users.ids[3]), str(uuid.uuid4())
    for _ in range(2):
        assert answer("request", "create", "--identity", f"controller_customer_id={user}", "--id", id)["id"] == id
    assert len(answer("request", "list")["requests"]) == 1
    assert answer("request", "cancel", id)["state"] == "cancelled"
    assert answer("worker", "--once")["batches"] == 0
    told = refusal(2, "request", "create", "--identity", "5", "--id", id)
    assert "Idempotency-Key was used with another body" in told.replace("\n", " ")


def test_new_interactions_are_taken_in_but_of_nobody_erased(
    config: Path, data: Interactions, tmp_path: Path, model: Path
) -> None:
    gone, user = map(str, data.users.ids[[3, 5]])
    item = data.items.ids[data.indices[data.indptr[5]]]
    single = json.dumps(["controller_customer_id", user, str(item)])
    for identity in (gone, f"interaction={single}"):
        answer("request", "create", "--identity", identity)
    assert answer("worker", "--once")["batches"] == 1
    arrived = tmp_path / "arrived.csv"
    arrived.write_text(f"user,item\n{gone},{item}\n{user},{item}\nnewcomer,{item}\n", "utf-8")
    expected = {"stored": 1, "refused": 2, "new_users": 1, "ratings_left_out": 0}
    assert answer("ingest", "--data", arrived) == expected
    assert answer("ingest", "--data", arrived)["stored"] == 0
    arrived.unlink()
    assert naming(tmp_path, [gone]) == set() and naming(tmp_path, ["newcomer"])
    answer("request", "create", "--identity", "newcomer")
    answer("worker", "--once")
    assert naming(tmp_path, ["newcomer"]) == set()
    assert "must be one of recsys" in refusal(2, "ingest", "--data", arrived, "--target", "shop")
    assert "must be a file or a folder that exists" in refusal(2, "ingest", "--data", arrived).replace("\n", " ")


def test_what_is_taken_in_has_the_threshold_of_training(config: Path, data: Interactions, tmp_path: Path) -> None:
    arrived, item = tmp_path / "arrived.csv", data.items.ids[0]
    arrived.write_text(f"user,item,points\nf00d,{item},3\nbeef,{item},4\ncafe,{item},2\n", "utf-8")
    asked = ("ingest", "--data", arrived, "--column", "rating=points")
    assert "2 ratings below 4 left out (--threshold)" in unlearn(*asked).stdout
    said = answer(*asked, "--threshold", "3")
    assert said == {"stored": 1, "refused": 0, "new_users": 1, "ratings_left_out": 1}
    assert "all 3 ratings are below 5" in refusal(2, *asked, "--threshold", "5")


def test_a_hold_keeps_a_person(config: Path, data: Interactions, tmp_path: Path) -> None:
    user = str(data.users.ids[3])
    answer("hold", "place", "--identity", user, "--reference", "case 7")
    made = answer("request", "create", "--identity", user)
    answer("worker", "--once")
    assert answer("request", "status", made["id"])["state"] == "on_hold"
    (hold,) = answer("hold", "list")["holds"]
    assert hold["reference"] == "case 7" and user not in hold["pseudonym"]
    assert "on hold for case 7" in refusal(2, "hold", "lift", "--identity", user, "--reference", "case 8")
    assert answer("hold", "lift", "--identity", user, "--reference", "case 7") == {"requests": 1}
    answer("worker", "--once")
    assert answer("request", "status", made["id"])["state"] == "completed"


def test_a_hold_that_would_hold_nothing_is_refused(config: Path, data: Interactions) -> None:
    user, one = str(data.users.ids[3]), json.dumps(["controller_customer_id", str(data.users.ids[3]), "i1"])
    for identity in (f"emial={user}", f"interaction={one}"):
        told = refusal(2, "hold", "place", "--identity", identity, "--reference", "case 7")
        assert "by which a target knows people: controller_customer_id (got" in told
    assert "1 to 95 printable" in refusal(2, "hold", "place", "--identity", user, "--reference", "x" * 96)
    answer("hold", "place", "--identity", user, "--reference", "case 7")
    told = refusal(2, "hold", "place", "--identity", user, "--reference", "case 8")
    assert "on hold already, for case 7" in told and len(answer("hold", "list")["holds"]) == 1
    assert "see `unlearn hold list`" in refusal(3, "hold", "lift", "--identity", "nobody")


def test_what_cannot_be_used_is_refused(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for id in ("7", f"{uuid.uuid4()}\n"):
        assert "must be a UUID" in refusal(2, "request", "create", "--identity", "u1", "--id", id)
    assert "a folder that exists" in refusal(2, "request", "create", "--identity", "u1", "--certificate", "no/c.json")
    for caller in ("", "  ", "x" * 101, "a\nb"):  # as for keys: the trail has room for so many
        for asked in (("request", "create", "--identity", "u1"), ("keys", "create", "--role", "submit")):
            assert "1 to 100 printable" in refusal(2, *asked, "--caller", caller)
    assert "by which a target knows people: controller_customer_id" in refusal(
        2, "request", "create", "--identity", "email=a@example.org"
    )
    for value in ("u1", '["controller_customer_id","u1",7]', '["email","u1","i1"]'):
        told = refusal(2, "request", "create", "--identity", f"interaction={value}")
        assert "(got interaction)" in told and "is written" in told
    assert "no such request" in refusal(3, "request", "status", str(uuid.uuid4()))
    assert "needs attention" in refusal(2, "request", "retry", "0" * 32)
    monkeypatch.setenv("UNLEARN_DATABASE", "postgresql+psycopg://user:hunter2@127.0.0.1:1/ledger")
    told = refusal_of_work("request", "list")
    assert "Connection refused" in told and "hunter2" not in told
    monkeypatch.delenv("UNLEARN_DATABASE")
    assert "must be one of submit, operate, audit" in refusal(2, "keys", "create", "--caller", "x", "--role", "root")
    assert "see `unlearn keys list`" in refusal(3, "keys", "revoke", "0")
    told = refusal(2, "keys", "init", "--out", tmp_path / "keys" / "keyring.json")
    assert "`out` must be a new file" in told and "keys are never overwritten" in told
    public = (tmp_path / "keys" / "certificates.pub").read_bytes()
    told = refusal(2, "keys", "init", "--out", tmp_path / "keys" / "another.json")
    assert "a folder without a certificates.pub" in told and not (tmp_path / "keys" / "another.json").exists()
    assert (tmp_path / "keys" / "certificates.pub").read_bytes() == public
    (tmp_path / "keys" / "keyring.json").chmod(0o644)
    assert "chmod 600" in refusal(2, "request", "list")
    (tmp_path / "keys" / "keyring.json").chmod(0o600)
    monkeypatch.setenv("UNLEARN_TARGETS__OTHER__KIND", "nothing")
    told = refusal(2, "worker", "--once").replace("\n", " ")
    assert "installed packages offer (got other; there are graph_influence, recsys)" in told


def test_a_social_graph_forgets_with_the_recommender(
    config: Path, data: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, network = data.users.ids.tolist(), tmp_path / "network"
    gone, other = users[3], users[5]
    (tmp_path / "given").mkdir()
    ties = tmp_path / "given" / "ties.txt"
    ties.write_text("".join(f"{a} {b}\n{b} {a}\n" for a, b in zip(users, users[2:], strict=False)), "utf-8")
    answer("influence", "prepare", ties, "--out", network, "--k", "3")
    monkeypatch.setenv("UNLEARN_TARGETS__GRAPH_INFLUENCE__WORKSPACE", str(network))
    ties.unlink()
    assert naming(network, [gone])
    made = answer("request", "create", "--identity", gone)
    answer("worker", "--once")
    found = answer("request", "status", made["id"])
    assert (found["state"], found["targets"]) == ("completed", {"graph_influence": "done", "recsys": "done"})
    assert naming(tmp_path, [gone]) == set() and naming(network, [other])


def test_setting_up_leaves_nothing_half_done(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert "nowhere')" in refusal(2, "init", "--target", "recsys:workspace=nowhere")
    assert "offered" not in refusal(2, "init", "--target", "nothing:workspace=model")
    assert sorted(tmp_path.iterdir()) == before
    made = answer("init", "--target", "recsys:workspace=model")
    for secret in ("keyring", "config"):  # where a password of the database may be
        assert (tmp_path / made[secret]).stat().st_mode & 0o777 == 0o600
    assert answer("request", "list") == {"requests": []}  # the settings are found where they were made
    assert "must be a new file" in refusal(2, "init", "--target", "recsys:workspace=model")


def test_no_target_takes_anothers_place(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / "other")
    both = ("init", "--target", "recsys:workspace=model", "--target")
    assert "name of its own each time (got recsys, recsys)" in refusal(2, *both, "recsys:workspace=other")
    made = answer(*both, "other:kind=recsys:workspace=other")
    tables = tomllib.loads((tmp_path / made["config"]).read_text("utf-8"))["targets"]
    assert tables == {"recsys": {"workspace": "model"}, "other": {"kind": "recsys", "workspace": "other"}}


def test_a_request_is_served_at_once(config: Path, data: Interactions, tmp_path: Path) -> None:
    held, gone = map(str, data.users.ids[[3, 5]])
    answer("hold", "place", "--identity", held, "--reference", "case 7")
    told = refusal_of_work("request", "create", "--identity", held, "--certificate", tmp_path / "none.json")
    assert "a legal hold forbids deletion" in told and not (tmp_path / "none.json").exists()
    file, public = tmp_path / "certificate.json", tmp_path / "keys" / "certificates.pub"
    made = answer("request", "create", "--identity", gone, "--certificate", file)
    checked = answer("verify-certificate", file, "--key", public)
    assert (checked["valid"], checked["batch"]) == (True, made["batch"])
    assert naming(tmp_path, [gone]) == set()
    assert [one["subject_request_id"] for one in checked["requests"]] == [made["id"]]
    assert checked["counts"]["recsys"]["removed"]["counts"]["users"] == 1
    alone = tmp_path / "alone.json"
    answer("request", "certificate", made["id"], "--out", alone)
    assert answer("verify-certificate", alone, "--key", public) == checked
    for id in ("0" * 32, str(uuid.uuid4())):
        assert "a closed batch or of a completed request" in refusal(3, "request", "certificate", id, "--out", alone)
    file.write_text(file.read_text("utf-8").replace('"users": 1', '"users": 2'), "utf-8")
    assert "is not valid" in refusal_of_work("verify-certificate", file, "--key", public)


def test_work_that_was_not_done_is_told_by_the_exit_code(
    config: Path, data: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Ended:
        raise OSError("no space left on the device")

    made = answer("request", "create", "--identity", str(data.users.ids[3]))
    with monkeypatch.context() as patch:
        patch.setattr("unlearn.requests.worker.perform", broken)
        assert "1 requests could not be completed" in refusal_of_work("worker", "--once")
    assert answer("request", "status", made["id"])["state"] == "in_progress"


def test_whoever_comes_back_with_a_backup_is_erased_again(config: Path, data: Interactions, tmp_path: Path) -> None:
    model = tmp_path / "model"
    gone, later, other = map(str, data.users.ids[[3, 5, 7]])
    item = str(data.items.ids[data.indices[data.indptr[7]]])
    single = f"interaction={json.dumps(['controller_customer_id', other, item])}"
    shutil.copytree(model, tmp_path / "backup")
    for identity in (gone, later, single):
        answer("request", "create", "--identity", identity)
        answer("worker", "--once")
    assert answer("request", "reapply")["people"] == 0
    shutil.rmtree(model)
    (tmp_path / "backup").rename(model)  # and the ledger as it was
    assert "interactions.parquet" in naming(model, [gone])
    assert unlearn("recommend", "--model", model, "--user", gone).exit_code == 3  # suppressed all the same
    open_ = answer("request", "create", "--identity", later)  # who asks anew is not asked for twice
    made = answer("request", "reapply")
    assert made["people"] == 2 and answer("request", "reapply")["people"] == 0  # one of whom by an interaction
    assert _stored(model, other, item)
    answer("keys", "rotate")
    assert answer("worker", "--once")["batches"] == 1
    assert {answer("request", "status", one["id"])["state"] for one in (open_, made)} == {"completed"}
    assert naming(tmp_path, [gone, later]) == set() and naming(tmp_path, [other]) and not _stored(model, other, item)


def test_no_key_is_destroyed_that_a_callback_which_is_owed_needs(config: Path, data: Interactions) -> None:
    with opened(config) as service:
        made = submission(str(data.users.ids[3]), callbacks=("https://nowhere.invalid/hook",))
        service.intake.submit(made)
    answer("worker", "--once")
    assert answer("request", "status", made.subject_request_id)["state"] == "completed"
    for _ in range(3):
        answer("keys", "rotate")
    with opened(config) as service, service.ledger.database.read() as session:
        owed = session.scalars(select(Callback.url).where(Callback.ended_at.is_(None))).all()
        assert {service.ledger.keyring.open_url(url) for url in owed} == {"https://nowhere.invalid/hook"}


@pytest.mark.parametrize("step", [Step.UNLEARN, Step.VERIFY, Step.PURGE])
@pytest.mark.parametrize("asked", ["person", "interaction", "interaction of somebody erased since"])
def test_what_lay_under_a_seal_when_the_backup_was_made_is_destroyed_with_it(
    asked: str,
    step: Step,
    config: Path,
    model: Path,
    data: Interactions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The batch has been closed since, so that no worker goes on with it."""
    user, beside, backup = str(data.users.ids[7]), model.with_name("model.service"), tmp_path / "backup"
    item = str(data.items.ids[data.indices[data.indptr[7]]])
    single = f"interaction={json.dumps(['controller_customer_id', user, item])}"

    def saved(due: Due, *rest: Any) -> Ended:
        if due.step == step and not backup.exists():
            shutil.copytree(model, backup / "model")
            shutil.copytree(beside, backup / "model.service")
        return perform(due, *rest)

    monkeypatch.setattr("unlearn.requests.worker.perform", saved)
    for limit in ("SHARE", "DRIFT"):
        monkeypatch.setenv(f"UNLEARN_RETRAIN_ABOVE_{limit}", "1")
    answer("request", "create", "--identity", user if asked == "person" else single)
    answer("worker", "--once")
    if asked == "interaction of somebody erased since":
        answer("request", "create", "--identity", user)
        answer("worker", "--once")
    blocked = (beside / "blocked").read_bytes()
    for folder in (model, beside):
        shutil.rmtree(folder)
        shutil.copytree(backup / folder.name, folder)
    shutil.rmtree(backup)
    (beside / "blocked").write_bytes(blocked)
    assert {path.suffix for path in (beside / "sealed").iterdir()} == {".key", ".sealed"}
    assert answer("request", "reapply")["people"] > 0
    answer("worker", "--once")
    assert list((beside / "sealed").iterdir()) == [] and list((beside / "staged").iterdir()) == []
    assert answer("request", "reapply")["people"] == 0
    assert not _stored(model, user, item) and (naming(tmp_path, [user]) == set()) == (asked != "interaction")


def _stored(model: Path, user: str, item: str) -> bool:
    frame = from_parquet(model / "interactions.parquet").frame().astype(str)
    return bool(((frame["user"] == user) & (frame["item"] == item)).any())


def refusal_of_work(*arguments: str | Path) -> str:
    """What a command says that tells, by its exit code, of work that failed."""
    result = unlearn(*arguments)
    assert result.exit_code == 1, result.output
    return result.stderr.replace("\n", " ")


@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_server_and_worker_as_processes(
    end: signal.Signals, code: int, config: Path, data: Interactions, tmp_path: Path
) -> None:
    key = answer("keys", "create", "--caller", "shop", "--role", "submit")["key"]
    program = str(Path(sys.executable).with_name("unlearn"))
    url = f"http://127.0.0.1:{_port(config)}"
    log = (tmp_path / "log").open("wb")

    def dumping() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard := resource.getrlimit(resource.RLIMIT_CORE)[1], hard))

    running = [
        subprocess.Popen([program, name], stdout=log, stderr=log, preexec_fn=dumping) for name in ("serve", "worker")
    ]
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            _until(lambda: http.get("/readyz").status_code == 200)
            user = str(data.users.ids[3])
            identity = {"identity_type": "controller_customer_id", "identity_value": user, "identity_format": "raw"}
            asked: dict[str, Any] = {
                "regulation": "gdpr", "subject_request_id": str(uuid.uuid4()), "subject_request_type": "erasure",
                "submitted_time": "2026-01-05T08:00:00Z", "subject_identities": [identity],
            }  # fmt: skip
            assert http.post("/v2/requests", json=asked, headers={"Idempotency-Key": "k"}).status_code == 201
            where = f"/v2/requests/{asked['subject_request_id']}"
            _until(lambda: http.get(where).json()["request_status"] == "completed")
            assert [resource.prlimit(process.pid, resource.RLIMIT_CORE)[0] for process in running] == [0, 0]
            told = http.get("/metrics").text
            assert 'unlearn_requests{state="completed"} 1.0' in told
    finally:
        for process in running:
            process.send_signal(end)
        codes = [process.wait(60) for process in running]
        log.close()
    # What the server hands on, once it has ended in an orderly way.
    assert codes == [code, 0], (tmp_path / "log").read_text("utf-8")
    assert naming(tmp_path, [user]) == set()


def _port(config: Path) -> int:
    return int(next(line.split("=")[1] for line in config.read_text("utf-8").splitlines() if "port =" in line))


def _until(done: Any, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if done():
                return
        except (httpx.TransportError, json.JSONDecodeError):
            pass
        time.sleep(0.2)
    raise AssertionError("it did not come about")
