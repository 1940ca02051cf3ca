"""What the pages say is what the ledger has; what they must not say or do is not there."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from sqlalchemy import update

from tests.unlearn.requests.page.conftest import OTHER, PEOPLE, Visitor
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.page.rendering import SCRIPT, STYLE
from unlearn.requests.status import PATIENCE
from unlearn.requests.tables import BatchRow

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def listed(visitor: Visitor, query: str) -> list[str]:
    text = visitor.get(f"requests?{query}").text
    return re.findall(r'class="row" href="/page/requests/([0-9a-f-]{36})', text)


def everywhere(visitor: Visitor) -> list[str]:
    scene = visitor.scene
    return [
        "requests", "requests?state=all&page=2", "queue", "models", "holds", "trail", "trail?check=true", "login",
        *(f"requests/{id}" for id in scene.ids.values()), *(f"batches/{id}" for id in scene.batches.values()),
        f"requests/{UNKNOWN}", "nowhere", "requests?page=x",
    ]  # fmt: skip


def test_nobody_is_named(operator: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        texts = {path: operator.get(path).text for path in everywhere(operator)}
    texts["certificate"] = operator.get(f"batches/{operator.scene.batches['completed']}/certificate.json").text
    texts["log"] = caplog.text
    assert {
        path for path, text in texts.items() if "person-" in text or "secret" in text.replace("secrets", "")
    } == set()
    assert len(PEOPLE) > 100


def test_what_others_wrote_is_text(operator: Visitor) -> None:
    for path in ("requests?state=pending&sort=-received", f"requests/{operator.scene.ids['other']}", "trail"):
        text = operator.get(path).text
        assert "Böse &amp; &lt;b&gt;Söhne&lt;/b&gt;" in text and "<b>Söhne" not in text, path
    attack = '"><script>alert(1)</script>'
    for query in ("q=", "controller="):
        text = operator.http.get(f"/page/requests?{query}{attack}").text
        assert "<script>alert" not in text and "&#34;&gt;&lt;script&gt;" in text


def test_every_answer_tells_the_browser_to_trust_nothing_else(operator: Visitor) -> None:
    for path in everywhere(operator):
        answer = operator.get(path)
        policy = dict(one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == policy["connect-src"] == "'self'" and "unsafe" not in str(policy)
        assert re.fullmatch(r"'sha256-[\w+/]{43}='", policy["script-src"]) and "sha256" in policy["style-src"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        text = answer.text
        assert not re.search(r'\s(style|on\w+)="', text), path  # what the policy would forbid
        assert not re.search(r'(src|href|action)="(https?:)?//', text), path
    assert "http" not in str(STYLE) and "eval" not in str(SCRIPT)


def test_what_raises_again_and_again_is_listed_as_needing_attention(operator: Visitor) -> None:
    ids, batch = operator.scene.ids, operator.scene.batches["failing"]
    for attempts, listed_too in ((PATIENCE - 1, False), (PATIENCE, True)):
        with operator.scene.service.ledger.database.write() as session:
            session.execute(update(BatchRow).where(BatchRow.id == batch).values(attempts=attempts))
        found = set(listed(operator, "state=attention"))
        assert found == ({ids["attention"], ids["failing"]} if listed_too else {ids["attention"]})
        assert ("needs attention" in operator.get(f"requests/{ids['failing']}").text.lower()) is listed_too


def test_requests_are_filtered_sorted_and_paged(operator: Visitor) -> None:
    ids = operator.scene.ids
    assert len(listed(operator, "state=all")) == 50 and len(listed(operator, "state=all&page=2")) == 27
    assert len({*listed(operator, "state=all"), *listed(operator, "state=all&page=2")}) == 77
    assert listed(operator, "")[0] == ids["on_hold"] != listed(operator, "sort=-due")[0] == ids["other"]
    assert (
        listed(operator, "state=completed").count(ids["completed"]) == 1
        and len(listed(operator, "state=completed")) == 8
    )
    assert listed(operator, "state=cancelled") == [ids["cancelled"]]
    assert listed(operator, "state=attention") == [ids["attention"]]
    assert set(listed(operator, "state=in_progress")) == {ids["attention"], ids["failing"]}
    assert listed(operator, "due=overdue") == [ids["on_hold"]]
    assert listed(operator, f"controller={OTHER.replace('&', '%26')}") == [ids["other"]]
    assert listed(operator, f"q={ids['failing'][:9].upper()}&state=all") == [ids["failing"]]
    assert listed(operator, "q=%25&state=all") == []  # no pattern
    assert listed(operator, "state=all&sort=state")[:8] == listed(operator, "state=cancelled") + sorted_first(operator)
    assert operator.get("requests?state=all&page=99").text.count("No request is like that") == 1
    for wrong in ("state=x", "sort=id", "page=0", "due=never"):
        assert operator.get(f"requests?{wrong}").status_code == 400


def sorted_first(operator: Visitor) -> list[str]:
    """The first completed requests by arrival, as ties are broken."""
    return listed(operator, "state=completed&sort=received")[:7]


def test_a_request_is_shown_with_its_clock_history_and_evidence(operator: Visitor) -> None:
    ids, batches = operator.scene.ids, operator.scene.batches
    clocks = {
        name: re.search(r'class="words">([^<]*)<', operator.get(f"requests/{id}").text) for name, id in ids.items()
    }
    assert {name: found and found[1] for name, found in clocks.items()} == {
        "on_hold": "overdue by 2 days", "completed": "after 3 hours", "attention": "in 18 days",
        "cancelled": "after 0 seconds", "failing": "in 25 days", "pending": "in 27 days", "other": "in 27 days",
    }  # fmt: skip
    text = operator.get(f"requests/{ids['completed']}").text
    told = re.findall(r"<b>([^<]*)</b>(?: <span class=\"figures\">([^<]*)<)?", text)
    assert [(what, figures) for what, figures in told if figures] == [
        ("shop: resolve", "done; 16 purchases"),
        ("shop: suppress", "done; 8 people"),
        ("shop: remove", "escalate; 16 purchases; 0.067 of all records"),
        ("shop: retrain", f"done; by count, version {text.split('version ')[1][:12]}"),
        ("shop: verify retrain", "passed; 1 of 1 checks passed"),
        ("shop: publish", "done; 1 versions"),
        ("shop: purge", "done; left: 0 purchases, 0 sealed"),
    ]
    assert [what for what, figures in told if not figures] == [
        "received, its person suppressed", "taken into a batch", "legal holds checked", "completed",
    ]  # fmt: skip
    assert f"/page/requests/{ids['completed']}/certificate.json" in text and "owed, next" in text
    assert "A legal hold forbids deletion" in operator.get(f"requests/{ids['on_hold']}").text
    report = operator.get(f"batches/{batches['completed']}").text
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", report))
    assert facts["Removed"] == "16 purchases" and facts["Left after purging"] == "0 sealed, 0 purchases"
    assert facts["Method"] == "count" and "wrong counts" in report and "at most 0" in report
    key = public_key(operator.scene.service.ledger.keyring).replace("+", "&#43;")
    assert f"--key {key}" in report.replace("+", "&#43;")
    stuck = operator.get(f"batches/{batches['attention']}").text
    assert "needs attention" in stuck and '<b class="word fail">failed</b>' in stuck
    assert "1, next" in operator.get(f"batches/{batches['failing']}").text


def test_the_certificate_is_the_one_that_was_signed(operator: Visitor) -> None:
    answer = operator.get(f"batches/{operator.scene.batches['completed']}/certificate.json")
    assert answer.headers["content-disposition"] == "attachment; filename=certificate-1.json"
    assert defects(json.loads(answer.text), public_key(operator.scene.service.ledger.keyring)) == []
    assert operator.get(f"batches/{operator.scene.batches['failing']}/certificate.json").status_code == 404


def test_the_queue_tells_what_wakes_an_operator(operator: Visitor) -> None:
    text = operator.get("queue").text
    tiles = dict(re.findall(r"<dt>(?:<a[^>]*>)?([^<]+)(?:</a>)?</dt><dd><b>([^<]*)</b>", text))
    expected: dict[str, Any] = {
        "Open": "68", "Overdue": "1", "First due": "18 days", "Need attention": "1", "Being tried again": "1",
        "Callbacks owed": "24",
    }  # fmt: skip
    assert tiles == expected
    assert "67 within 28 days" in text and len(re.findall(r"/page/batches/[0-9a-f]{32}", text)) == 2


def test_versions_are_told_by_what_became_of_them(operator: Visitor) -> None:
    rows = re.findall(r"<tr>\n<th scope=\"row\">.*?</tr>", operator.get("models").text, flags=re.DOTALL)
    standing = [
        (re.search(r"</svg>([\w ]+)</span>", row)[1], re.findall(r"<td>(subtract|count)</td>", row)[0])  # pyright: ignore[reportOptionalSubscript]
        for row in rows
    ]
    assert standing == [("destroyed", "count"), ("destroyed", "subtract"), ("serves now", "count")]


def test_holds_and_the_trail(operator: Visitor) -> None:
    text = operator.get("holds").text
    assert "case 7" in text and '<td class="figure">1</td>' in text
    newest, older = operator.get("trail").text, operator.get("trail?before=50").text
    assert (newest.count("<tr>"), older.count("<tr>")) == (101, 50) and "trail?before=" in newest
    assert "The chain holds" in operator.get("trail?check=true").text


def test_a_tampered_trail_is_shown_as_such(operator: Visitor) -> None:
    from sqlalchemy import update

    from unlearn.requests.tables import AuditRow

    with operator.scene.service.ledger.database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.sequence == 5).values(actor="nobody"))
    assert "The chain breaks at row 5" in operator.get("trail?check=true").text


def test_what_fails_is_a_page_and_names_nobody(operator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, code in (
        (f"requests/{UNKNOWN}", 404),
        (f"batches/{'0' * 32}", 404),
        ("nowhere", 404),
        ("requests/7", 400),
        ("requests?q=%00", 400),
        ("requests?controller=%00", 400),
        (f"requests/{UNKNOWN}?controller=a%00b", 400),
    ):
        answer = operator.get(path)
        assert answer.status_code == code and answer.headers["content-type"].startswith("text/html"), path

    def broken(*_: object) -> None:
        raise RuntimeError(f"with {PEOPLE[0]}")

    monkeypatch.setattr("unlearn.requests.page.views.health", broken)
    answer = operator.get("queue")
    assert answer.status_code == 500 and "Internal error" in answer.text and "person" not in answer.text
    counted = operator.http.get("/metrics").text
    assert 'route="/page/requests/{subject_request_id}",status="404"' in counted and UNKNOWN not in counted
