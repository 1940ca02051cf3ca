"""Schemathesis over the OpenAPI document: whatever is sent, the answer is one that the document foresees."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unlearn.target.example import KIND, Purchases
from tests.unlearn.target.people import ROWS
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.service import Service
from unlearn.requests.settings import Settings

FEW = settings(
    max_examples=15, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> tuple[object, str]:
    """The application as Schemathesis sees it, and a key that may do everything."""
    folder = tmp_path_factory.mktemp("fuzzed")
    Purchases.create(folder / "shop", ROWS)
    (folder / "ledger.db").write_bytes(sqlite_template.read_bytes())
    ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"), keyring)
    described = Settings(keyring=Path("/run/keys/keyring.json"), targets={"shop": {}}, requests_per_second=1e9)
    service = Service(described, ledger, {"shop": Purchases(folder / "shop", keyring.pseudonyms)})
    key = service.callers.create("fuzzer", frozenset(Role))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service)), key


def test_no_answer_is_one_that_the_document_does_not_foresee(fuzzed: tuple[object, str]) -> None:
    schema, key = fuzzed
    tried: dict[str, set[int]] = {}
    for result in schema.get_all_operations():  # pyright: ignore[reportAttributeAccessIssue]
        operation = result.ok()

        @FEW
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)))
        def examine(case: schemathesis.Case) -> None:
            # Which kinds of people there are, the document does not say.
            identities = case.body.get("subject_identities") if isinstance(case.body, dict) else None
            for identity in identities if isinstance(identities, list) else ():
                if isinstance(identity, dict):
                    identity["identity_type"] = KIND
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex}
            if case.method == "POST":
                headers["Content-Type"] = "application/json"
            response = case.call(headers=headers)
            tried.setdefault(f"{case.method} {case.operation.path}", set()).add(response.status_code)
            case.validate_response(response, checks=CHECKS)

        examine()
    assert len(tried) == 13 and not any(status >= 500 for statuses in tried.values() for status in statuses)
    assert 201 in tried["POST /v2/requests"]


CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
