"""Keys are made once, for their owner alone, and a damaged file is refused without quoting it."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from unlearn.requests.keyring import Keyring, UnusableKeyring
from unlearn.target import Subject

PEOPLE = (Subject("email", "ada@example.org"), Subject("email", "Ü"))


def test_what_is_made_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "keyring.json"
    made = Keyring.create(path)
    assert Keyring.read(path) == made and path.stat().st_mode & 0o777 == 0o600
    assert made.open(made.seal(PEOPLE)) == PEOPLE and made.seal(PEOPLE) != made.seal(PEOPLE)
    assert made.fingerprint(b"x") != made.fingerprint(b"y") and made.fingerprint(b"x") != Keyring.create(
        tmp_path / "other.json"
    ).fingerprint(b"x")
    assert repr(made) == "Keyring(...)"
    with pytest.raises(FileExistsError):
        Keyring.create(path)


def test_what_a_caller_calls_a_request_is_known_again_and_tells_nothing(tmp_path: Path) -> None:
    made, other = (Keyring.create(tmp_path / name) for name in ("keyring.json", "other.json"))
    digest = made.idempotency("shop", "erase ada")
    assert Keyring.read(tmp_path / "keyring.json").idempotency("shop", "erase ada") == digest
    assert len(bytes.fromhex(digest)) == 32 and b"erase ada".hex() not in digest
    # Not even that two callers used the same, nor where the caller's name ends; and none is a digest of content.
    differing = {
        digest, made.idempotency("store", "erase ada"), made.idempotency("shop", "erase bob"),
        made.idempotency("shop erase", "ada"), made.idempotency("shope", "rase ada"),
        other.idempotency("shop", "erase ada"), made.fingerprint(json.dumps(["shop", "erase ada"]).encode()),
    }  # fmt: skip
    assert len(differing) == 7


def test_payload_keys_can_be_rotated(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    old = Keyring.create(path)
    sealed = old.seal(PEOPLE)
    Keyring.rotate(path, [sealed])
    new = Keyring.read(path)
    assert new.open(sealed) == PEOPLE
    with pytest.raises(UnusableKeyring, match="no payload key"):
        replace(old, path=None).open(new.seal(PEOPLE))


def test_what_runs_goes_on_with_the_new_key_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    running = Keyring.create(path)
    before = running.seal(PEOPLE)
    for _ in range(3):  # however often, and nothing is stored that would keep a key
        Keyring.rotate(path, [])
        sealed, now = running.seal(PEOPLE), Keyring.read(path)
        assert replace(now, payload=now.payload[:1], path=None).open(sealed) == now.open(sealed) == PEOPLE
        assert running.open(now.seal(PEOPLE)) == PEOPLE
    with pytest.raises(UnusableKeyring):
        running.open(before)
    path.unlink()
    assert running.open(running.seal(PEOPLE)) == PEOPLE  # a file that is lost stops nothing that runs


def test_rotating_keeps_what_is_needed_and_destroys_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first = Keyring.create(path)
    old = first.seal(PEOPLE)
    assert Keyring.rotate(path, [old]) == 0
    second = Keyring.read(path)
    new = second.seal(PEOPLE)
    assert Keyring.rotate(path, [old, new]) == 0  # an open request still needs the oldest
    assert Keyring.rotate(path, [new]) == 1
    last = Keyring.read(path)
    assert last.open(new) == PEOPLE and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnusableKeyring):
        last.open(old)
    assert Keyring.rotate(path, []) == 2
    # What was encrypted with the key before may be stored a moment after the rotation.
    assert Keyring.read(path).open(last.seal(PEOPLE)) == PEOPLE
    assert replace(last, payload=first.payload) == first  # the other keys are as they were


def test_what_is_encrypted_while_the_file_cannot_be_used_is_opened_once_it_can(tmp_path: Path) -> None:
    """As where it was moved away by mistake: keys that what runs began with may be destroyed by then."""
    path = tmp_path / "keyring.json"
    running = Keyring.create(path)
    for _ in range(3):
        Keyring.rotate(path, [])
        running.seal(PEOPLE)
    path.rename(tmp_path / "aside")
    sealed = running.seal(PEOPLE)
    (tmp_path / "aside").rename(path)
    assert Keyring.read(path).open(sealed) == PEOPLE


def test_two_rotations_at_once_lose_no_key(tmp_path: Path) -> None:
    """What runs encrypts with the key of the one while the other still looks for what is needed."""
    path = tmp_path / "keyring.json"
    running, stored = Keyring.create(path), list[bytes]()
    other = threading.Thread(target=Keyring.rotate, args=(path, stored))

    def needed() -> Iterator[bytes]:
        other.start()
        other.join(timeout=0.5)
        stored.append(running.seal(PEOPLE))
        yield from stored

    Keyring.rotate(path, needed())
    stored.append(running.seal(PEOPLE))
    other.join()
    assert [Keyring.read(path).open(sealed) for sealed in stored] == [PEOPLE, PEOPLE]
    assert len(Keyring.read(path).payload) >= 2


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    Keyring.create(path)
    path.chmod(0o640)
    with pytest.raises(UnusableKeyring, match="owner's alone to read \\(got mode 640\\): chmod 600"):
        Keyring.read(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda keys: keys.pop("audit"),
        lambda keys: keys.update(more=keys["audit"]),
        lambda keys: keys.update(payload=[]),
        lambda keys: keys.update(signing=b64encode(b"hunter2" * 2).decode()),
        lambda keys: keys.update(pseudonym="hunter2"),
        lambda keys: keys.update(payload="hunter2"),
    ],
)
def test_a_damaged_file_is_refused_and_not_quoted(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "keyring.json"
    Keyring.create(path)
    keys = json.loads(path.read_text("utf-8"))
    damage(keys)  # pyright: ignore[reportCallIssue]
    path.write_text(json.dumps(keys), "utf-8")
    with pytest.raises(UnusableKeyring, match="`keyring` must be a file that `unlearn keys init` made") as refusal:
        Keyring.read(path)
    assert "hunter2" not in str(refusal.value)


def test_a_missing_or_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableKeyring, match="there is no"):
        Keyring.read(tmp_path / "keyring.json")
    (tmp_path / "keyring.json").touch(0o600)
    with pytest.raises(UnusableKeyring, match="got another"):
        Keyring.read(tmp_path / "keyring.json")
