"""Nobody sees or does what their key does not allow, and no other site can do it for them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from markupsafe import escape

from tests.unlearn.requests.page.conftest import OTHER, Scene, Visitor
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.certificate import defects, disclosed, public_key
from unlearn.requests.page.sessions import LASTS
from unlearn.requests.service import Service
from unlearn.requests.states import RequestState
from unlearn.requests.status import status

PATHS = ("requests", "queue", "models", "holds", "trail")


def cookies(answer: Any) -> dict[str, str]:
    """Every cookie that an answer sets, with its attributes."""
    set_ = answer.headers.get_list("set-cookie")
    return {one.partition("=")[0]: one for one in set_}


def test_a_stranger_is_asked_for_a_key_and_comes_to_where_they_wanted(anybody: Visitor) -> None:
    for path in (*PATHS, f"requests/{anybody.scene.ids['pending']}", "requests?state=all&sort=-due"):
        answer = anybody.get(path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/page/login?to=%2Fpage%2F")
    longest = "/page/requests?controller=" + quote("\U0001f98a" * 100)
    for to in ("/page/requests?state=all&sort=-due", longest):
        form = anybody.http.get(anybody.http.get(to).headers["location"])
        assert f'name="to" value="{escape(to)}"' in form.text
        assert anybody.login(anybody.scene.key(Role.AUDIT), to).headers["location"] == to
        anybody.http.cookies.clear()
    assert anybody.http.get("/").headers["location"] == "/page/requests"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/page/\\evil", "/v2/discovery", "/page/\r\nX: y"]
)
def test_nobody_is_led_elsewhere(anybody: Visitor, to: str) -> None:
    assert anybody.login(anybody.scene.key(Role.AUDIT), to).headers["location"] == "/page/requests"


def test_the_session_cookie_is_for_this_site_alone(anybody: Visitor) -> None:
    cookie = cookies(anybody.login(anybody.scene.key(Role.AUDIT)))["unlearn"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LASTS.seconds}"} <= set(re.split("; ", cookie))


def test_where_tls_stands_before_it_the_cookie_is_secure(scene: Scene) -> None:
    settings = scene.service.settings.model_copy(update={"behind_tls": True})
    app = create_app(Service(settings, scene.service.ledger, scene.service.targets))
    with TestClient(app, base_url="https://testserver", follow_redirects=False) as http:
        visitor = Visitor(http, scene)
        answer = visitor.login(scene.key(Role.AUDIT))
        assert "Secure" in cookies(answer)["__Host-unlearn"]
        assert visitor.get("queue").status_code == 200
        assert "max-age" in visitor.get("queue").headers["strict-transport-security"]


def test_a_session_ends_by_logging_out_by_time_and_with_its_key(anybody: Visitor) -> None:
    scene, key = anybody.scene, anybody.scene.key(Role.AUDIT)
    anybody.login(key)
    stolen = anybody.http.cookies["unlearn"]
    assert anybody.get("queue").status_code == 200
    anybody.post("logout", token=anybody.token("queue"))
    anybody.http.cookies.set("unlearn", stolen)
    assert anybody.get("queue").status_code == 303  # a copy of the cookie is worth nothing

    anybody.http.cookies.clear()
    anybody.login(key)
    scene.clock.advance(seconds=(LASTS - timedelta(seconds=1)).total_seconds())
    assert anybody.get("queue").status_code == 200
    scene.clock.advance(seconds=1)
    assert anybody.get("queue").status_code == 303

    anybody.http.cookies.clear()
    anybody.login(key)
    assert anybody.get("queue").status_code == 200
    scene.service.callers.revoke(key.split("_")[1])
    assert anybody.get("queue").status_code == 303


def test_a_session_of_a_clock_that_was_ahead_ends_when_that_is_put_right(anybody: Visitor) -> None:
    """And not because the clock of another server is a little behind."""
    anybody.login(anybody.scene.key(Role.AUDIT))
    anybody.scene.clock.advance(minutes=-5)
    assert anybody.get("queue").status_code == 200
    anybody.scene.clock.advance(days=-400)
    assert anybody.get("queue").status_code == 303


def test_logging_in_counts_among_a_callers_requests(scene: Scene) -> None:
    """Each session is a row of the trail, and a lock on the ledger."""
    settings = scene.service.settings.model_copy(update={"requests_per_second": 2})
    app = create_app(Service(settings, scene.service.ledger, scene.service.targets))
    key = scene.key(Role.SUBMIT)
    with TestClient(app, follow_redirects=False) as http:
        visitor = Visitor(http, scene)
        answers = [visitor.login(key).status_code for _ in range(40)]
    assert set(answers) == {303, 429} and answers[0] == 303


def test_a_cookie_cannot_be_made_elsewhere(auditor: Visitor) -> None:
    genuine = auditor.http.cookies["unlearn"]
    secret, tag = genuine.split(".")
    for forged in (secret, f"{secret}.", f"{secret}.{'0' * 64}", f"x{secret}.{tag}", f"{secret}.{tag}x", "é.é"):
        auditor.http.cookies.clear()
        answer = auditor.http.get("/page/queue", headers={"Cookie": f"unlearn={forged}".encode()})
        assert answer.status_code == 303, forged
    stranger = Visitor(auditor.http, auditor.scene)
    stranger.token("login")
    before = auditor.http.cookies["unlearn-login"]  # genuine, and nobody's session
    auditor.http.cookies.clear()
    assert auditor.http.get("/page/queue", headers={"Cookie": f"unlearn={before}"}).status_code == 303


def test_a_wrong_key_opens_nothing_and_guessing_is_slowed_down(scene: Scene) -> None:
    settings = scene.service.settings.model_copy(update={"requests_per_second": 0.001})
    app = create_app(Service(settings, scene.service.ledger, scene.service.targets))
    key = scene.key(Role.AUDIT)
    with TestClient(app, follow_redirects=False) as http:
        visitor = Visitor(http, scene)
        answer = visitor.login("ulk_0_wrong")
        assert answer.status_code == 401 and "No key like that" in answer.text and "ulk_0_wrong" not in answer.text
        answer = visitor.login("ulk_0_wrong")
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        assert visitor.login(key).status_code == 303  # who has a key is not locked out by who has none


def test_who_submits_sees_their_own_requests_alone(submitter: Visitor) -> None:
    scene = submitter.scene
    scene.ids["theirs"] = scene.ask(90, caller=OTHER, subject_request_id=scene.ids["pending"], idempotency_key="k")
    text = submitter.get("requests?state=all").text
    assert scene.ids["completed"] not in submitter.get("requests").text and scene.ids["other"] not in text
    assert "Söhne" not in text and 'name="controller"' not in text
    assert submitter.get(f"requests/{scene.ids['other']}").status_code == 404
    assert submitter.get(f"requests/{scene.ids['other']}?controller={OTHER}").status_code == 404
    own = submitter.get(f"requests/{scene.ids['pending']}?controller={OTHER}").text
    assert "<dd>shop</dd>" in own and "Söhne" not in own
    done = submitter.get(f"requests/{scene.ids['completed']}").text
    assert scene.batches["completed"] not in done and 'class="by"' not in done
    (link,) = re.findall(r'href="/page/(requests/[^"]+/certificate\.json[^"]*)"', done)
    document = submitter.get(link).json()
    assert defects(document, public_key(scene.service.ledger.keyring)) == []
    assert [one["subject_request_id"] for one in disclosed(document, "request")] == [scene.ids["completed"]]
    assert submitter.get(f"requests/{scene.ids['other']}/certificate.json?controller={OTHER}").status_code == 404
    assert submitter.get(f"requests/{scene.ids['pending']}/certificate.json").status_code == 404
    for path in (*PATHS[1:], f"batches/{scene.batches['completed']}"):
        assert submitter.get(path).status_code == 403, path
    assert submitter.get(f"batches/{scene.batches['completed']}/certificate.json").status_code == 403
    assert 'href="/page/queue"' not in text


def test_who_audits_sees_everything_and_does_nothing(auditor: Visitor) -> None:
    scene = auditor.scene
    for path in (*PATHS, f"batches/{scene.batches['attention']}", f"requests/{scene.ids['pending']}"):
        answer = auditor.get(path)
        assert answer.status_code == 200 and 'class="grave"' not in answer.text, path
    token = auditor.token("queue")
    assert auditor.post(f"batches/{scene.batches['attention']}/retry", token=token).status_code == 403
    assert auditor.post(f"requests/{scene.ids['pending']}/cancel", token=token).status_code == 403
    assert auditor.post(f"holds/{'0' * 64}/lift", token=token).status_code == 403
    assert status(scene.service.ledger, "shop", scene.ids["pending"]).state == RequestState.PENDING


def test_what_operators_do_happens_and_is_in_the_trail(operator: Visitor) -> None:
    scene = operator.scene
    batch = scene.batches["attention"]
    assert "Retrain once more" in operator.get(f"batches/{batch}").text
    done = operator.post(f"batches/{batch}/retry", token=operator.token(f"batches/{batch}"))
    assert operator.http.get(done.headers["location"]).text.count("will retrain") == 1
    assert operator.post(f"batches/{batch}/retry", token=operator.token("queue")).status_code == 409
    action = re.search(r"/page/(holds/[0-9a-f]{64}/lift)", operator.get("holds").text)
    assert action is not None
    assert operator.post(action[1], token=operator.token("holds")).status_code == 303
    assert status(scene.service.ledger, "shop", scene.ids["on_hold"]).state == RequestState.PENDING
    trail = operator.get("trail").text
    key = re.search(r"<td>hold\.lifted</td><td>hold:case 7</td><td>(key:\w+)</td>", trail)
    assert key is not None and re.search(rf"<td>step\.retried</td><td>batch:{batch}</td><td>{key[1]}</td>", trail)
    assert operator.post(f"requests/{scene.ids['pending']}/cancel", token=operator.token("queue")).status_code == 403


def test_who_submits_can_cancel_what_is_pending(submitter: Visitor) -> None:
    scene = submitter.scene
    for name, possible in (("pending", True), ("completed", False), ("failing", False), ("other", None)):
        path = f"requests/{scene.ids[name]}"
        assert ("Cancel the request" in submitter.get(path).text) == bool(possible)
        answer = submitter.post(f"{path}/cancel", token=submitter.token("requests"))
        assert answer.status_code == {True: 303, False: 409, None: 404}[possible], name
    assert "is cancelled" in submitter.get(f"requests/{scene.ids['pending']}?done=cancelled").text
    assert status(scene.service.ledger, "shop", scene.ids["pending"]).state == RequestState.CANCELLED


def test_no_form_is_taken_that_was_not_written_for_its_sender(submitter: Visitor) -> None:
    scene, path = submitter.scene, f"requests/{submitter.scene.ids['pending']}/cancel"
    token = submitter.token("requests")
    assert submitter.post(path).status_code == 403
    assert submitter.post(path, token="0" * 64).status_code == 403
    assert submitter.post(path, token="é").status_code == 403
    for site in ("cross-site", "same-site", "none"):
        answer = submitter.http.post(f"/page/{path}", data={"token": token}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403, site
    with TestClient(create_app(scene.service), follow_redirects=False) as http:
        another = Visitor(http, scene)
        another.login(scene.key(Role.SUBMIT, name="shop"))
        assert another.post(path, token=token).status_code == 403  # of another session
        assert another.post("logout", token=token).status_code == 403
        another.http.cookies.clear()
        assert another.post("login", key=scene.key(Role.AUDIT), token=token).status_code == 403
    assert status(scene.service.ledger, "shop", scene.ids["pending"]).state == RequestState.PENDING
    assert submitter.http.post(f"/page/{path}", content=b"\xff\xfe").status_code == 400
    assert submitter.http.post(f"/page/{path}", content=b"x" * 70_000).status_code == 413
    assert submitter.http.get(f"/page/{path}").status_code == 405
