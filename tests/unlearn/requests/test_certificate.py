"""A certificate says what was done, holds offline, and does not hold once anything in it was changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unlearn.target.people import PEOPLE
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger


def test_it_says_what_was_done(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    first, second = issued
    assert (first["sequence"], second["sequence"]) == (1, 2) and len(first["requests"]) == 2
    shop, kiosk = first["targets"]["shop"], first["targets"]["kiosk"]
    assert shop["held_before"] == {"purchases": 3} and shop["removed"]["counts"] == {"purchases": 3}
    assert (shop["version"]["method"], kiosk["version"]["method"]) == ("count", "subtract")
    assert shop["version"]["digest"] == kiosk["version"]["digest"] != shop["version"]["replaces"]
    assert second["targets"]["shop"]["version"]["replaces"] == shop["version"]["digest"]
    assert shop["verification"]["passed"] and shop["verification"]["checks"][0]["name"] == "wrong_counts"
    assert [step["outcome"] for step in shop["steps"]].count("failed") == 1
    assert shop["left"] == {"sealed": 0, "purchases": 0}
    assert not any(person in json.dumps(issued) for person in PEOPLE)


def test_it_holds_offline_by_key_and_chain(issued: list[dict[str, Any]], sqlite_ledger: Ledger, tmp_path: Path) -> None:
    key = public_key(sqlite_ledger.keyring)
    reread = json.loads(json.dumps(issued[1]))
    assert defects(reread, key) == defects(reread, key, issued[0]) == []
    assert defects(issued[0], key, issued[1]) != []
    other = public_key(Keyring.create(tmp_path / "other.json"))
    for wrong in (other, "", "AAAA", "not base64"):
        assert defects(reread, wrong) == ["its signature is not of this content by this key"]
    for nonsense in (None, [], {}, {"format": "x"}, "text"):
        assert defects(nonsense, key) != []


def test_what_has_another_shape_is_a_defect(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    key, whole = public_key(sqlite_ledger.keyring), issued[1]
    signed = "its signature is not of this content by this key"
    successor = "it is not the successor of the certificate given as the one before it"
    for targets in ({}, [], None, "shop", 1):
        found = defects(whole | {"targets": targets}, key)
        assert found == [signed, "it does not say what was done in which target"]
    for target in ([], 1, {}, {"left": [], "verification": []}):
        found = defects(whole | {"targets": {"shop": target}}, key)
        assert found[0] == signed and len(found) == 3 and all("target shop" in one for one in found[1:])
    for previous in ([], "text", 1, {}, {"sequence": None}, {"sequence": "1"}, issued[0] | {"sequence": [1]}):
        assert defects(whole, key, previous) == [successor]
    assert defects({"format": whole["format"]}, key, []) != []


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a request taken out": lambda one: one["requests"].pop(),
    "a count": lambda one: one["targets"]["shop"]["removed"]["counts"].update(purchases=2),
    "a check": lambda one: one["targets"]["shop"]["verification"]["checks"][0].update(value=0.5),
    "a target": lambda one: one["targets"].pop("kiosk"),
    "the time": lambda one: one.update(closed_at="2026-01-06T00:00:00+00:00"),
    "the trail": lambda one: one["audit"].update(sequence=1),
    "something more": lambda one: one.update(note="all is well"),
    "the signature": lambda one: one.update(signature=one["signature"][:-8] + "AAAAAAA="),
    "no signature": lambda one: one.pop("signature"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_is_noticed(issued: list[dict[str, Any]], sqlite_ledger: Ledger, change: str) -> None:
    changed = copy.deepcopy(issued[1])
    CHANGES[change](changed)
    assert "its signature is not of this content by this key" in defects(changed, public_key(sqlite_ledger.keyring))
