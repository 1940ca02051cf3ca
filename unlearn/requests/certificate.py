"""The certificate of a batch: what was done in every target, signed, and chained to the one before it.

It says what was removed and how that was verified, and what it does not cover. It is a record by whoever holds the key,
not a legal statement.

A batch serves requests of several controllers, and none of them is to learn of another's. So requests, counts and
figures (of the making of a version, and of its verification: what is removed together is told by most of them) are not
signed themselves: digests of them are, each with a salt, and what they are of stands beside, under `disclosed`. Whoever
is handed a certificate can check whatever it discloses, and guess nothing else (selective disclosure, as in SD-JWT) but
how many requests there were, by the number of digests.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.states import Step
from unlearn.requests.status import find
from unlearn.requests.tables import BatchRow, CertificateRow, Request, StepRecord

FORMAT = "unlearn-certificate/1"
_OLDER = "it is of a version that named requests in what it signed; have that version check it"
_COUNTED = ("held_before", "removed", "unknown_types")
_TOLD = {
    Step.RESOLVE: "held_before", Step.REMOVE: "removed", Step.UNLEARN: "version", Step.RETRAIN: "version",
    Step.VERIFY: "verification", Step.VERIFY_RETRAIN: "verification", Step.PURGE: "left",
}  # fmt: skip


def issue(session: Session, ledger: Ledger, batch: BatchRow) -> None:
    """Write the certificate of a batch that is being closed, in the same transaction."""
    last = session.scalars(select(CertificateRow).order_by(CertificateRow.sequence.desc()).limit(1)).first()
    requests = session.scalars(select(Request).where(Request.batch_id == batch.id).order_by(Request.id)).all()
    head, whole = audit.head(session), evidence(session, batch.id)
    # Where somebody was named by a type of identity that the target does not know them by.
    partial = sorted(name for name, target in whole.items() if target.get("unknown_types"))
    counts = {name: {key: target[key] for key in _COUNTED if key in target} for name, target in whole.items()}
    figures = {name: _figures(target) for name, target in whole.items()}
    disclosed = [_salted("request", _told(one)) for one in requests]
    disclosed += [_salted("counts", counts), _salted("figures", figures)]
    content: dict[str, Any] = {
        "format": FORMAT,
        "sequence": 1 if last is None else last.sequence + 1,
        "previous": audit.GENESIS if last is None else last.digest,
        "batch": batch.id,
        "software": f"unlearn-recsys {importlib.metadata.version('unlearn-recsys')}",
        "closed_at": ledger.now().isoformat(),
        "occasion": "requests" if requests else "schedule",
        "digests": sorted(map(_digest, disclosed)),
        "targets": {name: _without_figures(target) for name, target in whole.items()},
        "partial": partial,
        "audit": {"sequence": head.sequence, "digest": head.digest},
    }
    signature = base64.b64encode(ledger.keyring.signer.sign(_canonical(content))).decode()
    session.add(
        CertificateRow(
            batch_id=batch.id,
            sequence=content["sequence"],
            digest=_digest(content),
            content=json.dumps(content | {"disclosed": disclosed, "signature": signature}, indent=1),
        )
    )


def _figures(target: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a target's evidence, of which a limit, too, may be made by how much was removed."""
    told = {"facts": target["version"]["facts"]} if "version" in target else {}
    return told | ({"checks": target["verification"]["checks"]} if "verification" in target else {})


def _without_figures(target: Mapping[str, Any]) -> dict[str, Any]:
    """A target's evidence without them, and without counts: of each check there is whether it passed."""
    told = {name: value for name, value in target.items() if name not in _COUNTED}
    if "version" in told:
        told["version"] = {name: value for name, value in told["version"].items() if name != "facts"}
    if "verification" in told:
        checks = [{"name": one["name"], "passed": one["passed"]} for one in told["verification"]["checks"]]
        told["verification"] = told["verification"] | {"checks": checks}
    return told


def _told(request: Request) -> dict[str, str]:
    return {
        "controller_id": request.caller,
        "subject_request_id": request.subject_request_id,
        "regulation": request.regulation,
        "received_at": request.received_at.isoformat(),
    }


def _salted(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a certificate can disclose or keep to itself, with the salt without which its digest says nothing."""
    return {"salt": secrets.token_hex(16), kind: told}


def certificate(ledger: Ledger, batch_id: str) -> dict[str, Any] | None:
    """The certificate of that batch, with everything disclosed; None where there is none."""
    with ledger.database.read() as session:
        row = session.get(CertificateRow, batch_id)
        return None if row is None else json.loads(row.content)


def certificate_of_request(ledger: Ledger, caller: str | None, subject_request_id: str) -> dict[str, Any] | None:
    """The certificate of the batch that served a request; None where there is none.

    It discloses no other request, and counts and figures only where all requests of the batch are of the same
    controller.

    Raises:
        NoSuchRequest: that caller made none; see `find`.
        Refused: an older version issued it, and what that signed tells of the other requests of the batch.
    """
    with ledger.database.read() as session:
        request = find(session, caller, subject_request_id)
        row = session.get(CertificateRow, request.batch_id or "")
        if row is None:
            return None
        whole, own = json.loads(row.content), _told(request)
    told: list[dict[str, Any]] = whole.get("disclosed", [])
    # Whose counts they are alone.
    alone = all(one["request"]["controller_id"] == request.caller for one in told if "request" in one)
    if not told or not (alone or any("figures" in one for one in told)):
        raise Refused(
            "certificate of an older version",
            "An older version issued it, which signed what tells of all requests of the batch: ask an auditor for that "
            "of the batch.",
        )
    kept = [one for one in told if (alone and "request" not in one) or one.get("request") == own]
    return whole | {"disclosed": kept}


def disclosed(document: Mapping[str, Any], kind: Literal["request", "counts", "figures"]) -> list[Any]:
    """What a certificate discloses of that kind: requests, or counts or figures by target."""
    return [one[kind] for one in document["disclosed"] if kind in one]


def parsed(text: str) -> Any:
    """The document of a file.

    Raises:
        ValueError: it is no JSON, or says something twice: readers might not agree on which of it counts.
    """
    return json.loads(text, object_pairs_hook=_without_repetition)


def public_key(keyring: Keyring) -> str:
    """What signatures are checked with, in base64: 32 bytes of Ed25519."""
    return base64.b64encode(keyring.signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def defects(document: Any, key: str, previous: Any = None) -> list[str]:
    """What is wrong with a certificate, checked offline; nothing where it is whole and signed with that key.

    Args:
        previous: the certificate before it, to check the chain as well.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return [f"it is no certificate of format {FORMAT}"]
    content = _signed(document)
    found: list[str] = []
    try:
        public = Ed25519PublicKey.from_public_bytes(_bytes(key))
        public.verify(_bytes(str(document.get("signature"))), _canonical(content))
    except (ValueError, InvalidSignature):
        found.append("its signature is not of this content by this key")
    if "digests" not in content:
        found.append(_OLDER)
    elif not _covered(document.get("disclosed"), content["digests"]):
        found.append("it discloses what was not signed")
    found += _failures(content.get("targets"))
    if previous is not None and not _follows(content, previous):
        found.append("it is not the successor of the certificate given as the one before it")
    return found


def _covered(disclosed: Any, digests: Any) -> bool:
    """Whether everything that is disclosed was signed, and nothing is disclosed twice."""
    if not (isinstance(disclosed, list) and isinstance(digests, list)):
        return False
    found = {_digest(one) for one in disclosed if isinstance(one, dict)}
    return len(found) == len(disclosed) and found <= {one for one in digests if isinstance(one, str)}


def _failures(targets: Any) -> list[str]:
    """What the targets say that went wrong."""
    if not isinstance(targets, dict) or not targets:
        return ["it does not say what was done in which target"]
    found: list[str] = []
    for name, target in targets.items():
        said = target if isinstance(target, dict) else {}
        left, verification = said.get("left"), said.get("verification")
        if not isinstance(left, dict) or any(left.values()):
            found.append(f"target {name} says that something was left, or nothing at all")
        if not isinstance(verification, dict) or not verification.get("passed"):
            found.append(f"target {name} published what did not pass its verification")
    return found


def _follows(content: Mapping[str, Any], previous: Any) -> bool:
    if not isinstance(previous, dict) or not isinstance(number := previous.get("sequence"), int):
        return False
    return content.get("previous") == _digest(_signed(previous)) and content.get("sequence") == number + 1


def _signed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a certificate that is signed, and that the next one names by its digest."""
    return {name: value for name, value in document.items() if name not in ("signature", "disclosed")}


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a certificate must say nothing twice (a name is repeated)")
    return found


def evidence(session: Session, batch_id: str) -> dict[str, dict[str, Any]]:
    """Per target the last word of every step; what failed before it is listed beside."""
    told: dict[str, dict[str, Any]] = {}
    for row in session.scalars(select(StepRecord).where(StepRecord.batch_id == batch_id).order_by(StepRecord.id)):
        target = told.setdefault(row.target, {"steps": []})
        target["steps"].append({"step": row.step, "outcome": row.outcome, "ended_at": row.ended_at.isoformat()})
        if row.step == Step.RESOLVE:
            target["unknown_types"] = row.result["unknown_types"]
        if row.step in _TOLD:
            target[_TOLD[row.step]] = _said(row)
    return told


def _said(row: StepRecord) -> Any:
    match row.step:
        case Step.RESOLVE:
            return row.result["counts"]
        case Step.REMOVE:
            return row.result
        case Step.UNLEARN | Step.RETRAIN:
            return row.result["version"]
        case Step.PURGE:
            return row.result["left"]
        case _:
            return row.result | {"passed": row.outcome == "passed"}


def _bytes(text: str) -> bytes:
    """What the text is in base64; it has one spelling, and no other is taken for it."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("it is no canonical base64")
    return found


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()
