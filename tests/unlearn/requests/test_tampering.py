"""Whatever byte or field of a trail, a certificate or a seal is changed: it is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from unlearn.requests import audit
from unlearn.requests.certificate import defects, parsed, public_key
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import AuditRow
from unlearn.seal import DamagedSeal, Seal

MANY = settings(
    max_examples=200, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
FIELDS = ("sequence", "at", "actor", "event", "about", "detail", "previous", "digest")


def changed(value: Any, draw: st.DataObject) -> Any:
    """Another value of the same kind, as near to it as can be."""
    if isinstance(value, str):
        content = bytearray(value.encode())
        if not content:
            return "x"
        content[draw.draw(st.integers(0, len(content) - 1))] ^= 1 << draw.draw(st.integers(0, 6))
        return content.decode("utf-8", errors="replace")
    step = draw.draw(st.sampled_from([-1, 1]))
    # A sequence number that another row has cannot be written.
    return value + (1_000 * step if isinstance(value, int) else timedelta(microseconds=step))


def test_any_field_of_any_row_of_the_trail(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.database.read() as session:
        number = len(session.scalars(select(AuditRow.sequence)).all())

    @MANY
    @given(place=st.integers(1, number), field=st.sampled_from(FIELDS), data=st.data())
    def examine(place: int, field: str, data: st.DataObject) -> None:
        with sqlite_ledger.database.read() as session, session.no_autoflush:  # and nothing is committed
            row = session.get_one(AuditRow, place)
            before = getattr(row, field)
            setattr(row, field, changed(before, data))
            assert getattr(row, field) != before
            session.flush()
            assert audit.first_break(session, sqlite_ledger) is not None
            session.rollback()

    examine()
    with sqlite_ledger.database.read() as session:
        assert audit.first_break(session, sqlite_ledger) is None


def test_any_byte_of_a_certificate(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    key, original = public_key(sqlite_ledger.keyring), json.dumps(issued[1], indent=1)

    @MANY
    @given(place=st.integers(0, len(original) - 1), bit=st.integers(0, 6))
    def examine(place: int, bit: int) -> None:
        content = bytearray(original.encode())
        content[place] ^= 1 << bit
        try:
            document = parsed(content.decode())
        except ValueError:
            return  # it is no certificate any more
        assert document == issued[1] or defects(document, key) != []  # else it was white space

    examine()


def test_no_other_spelling_of_a_signature(issued: list[dict[str, Any]], sqlite_ledger: Ledger) -> None:
    key, document = public_key(sqlite_ledger.keyring), issued[0]
    assert document["signature"].endswith("==")  # four bits of the last digit mean nothing
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    others = {document["signature"][:-3] + letter + "==" for letter in letters} - {document["signature"]}
    assert all(defects(document | {"signature": other}, key) != [] for other in others)


def test_nothing_is_said_twice(issued: list[dict[str, Any]]) -> None:
    text = json.dumps(issued[0])
    assert parsed(text) == issued[0]
    with pytest.raises(ValueError, match="twice"):
        parsed('{"format": "something else", ' + text[1:])


@pytest.fixture
def seal(tmp_path: Path) -> Iterator[Seal]:
    one = Seal(tmp_path / "sealed", "b1")
    one.write(b"whom this is about" * 3)
    yield one
    assert one.read() == b"whom this is about" * 3


def test_any_bit_of_a_seal_or_its_key(seal: Seal) -> None:
    @MANY
    @given(data=st.data(), bit=st.integers(0, 7))
    def examine(data: st.DataObject, bit: int) -> None:
        path = data.draw(st.sampled_from([seal._sealed, seal._key]))
        before = path.read_bytes()
        content = bytearray(before)
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises(DamagedSeal):
            seal.read()
        path.write_bytes(before)

    examine()
