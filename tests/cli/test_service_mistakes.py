"""Mistakes in setting up the service, asking for an erasure and checking a certificate: told, and nothing is lost."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import OperationalError

from recsys.data import Interactions
from tests.cli.run import answer, digest, refusal, unlearn
from unlearn.requests import status
from unlearn.requests.certificate import FORMAT


def test_a_key_that_is_none_is_no_forgery(config: Path, data: Interactions, tmp_path: Path) -> None:
    file, public = tmp_path / "certificate.json", tmp_path / "keys" / "certificates.pub"
    answer("request", "create", "--identity", str(data.users.ids[3]), "--certificate", file)
    key = public.read_text("utf-8").strip()
    for good in (public, key):
        assert answer("verify-certificate", file, "--key", good)["valid"]
    wrong = tmp_path / "key" / "certificates.pub"
    told = refusal(2, "verify-certificate", file, "--key", wrong)
    assert f"`key` must be a public key in base64 or a file of it (there is no file {wrong})" in told
    assert "there is no file" in refusal(2, "verify-certificate", file, "--key", key[:-4])
    told = refusal(2, "verify-certificate", file, "--key", tmp_path / "keys" / "keyring.json")
    assert "keyring.json holds something else)" in told
    other = base64.b64encode(secrets.token_bytes(32)).decode()
    assert unlearn("verify-certificate", file, "--key", other).exit_code == 1  # a key, and not this one
    told = refusal(2, "verify-certificate", public, "--key", public)
    assert f"{public} must be a certificate, in JSON (" in told
    told = refusal(2, "verify-certificate", file, "--key", public, "--previous", public)
    assert f"{public} must be a certificate, in JSON (" in told


def test_a_forgery_cannot_say_on_a_terminal_that_it_is_valid(tmp_path: Path) -> None:
    """Its names are in the message that it is not, and a terminal would take them for commands."""
    file = tmp_path / "certificate.json"
    says = f"\x1b[1A\x1b[2K\r{file} is valid: signed by that key, every target verified, nothing left\x1b[8m"
    file.write_text(json.dumps({"format": FORMAT, "targets": {says: {}}}), "utf-8")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    found = unlearn("verify-certificate", file, "--key", key)
    assert found.exit_code == 1 and found.stdout == "" and found.stderr.startswith(f"error: {file} is not valid")
    assert not set(found.stderr) & {"\x1b", "\r"} and "\\x1b[1A\\x1b[2K\\r" in found.stderr


def test_a_key_is_that_key_whatever_a_file_of_its_name_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forger who sends a folder can put their own key into a file that is called like the issuer's."""
    monkeypatch.chdir(tmp_path)
    issuer = base64.b64encode(bytes(range(32))).decode()  # without a slash
    forger = Ed25519PrivateKey.generate()
    left = {"shop": {"left": {}, "verification": {"passed": True}}}
    content = {
        "format": FORMAT,
        "sequence": 1,
        "batch": "0" * 32,
        "occasion": "schedule",
        "digests": [],
        "targets": left,
    }
    content["closed_at"] = "2026-01-05T09:00:00+00:00"
    signed = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    signature = base64.b64encode(forger.sign(signed)).decode()
    Path("certificate.json").write_text(json.dumps(content | {"disclosed": [], "signature": signature}), "utf-8")
    own = base64.b64encode(forger.public_key().public_bytes_raw()).decode()
    assert answer("verify-certificate", "certificate.json", "--key", own)["valid"]
    Path(issuer).write_text(own, "utf-8")
    assert unlearn("verify-certificate", "certificate.json", "--key", issuer).exit_code == 1


def test_an_identity_that_is_no_text_is_refused(config: Path) -> None:
    told = refusal(2, "request", "create", "--identity", "caf\udce9")  # bytes that no locale reads
    assert "`identity` must be text in UTF-8" in told
    assert answer("request", "list") == {"requests": []}


def test_setting_up_that_fails_takes_its_keys_back(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("init", "--target", "recsys:workspace=model")
    monkeypatch.setenv("UNLEARN_DATABASE", "postgresql+psycopg://nobody@127.0.0.1:1/ledger")
    assert unlearn(*asked).exit_code == 1
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"model", "model.service"}
    monkeypatch.delenv("UNLEARN_DATABASE")
    assert "`config` must be a file that can be written" in refusal(2, *asked, "--config", "/proc/nope/unlearn.toml")
    assert not (tmp_path / "unlearn-keys").exists()
    made = answer(*asked)
    assert answer("request", "list") == {"requests": []}
    Path(made["config"]).unlink()
    before = digest(tmp_path / "unlearn-keys")
    told = refusal(2, *asked)
    assert "`keyring` must be a new file (got unlearn-keys/keyring.json)" in told and "never overwritten" in told
    assert digest(tmp_path / "unlearn-keys") == before


def test_nobody_is_erased_for_a_certificate_that_cannot_be_written(
    config: Path, data: Interactions, tmp_path: Path
) -> None:
    told = refusal(2, "request", "create", "--identity", str(data.users.ids[3]), "--certificate", tmp_path)
    assert "`certificate` must be a file that can be written" in told and "it is a folder" in told
    assert answer("request", "list") == {"requests": []}


def test_a_certificate_that_could_not_be_written_after_all_can_be_had(
    config: Path, data: Interactions, tmp_path: Path
) -> None:
    result = unlearn("request", "create", "--identity", str(data.users.ids[3]), "--certificate", "/dev/full")
    assert result.exit_code == 2
    (request,) = answer("request", "list")["requests"]
    assert request["state"] == "completed"
    assert f"`unlearn request certificate {request['batch']} --out FILE` writes it" in result.stderr
    assert answer("request", "certificate", request["batch"], "--out", tmp_path / "certificate.json")


def test_an_identity_that_no_target_knew_is_told(config: Path, data: Interactions, tmp_path: Path) -> None:
    hint, file = "no target knew this identity; check it", tmp_path / "certificate.json"
    for identity, known in ((str(data.users.ids[3]), True), ("u-mistyped", False)):
        result = unlearn("request", "create", "--identity", identity, "--certificate", file)
        assert result.exit_code == 0, result.output
        assert (hint in result.stderr, hint in result.stdout) == (not known, False)
    assert "0 users, 0 interactions" in result.stdout
    assert answer("verify-certificate", file, "--key", tmp_path / "keys" / "certificates.pub")["valid"]


def test_whoever_does_not_read_its_answers_keeps_no_server_from_stopping(config: Path) -> None:
    port = tomllib.loads(config.read_text("utf-8"))["port"]
    sooner = "import sys, unlearn.cli; sys.modules['unlearn.requests.commands.serve']._PATIENCE = 1"
    server = subprocess.Popen([sys.executable, "-c", f"{sooner}; unlearn.cli.app(['serve'])"], stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        assert any(b"running on" in line for line in server.stderr)
        with socket.create_connection(("127.0.0.1", port), timeout=3) as deaf:
            with pytest.raises(TimeoutError):  # once nothing has room for another answer
                deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 1_000_000)
            server.terminate()
            assert server.wait(15) == -signal.SIGTERM
    finally:
        server.kill()
        server.communicate()


def test_a_port_that_others_listen_at_is_told(config: Path) -> None:
    port = tomllib.loads(config.read_text("utf-8"))["port"]
    with socket.create_server(("127.0.0.1", port)):
        ended = subprocess.run([sys.executable, "-m", "unlearn", "serve"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2  # 3 names ids that do not exist
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"error: nothing is served at 127.0.0.1:{port}, and the log says why")
    assert "address already in use" in ended.stderr


def test_other_keys_than_the_ledgers_are_refused(
    config: Path, data: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one service took in, another would know by other names, and could neither serve nor check."""
    answer("keys", "create", "--caller", "shop", "--role", "submit")
    id = answer("request", "create", "--identity", str(data.users.ids[3]))["id"]
    answer("keys", "init", "--out", tmp_path / "others" / "keyring.json")
    before = digest(tmp_path / "service")["ledger.db"][0]
    with monkeypatch.context() as other:
        other.setenv("UNLEARN_KEYRING", str(tmp_path / "others" / "keyring.json"))
        for words in ("serve", "worker --once", "request list", "request reapply", "keys rotate"):
            result = unlearn(*words.split())
            assert result.exit_code == 2 and "`keyring` must be that of this ledger" in result.stderr, words
    assert digest(tmp_path / "service")["ledger.db"][0] == before
    with sqlite3.connect(tmp_path / "service" / "ledger.db") as ledger:  # which is found, and keeps nobody out
        ledger.execute("UPDATE audit SET at = 'then' WHERE sequence = 1")
    ledger.close()
    assert answer("request", "status", id)["state"] == "pending"


def test_what_is_asked_of_the_ledger_alone_needs_no_target(
    config: Path, model: Path, data: Interactions, tmp_path: Path
) -> None:
    """It is answered in a moment, and while a target is what an operator has to put right."""
    person = str(data.users.ids[3])
    id = answer("request", "create", "--identity", person, "--certificate", tmp_path / "whole.json")["id"]
    answer("hold", "place", "--identity", person, "--reference", "case 7")
    model.rename(tmp_path / "elsewhere")
    assert "must be a folder that `unlearn train` made" in refusal(2, "worker", "--once")
    asked: list[tuple[str | Path, ...]] = [
        ("request", "status", id), ("request", "list"), ("request", "certificate", id, "--out", tmp_path / "own.json"),
        ("hold", "list"), ("hold", "lift", "--identity", person), ("keys", "list"), ("keys", "rotate"),
        ("keys", "create", "--caller", "c", "--role", "audit"), ("keys", "webhook", "--caller", "c"),
    ]  # fmt: skip
    for words in asked:
        answer(*words)
    code = """
import sys
from unlearn.cli import app
try:
    app(["request", "list"])
except SystemExit as stop:
    assert not stop.code
print("loaded", sorted({"torch", "pandas", "mlflow", "scipy", "fastapi"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "loaded []") and id in done.stdout


def test_a_database_that_fails_is_told_in_a_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT INTO requests", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(status, "listed", full)
    told = refusal(1, "request", "list")
    assert told.strip() == "error: `database` must be one that answers: database or disk is full"
