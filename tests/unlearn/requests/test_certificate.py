"""A certificate says what was done, holds offline, and does not hold once anything in it was changed."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unlearn.requests.house import Failing, House
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.certificate import (
    _canonical,
    _digest,
    certificate,
    certificate_of_request,
    defects,
    disclosed,
    public_key,
)
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger, NoSuchRequest, Refused
from unlearn.requests.tables import CertificateRow
from unlearn.target import Batch, Check, Verdict, Version


def test_it_says_what_was_done(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    first, second = issued
    assert (first["sequence"], second["sequence"]) == (1, 2) and len(disclosed(first, "request")) == 2
    (counts,) = disclosed(first, "counts")
    assert counts["shop"]["held_before"] == {"purchases": 3} == counts["shop"]["removed"]["counts"]
    shop, kiosk = first["targets"]["shop"], first["targets"]["kiosk"]
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
    "a digest taken out": lambda one: one["digests"].pop(),
    "a check": lambda one: one["targets"]["shop"]["verification"]["checks"][0].update(name="none"),
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


NOT_SIGNED = "it discloses what was not signed"
DISCLOSED: dict[str, Callable[[list[Any]], object]] = {
    "a count": lambda told: told[-2]["counts"]["shop"]["removed"]["counts"].update(purchases=2),
    "a figure": lambda told: told[-1]["figures"]["shop"]["checks"][0].update(value=0.5),
    "whose request it is": lambda told: told[0]["request"].update(controller_id="kiosk"),
    "a salt": lambda told: told[0].update(salt=told[1]["salt"]),
    "no salt": lambda told: told[0].pop("salt"),
    "the same twice": lambda told: told.append(told[0]),
    "something more": lambda told: told.append({"salt": "", "request": {}}),
    "what is no object": lambda told: told.append("a request"),
}


@pytest.mark.parametrize("change", DISCLOSED)
def test_nothing_is_disclosed_but_what_was_signed(
    issued: list[dict[str, Any]], sqlite_ledger: Ledger, change: str
) -> None:
    changed, key = copy.deepcopy(issued[1]), public_key(sqlite_ledger.keyring)
    DISCLOSED[change](changed["disclosed"])
    assert defects(changed, key) == [NOT_SIGNED]
    assert defects(issued[1] | {"disclosed": issued[0]["disclosed"]}, key) == [NOT_SIGNED]
    for wrong in ({}, "text", None):
        assert defects(issued[1] | {"disclosed": wrong}, key) == [NOT_SIGNED]


def test_a_controller_learns_nothing_of_the_others_of_a_batch(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    ids = {
        name: house.intake.submit(submission(person, caller=name)).subject_request_id
        for name, person in zip(("shop", "kiosk"), PEOPLE, strict=False)
    }
    with pytest.raises(NoSuchRequest):
        certificate_of_request(sqlite_ledger, "shop", ids["kiosk"])
    assert certificate_of_request(sqlite_ledger, "shop", ids["shop"]) is None
    house.worker().run_once()
    batch = house.status(ids["shop"]).batch
    assert batch is not None and house.status(ids["kiosk"]).batch == batch
    whole, key = certificate(sqlite_ledger, batch), public_key(sqlite_ledger.keyring)
    assert whole is not None and [one["controller_id"] for one in disclosed(whole, "request")] == ["shop", "kiosk"]
    for name, other in (("shop", "kiosk"), ("kiosk", "shop")):
        found = certificate_of_request(sqlite_ledger, name, ids[name])
        assert found is not None and defects(found, key) == []
        assert [one["subject_request_id"] for one in disclosed(found, "request")] == [ids[name]]
        assert disclosed(found, "counts") == [] and ids[other] not in json.dumps(found)
        assert found == certificate_of_request(sqlite_ledger, None, ids[name])
        # Nor can the others be guessed: without its salt a digest is of nothing that could be tried.
        for hidden in disclosed(whole, "request"):
            trials = [{"request": hidden}, {"salt": "", "request": hidden}, hidden]
            assert not {_digest(trial) for trial in trials} & set(found["digests"])


class Telling(Failing):
    """What it says of a version, and what it holds a check to, goes by how much was removed."""

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        return replace(super().unlearn(batch, retrain=retrain), facts={"purchases_removed": 987654})

    def verify(self, batch: Batch, version: Version) -> Verdict:
        return Verdict((Check(name="quality", value=0.2468, low=-0.1357),))


@pytest.mark.parametrize("mixed", [True, False])
def test_no_figure_tells_a_controller_how_much_was_removed_for_others(
    sqlite_ledger: Ledger, tmp_path: Path, mixed: bool
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    house.targets["shop"] = Telling(house.targets["shop"], "nothing")
    own = house.ask(PEOPLE[0])
    house.intake.submit(submission(PEOPLE[1], caller="kiosk" if mixed else "shop"))
    house.worker().run_once()
    found = certificate_of_request(sqlite_ledger, "shop", own)
    assert found is not None and defects(found, public_key(sqlite_ledger.keyring)) == []
    shop = found["targets"]["shop"]
    assert (shop["version"]["method"], shop["verification"]["passed"]) == ("subtract", True)
    assert shop["verification"]["checks"] == [{"name": "quality", "passed": True}]
    assert {figure in json.dumps(found) for figure in ("987654", "0.2468", "0.1357")} == {not mixed}
    whole = certificate(sqlite_ledger, house.status(own).batch or "")
    assert whole is not None
    (figures,) = disclosed(whole, "figures")  # for an auditor in any case
    assert figures["shop"]["facts"] == {"purchases_removed": 987654}
    assert figures["shop"]["checks"] == [
        {"name": "quality", "value": 0.2468, "low": -0.1357, "high": None, "passed": True}
    ]


@pytest.mark.parametrize("mixed", [True, False])
def test_one_of_before_figures_were_kept_back_is_for_a_controller_whose_whole_batch_it_was(
    sqlite_ledger: Ledger, tmp_path: Path, mixed: bool
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    own = house.ask(PEOPLE[0])
    house.intake.submit(submission(PEOPLE[1], caller="kiosk" if mixed else "shop"))
    house.worker().run_once()
    with sqlite_ledger.database.write() as session:
        row = session.get_one(CertificateRow, house.status(own).batch)
        whole = json.loads(row.content)
        whole["disclosed"] = [one for one in whole["disclosed"] if "figures" not in one]
        row.content = json.dumps(whole)
    if mixed:
        with pytest.raises(Refused, match="ask an auditor"):
            certificate_of_request(sqlite_ledger, "shop", own)
    else:
        assert certificate_of_request(sqlite_ledger, "shop", own) is not None


def test_counts_are_disclosed_where_they_are_of_one_controller(
    issued: list[dict[str, Any]], sqlite_ledger: Ledger
) -> None:
    key = public_key(sqlite_ledger.keyring)
    for document in issued:
        for one in disclosed(document, "request"):
            found = certificate_of_request(sqlite_ledger, "shop", one["subject_request_id"])
            assert found is not None and defects(found, key) == []
            assert (disclosed(found, "request"), disclosed(found, "counts")) == ([one], disclosed(document, "counts"))
    partial = issued[0] | {"disclosed": []}
    assert defects(partial, key) == defects(issued[1], key, partial) == []  # the chain holds whatever is disclosed


def test_one_of_before_there_was_anything_to_disclose_is_refused_in_a_sentence(
    issued: list[dict[str, Any]], sqlite_ledger: Ledger
) -> None:
    keyring, document = sqlite_ledger.keyring, issued[0]
    requests = disclosed(document, "request")
    content = {key: value for key, value in document.items() if key not in ("digests", "disclosed", "signature")}
    content["requests"] = requests
    old = content | {"signature": base64.b64encode(keyring.signer.sign(_canonical(content))).decode()}
    (found,) = defects(old, public_key(keyring))
    assert "of a version that named requests" in found
    with sqlite_ledger.database.write() as session:
        row = session.get(CertificateRow, document["batch"])
        assert row is not None
        row.content = json.dumps(old)
    assert certificate(sqlite_ledger, document["batch"]) == old
    with pytest.raises(Refused, match="ask an auditor"):
        certificate_of_request(sqlite_ledger, "shop", requests[0]["subject_request_id"])
